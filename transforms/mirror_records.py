"""A module's files -> what modules.json says of it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from index.errors import ModuleUnavailable
from index.stored_file import StoredFile
from transforms.module_download import archive_url
from transforms.module_files import file_sha256, fingerprint_of, module_files, portable_files
from transforms.module_mirror import Checksums, MirroredModule, ModuleMirror
from transforms.module_store import ModuleFolder, ModuleStore


@dataclass(frozen=True)
class Origin:
    """Where a module came from, and when, as MirroredModule has it."""

    handle: str
    source: str
    obtained: datetime


def standing_record(module: ModuleFolder, place: Path, root: Path) -> MirroredModule:
    """A module that stands in a mirror already, as a folder or an archive."""
    files = portable_files(place) if place.is_dir() else [place]
    origin = Origin(module.variant.handle, str(place), _newest(files))
    return module_record(module, place, files, place.relative_to(root).as_posix(), origin)


def module_record(
    module: ModuleFolder,
    place: Path,
    files: list[Path],
    path: str,
    origin: Origin,
) -> MirroredModule:
    """A module, the files of which are at `place`, as the mirror that has it at `path` lists it.

    Raises:
        ModuleUnavailable: the files are not those of the module: they are being changed.
    """
    stored = [
        StoredFile(
            name=path if file == place else f"{path}/{file.relative_to(place).as_posix()}",
            size=file.stat().st_size,
            sha256=file_sha256(file).hex(),
        )
        for file in files
    ]
    if place.is_dir():
        by_name = {file.name[len(path) + 1 :]: file for file in stored}
        names = [file.relative_to(place).as_posix() for file in module_files(place)]
        found = fingerprint_of(
            (name, by_name[name].size, bytes.fromhex(by_name[name].sha256)) for name in names
        )
        if found != module.fingerprint:
            raise ModuleUnavailable(
                f"module {module.variant.handle!r}: {module.path} was changed while it was read; "
                "once it stays as it is, the same command works"
            )
    return MirroredModule(
        variant=module.variant.name,
        handle=origin.handle,
        path=path,
        format=module.format,
        fingerprint=module.fingerprint,
        source=origin.source,
        obtained=origin.obtained,
        files=tuple(stored),
    )


def origin_of(module: ModuleFolder, store: ModuleStore) -> Origin:
    """Where a module came from, and when, as far as this machine knows."""
    handle = module.variant.handle
    if module.found == "network":
        return Origin(handle, archive_url(handle), datetime.now(UTC).replace(microsecond=0))
    if module.found in ("mirror", "path") and (folder := store.folder()) is not None:
        known = (ModuleMirror(folder).checksums() or Checksums()).named(module.variant.name)
        if known is not None and known.fingerprint == module.fingerprint:
            return Origin(known.handle, known.source, known.obtained)
    source = archive_url(handle) if module.found == "cache" else module.path
    return Origin(handle, source, _newest(module_files(Path(module.path))))


def _newest(files: list[Path]) -> datetime:
    """When the last of some files was changed, to the second."""
    return datetime.fromtimestamp(int(max(file.stat().st_mtime for file in files)), UTC)
