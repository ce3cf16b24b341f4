"""This machine -> the modules that it holds, and what is wrong with those that are broken."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from index.errors import ModuleUnavailable
from transforms.module_files import MARKS, portable_files
from transforms.module_mirror import Checksums, ModuleMirror
from transforms.module_store import ModuleFolder, ModuleStore, mirror_layouts
from transforms.variants import VARIANTS, Variant

DEEPEST: Final = 6  # folders below a mirror; the usual layouts are five deep at most


@dataclass(frozen=True)
class HeldModule:
    """A module that `ModuleStore.find` gives, or that it would give were it whole.

    Attributes:
        variant: what it is asked for as.
        found: "path", "mirror" or "cache".
        place: its folder, or its archive.
        module: None where it is broken.
        trouble: what is wrong with a broken one.
    """

    variant: Variant
    found: str
    place: Path
    module: ModuleFolder | None
    trouble: str | None = None

    @property
    def size(self) -> int:
        """Of the module's files, in bytes; 0 where it is broken."""
        files = portable_files(Path(self.module.path)) if self.module else []
        return sum(file.stat().st_size for file in files)


def held_module(store: ModuleStore, variant: Variant) -> HeldModule | None:
    """A variant's module, whole or broken; None where this machine holds none.

    Raises:
        ModuleUnavailable: the mirror is no folder.
    """
    for place, found in store.places(variant):
        return _looked_at(store, variant, place, found)
    return None


def require_held(store: ModuleStore, variant: Variant) -> ModuleFolder:
    """A variant's module on this machine.

    Raises:
        ModuleUnavailable: there is none, or a broken one.
    """
    held = held_module(store, variant)
    if held is None or held.module is None:
        raise ModuleUnavailable(held.trouble) if held else not_held(variant)
    return held.module


def not_held(variant: Variant) -> ModuleUnavailable:
    """For what is not to be fetched."""
    return ModuleUnavailable(
        f"module {variant.handle!r} of variant {variant.name!r} is not held on this machine; "
        f"`lookalike modules pull {variant.name} --to DIR` fetches it"
    )


def held_modules(store: ModuleStore) -> list[HeldModule]:
    """The modules of the catalogue that this machine holds, and all others of its mirror, by name.

    Raises:
        ModuleUnavailable: the mirror is no folder.
        ArtifactDamaged: its modules.json is not what was written.
    """
    held = [held_module(store, variant) for variant in VARIANTS.values()]
    if (folder := store.folder()) is not None:
        held += [
            _looked_at(store, variant, place, "mirror") for variant, place in own_modules(folder)
        ]
    return sorted((one for one in held if one is not None), key=lambda one: one.variant.name)


def own_modules(mirror: Path) -> Iterator[tuple[Variant, Path]]:
    """The modules of a mirror that are none of the catalogue, named as their folders are, and these.

    Raises:
        ArtifactDamaged: its modules.json is not what was written.
    """
    of_catalogue = {name for variant in VARIANTS.values() for name in mirror_layouts(variant)}
    checksums = ModuleMirror(mirror).checksums() or Checksums()
    handles = {module.path: module.handle for module in checksums.modules}
    for folder in _folders(mirror, DEEPEST):
        name = folder.relative_to(mirror).as_posix()
        if name not in of_catalogue and any((folder / mark).is_file() for mark in MARKS):
            handle = handles.get(name, "")
            yield Variant(name, handle if "://" in handle else str(folder)), folder


def _looked_at(store: ModuleStore, variant: Variant, place: Path, found: str) -> HeldModule:
    try:
        module = store.checked(variant, place, found)
    except ModuleUnavailable as error:
        return HeldModule(variant, found, place, None, str(error))
    return HeldModule(variant, found, place, module)


def _folders(folder: Path, depth: int) -> Iterator[Path]:
    for path in sorted(folder.iterdir()):
        if path.is_dir() and not path.name.startswith("."):
            yield path
            if depth > 1:
                yield from _folders(path, depth - 1)
