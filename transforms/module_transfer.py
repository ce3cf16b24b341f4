"""A variant's module, wherever it is -> a mirror that holds it whole."""

from __future__ import annotations

import contextlib
import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from index.errors import (
    ArtifactDamaged,
    ArtifactError,
    ModuleUnavailable,
    UsageError,
    first_line,
)
from index.output_folder import OutputFolder
from index.output_lock import only_writer
from index.progress import UNSHOWN, Step
from transforms.held_modules import not_held
from transforms.http_download import Patience
from transforms.local_files import is_local
from transforms.mirror_records import Origin, module_record, origin_of, standing_record
from transforms.module_download import (
    PARTIAL,
    archive_url,
    fetch_module,
    hub_key,
    is_published_as_archive,
)
from transforms.module_files import portable_files
from transforms.module_mirror import (
    CHECKSUMS,
    Checksums,
    MirroredModule,
    ModuleMirror,
    mirror_path,
)
from transforms.module_store import ModuleFolder, ModuleStore
from transforms.variants import VARIANTS, Variant

How = Literal["there", "listed", "copied", "fetched", "repaired"]


@dataclass(frozen=True)
class Brought:
    """A module that a mirror holds.

    Attributes:
        module: as its modules.json says.
        how: "there" already and whole; "listed" now for the first time; "copied" from this machine;
            "fetched" from the network; "repaired" in either way.
    """

    module: MirroredModule
    how: How


def bring(
    variant: Variant,
    mirror: ModuleMirror,
    store: ModuleStore,
    *,
    fetch: bool,
    step: Step = UNSHOWN,
    patience: Patience | None = None,
) -> Brought:
    """Have a mirror hold a variant's module whole, with its checksums.

    Args:
        variant: whose module.
        mirror: made where it is not there.
        store: where to look for the module before it is fetched.
        fetch: whether to go to the network for it.
        step: counts the bytes that are fetched, or else copied, and learns how many there are.
        patience: with the network.

    Raises:
        ModuleUnavailable: it is not held, and not to be fetched or could not be.
        UsageError: the mirror holds another module by that name.
        ArtifactError: the mirror is damaged, or cannot be written to.
    """
    path = mirror_path(variant)
    with only_writer(OutputFolder.at(mirror.root), create=True):
        listed = mirror.checksums() or Checksums()
        known = listed.named(variant.name)
        standing = mirror.standing(variant)
        if known is not None:
            _require_same(known, variant, mirror, store)
            if not mirror.check_module(known):
                return Brought(known, "there")
            if known.path.endswith(".tar.gz"):
                raise ArtifactDamaged(
                    f"{mirror.root / known.path} is not what {CHECKSUMS} says; remove it, and pull "
                    f"{variant.name!r} again"
                )
            path = known.path
        elif standing is not None:
            module = standing_record(
                store.checked(variant, standing, "mirror"), standing, mirror.root
            )
            _require_same(module, variant, mirror, store)
            mirror.write(listed.having(module))
            return Brought(module, "listed")
        how: How = "copied"
        source = _held_elsewhere(variant, mirror, store, fetch=fetch)
        room = mirror.root / PARTIAL / hub_key(variant.handle)
        fetched = room.with_name(f"{room.name}.module")
        try:
            if source is None:
                how = "fetched"
                if is_published_as_archive(variant.handle):
                    fetch_module(
                        variant,
                        fetched,
                        room,
                        step=step,
                        patience=patience,
                        without_network="bring the module from a machine that holds it: "
                        "`lookalike modules export`",
                    )
                    step = UNSHOWN  # what is fetched has been counted
                    source = store.checked(variant, fetched, "network")
                else:
                    source = store.locate(variant)
            module = _put(source, mirror.root, path, origin_of(source, store), step)
        finally:
            shutil.rmtree(fetched, ignore_errors=True)
            with contextlib.suppress(OSError):
                (mirror.root / PARTIAL).rmdir()  # where nothing is left to be continued
        mirror.write(listed.having(module))
        return Brought(module, "repaired" if known is not None else how)


def _require_same(
    known: MirroredModule, variant: Variant, mirror: ModuleMirror, store: ModuleStore
) -> None:
    """Refuse a module of one's own by the name of another one in the mirror."""
    if variant.name in VARIANTS:
        return
    if is_local(variant.handle):
        held = store.find(variant)
        same = held is not None and held.fingerprint == known.fingerprint
    else:
        same = known.source == archive_url(variant.handle) or known.handle == variant.handle
    if not same:
        raise UsageError(
            f"{mirror.root} holds another module as {variant.name!r}, from {known.source}; give this "
            f"one another name, or remove {mirror.root / known.path}"
        )


def _held_elsewhere(
    variant: Variant, mirror: ModuleMirror, store: ModuleStore, *, fetch: bool
) -> ModuleFolder | None:
    """The module outside the mirror; None where it is to be fetched."""
    trouble = not_held(variant)
    for place, found in store.places(variant):
        if place.resolve().is_relative_to(mirror.root.resolve()):
            continue
        try:
            return store.checked(variant, place, found)
        except ModuleUnavailable as error:
            trouble = error
            if found == "path":
                raise
    if not fetch:
        raise trouble
    return None


def _put(source: ModuleFolder, root: Path, path: str, origin: Origin, step: Step) -> MirroredModule:
    """Copy a module into a mirror; it appears whole, and in place of a damaged one file by file."""
    folder, target = Path(source.path), root / path
    scratch = root / PARTIAL / f"{hub_key(source.variant.handle)}.copy"
    try:
        shutil.rmtree(scratch, ignore_errors=True)
        names = [file.relative_to(folder) for file in portable_files(folder)]
        step.expect(sum((folder / name).stat().st_size for name in names))
        for name in names:
            (scratch / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(folder / name, scratch / name)
            step.advance((scratch / name).stat().st_size)
        module = module_record(source, scratch, [scratch / name for name in names], path, origin)
        if not target.exists():
            target.parent.mkdir(parents=True, exist_ok=True)
            scratch.rename(target)
        else:
            for name in names:
                (target / name).parent.mkdir(parents=True, exist_ok=True)
                os.replace(scratch / name, target / name)
    except OSError as error:
        raise ArtifactError(f"{target} cannot be written: {first_line(error)}") from error
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    return module
