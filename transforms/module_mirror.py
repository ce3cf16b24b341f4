"""A folder of modules that can be carried to any machine, and the checksums of every file in it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final, Literal

from pydantic import ValidationError

from index.errors import ArtifactDamaged, UsageError
from index.manifest import sealed, unsealed
from index.output_folder import OutputFolder
from index.progress import UNSHOWN, Advance
from index.stored_file import Record, StoredFile
from transforms.module_files import file_sha256, module_files
from transforms.module_store import mirror_layouts, places_in_mirror
from transforms.variants import VARIANTS, ModuleFormat, Variant

CHECKSUMS: Final = "modules.json"


class MirroredModule(Record):
    """A module of a mirror, as it was put there.

    Attributes:
        variant: its name.
        handle: as published, or the path of a module of one's own.
        path: of its folder, or of its archive, in the mirror.
        format: of the module.
        fingerprint: sha256 over the files that decide its vectors, in hexadecimal.
        source: the URL or path that it came from.
        obtained: when it was fetched; of a copy, what its source knows of that, or else when its
            newest file was changed.
        files: by their names in the mirror.
    """

    variant: str
    handle: str
    path: str
    format: ModuleFormat
    fingerprint: str
    source: str
    obtained: datetime
    files: tuple[StoredFile, ...]

    @property
    def size(self) -> int:
        """Of its files, in bytes."""
        return sum(file.size for file in self.files)


class Checksums(Record):
    """What modules.json says: the modules of a mirror, sorted by name."""

    schema_version: Literal[1] = 1
    modules: tuple[MirroredModule, ...] = ()

    def named(self, variant: str) -> MirroredModule | None:
        """The module of a variant."""
        return next((module for module in self.modules if module.variant == variant), None)

    def having(self, module: MirroredModule) -> Checksums:
        """These, with a module in place of what was called so before."""
        others = [one for one in self.modules if one.variant != module.variant]
        every = tuple(sorted([*others, module], key=lambda one: one.variant))
        return self.model_copy(update={"modules": every})


@dataclass(frozen=True)
class Finding:
    """A file of a mirror that is not as modules.json says."""

    file: str
    trouble: Literal["missing", "changed", "not listed"]


@dataclass(frozen=True)
class ModuleMirror:
    """A folder of modules, as `--modules` takes it.

    Attributes:
        root: the folder; it need not exist yet.
    """

    root: Path

    def checksums(self) -> Checksums | None:
        """What modules.json says; None where there is none.

        Raises:
            ArtifactDamaged: it is not what was written.
        """
        folder = OutputFolder.at(self.root)
        if not folder.exists(CHECKSUMS):
            return None
        cure = (
            f"remove {folder.path(CHECKSUMS)}, and `lookalike modules pull NAMES --to {self.root}` "
            "lists what stands there now"
        )
        try:
            checksums = Checksums.model_validate_json(unsealed(folder, CHECKSUMS))
        except ValidationError as error:
            raise ArtifactDamaged(
                f"{folder.path(CHECKSUMS)} is not one that this version reads: "
                f"{error.errors()[0]['msg']}; {cure}"
            ) from error
        except ArtifactDamaged as error:
            raise ArtifactDamaged(f"{error}; {cure}") from error
        for module in checksums.modules:
            for name in (module.path, *(file.name for file in module.files)):
                if name.startswith("/") or ".." in name.split("/"):
                    raise ArtifactDamaged(
                        f"{folder.path(CHECKSUMS)} names {name!r}, outside its folder; {cure}"
                    )
        return checksums

    def write(self, checksums: Checksums) -> None:
        """Publish modules.json: the last write of every change."""
        OutputFolder.at(self.root).write(CHECKSUMS, sealed(checksums))

    def standing(self, variant: Variant) -> Path | None:
        """Where the mirror holds a variant's module, or what is left of it; listed or not."""
        if variant.name in VARIANTS or "://" in variant.handle:
            return next(places_in_mirror(self.root, variant), None)
        own = self.root / variant.name
        return own if own.is_dir() else None

    def check(self, checksums: Checksums, *, advance: Advance = UNSHOWN.advance) -> list[Finding]:
        """What is missing, changed or not listed, sorted by file; every listed file is read.

        Hidden files count only where they would decide a module's vectors.

        Args:
            checksums: of this mirror.
            advance: told of the bytes that are read.
        """
        found = {one for module in checksums.modules for one in self.check_module(module, advance)}
        listed = {file.name for module in checksums.modules for file in module.files}
        standing = {file for file in _visible_files(self.root) if file != self.root / CHECKSUMS}
        for module in checksums.modules:
            standing |= set(module_files(self.root / module.path))
        names = {file.relative_to(self.root).as_posix() for file in standing}
        found |= {Finding(name, "not listed") for name in names - listed}
        return sorted(found, key=lambda one: one.file)

    def check_module(
        self, module: MirroredModule, advance: Advance = UNSHOWN.advance
    ) -> list[Finding]:
        """What is missing or changed of one module."""
        found = []
        for file in module.files:
            path = self.root / file.name
            if not path.is_file():
                found.append(Finding(file.name, "missing"))
            elif path.stat().st_size != file.size or file_sha256(path).hex() != file.sha256:
                found.append(Finding(file.name, "changed"))
            advance(file.size)
        return found


def mirror_path(variant: Variant) -> str:
    """Where in a mirror a variant's module is put: by its version, so that no other is meant.

    Raises:
        UsageError: a module of one's own would be taken for one of the catalogue, or for what the
            mirror keeps for itself.
    """
    first, *others = variant.name.split("/")
    if first.lower() == CHECKSUMS or any(part.startswith(".") for part in (first, *others)):
        raise UsageError(
            f"{variant.name!r} is a name that a mirror keeps for itself: {CHECKSUMS}, and what begins "
            "with a dot; give your module another name"
        )
    if variant.name in VARIANTS:
        version = f"/{variant.version}"
        return next(name for name in mirror_layouts(variant) if name.endswith(version))
    for known in VARIANTS.values():
        if variant.name in mirror_layouts(known):
            raise UsageError(
                f"{variant.name!r} is where a mirror holds {known.name!r}; give your module another name"
            )
    return variant.name


def _visible_files(folder: Path) -> Iterator[Path]:
    for path in folder.iterdir():
        if path.name.startswith("."):
            continue
        if path.is_dir() and not path.is_symlink():
            yield from _visible_files(path)
        else:
            yield path
