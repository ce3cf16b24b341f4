"""Modules that this machine holds -> one archive of a mirror of them."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from index.errors import ArtifactError, OutputExists, first_line
from index.manifest import sealed
from index.progress import UNSHOWN, Step
from transforms.mirror_records import module_record, origin_of
from transforms.module_archive import Packed, pack
from transforms.module_files import portable_files
from transforms.module_mirror import CHECKSUMS, Checksums, mirror_path
from transforms.module_store import ModuleFolder, ModuleStore

ARCHIVED_AS: Final = "modules"  # the folder that the archive unpacks to


def pack_modules(
    modules: Iterable[ModuleFolder], archive: Path, store: ModuleStore, *, step: Step = UNSHOWN
) -> Checksums:
    """Pack modules that this machine holds into one archive: the same modules, the same bytes.

    Args:
        modules: what to pack.
        archive: to make; compressed unless it is called .tar.
        store: that holds them.
        step: counts the bytes that are packed, and learns how many there are.

    Raises:
        OutputExists: the archive is there.
        ArtifactError: it cannot be written.
        UsageError: the name of a module is none for a mirror.
    """
    if archive.exists():
        raise OutputExists(f"{archive} is there already; remove it, or name another")
    checksums = Checksums()
    contents: dict[str, Path] = {}
    for module in modules:
        path = mirror_path(module.variant)
        folder = Path(module.path)
        record = module_record(
            module, folder, portable_files(folder), path, origin_of(module, store)
        )
        checksums = checksums.having(record)
        contents |= {file.name: folder / file.name[len(path) + 1 :] for file in record.files}
    when = {file.name: module.obtained for module in checksums.modules for file in module.files}
    newest = max(when.values(), default=datetime.fromtimestamp(0, UTC))
    files = [Packed(f"{ARCHIVED_AS}/{CHECKSUMS}", sealed(checksums), newest)]
    files += [
        Packed(f"{ARCHIVED_AS}/{name}", contents[name], when[name]) for name in sorted(contents)
    ]
    step.expect(sum(module.size for module in checksums.modules))
    try:
        pack(files, archive, advance=step.advance)
    except OSError as error:
        raise ArtifactError(f"{archive} cannot be written: {first_line(error)}") from error
    return checksums
