"""Artefacts that appear whole: what is derived by one rename, embeddings by one manifest."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Final

from pydantic import BaseModel, ConfigDict, ValidationError

from index.errors import ArtifactDamaged, OutputExists
from index.manifest import EmbeddingsManifest, sealed, unsealed
from index.output_folder import EMBEDDINGS, FAILURES, OutputFolder, variant_partition

UNFINISHED: Final = ".unfinished"  # readers of Parquet folders skip names that begin with a dot
REPLACED: Final = ".replaced"
PUBLICATION: Final = "publication.json"
PART: Final = "part-"


class Publication(BaseModel):
    """Embeddings that are complete below UNFINISHED: written, it is decided that they be published.

    Attributes:
        manifest: of the embeddings; files that it lists and that are not below UNFINISHED stand in the
            output already.
        stale: what was derived from embeddings that are replaced.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    manifest: EmbeddingsManifest
    stale: tuple[str, ...] = ()


def publish_embeddings(output: OutputFolder, publication: Publication) -> None:
    """Make the files that a manifest lists, and no others, the embeddings of an output.

    No file changes: new ones stand beside the old ones until the manifest, renamed into place, says
    which count; what it does not list is removed after that. Killed anywhere in between, the output is
    the old one or the new one, and `settle_embeddings` completes it.
    """
    output.folder(UNFINISHED).write(PUBLICATION, sealed(publication))
    _carry_through(output, publication)


def settle_embeddings(output: OutputFolder) -> bool:
    """Complete a publication that was cut short; gives whether there was one."""
    unfinished = output.folder(UNFINISHED)
    if output.exists(REPLACED):
        output.delete(REPLACED)
        return True
    if not unfinished.exists(PUBLICATION):
        return False
    try:
        publication = Publication.model_validate_json(unsealed(unfinished, PUBLICATION))
    except (ArtifactDamaged, ValidationError):
        raise ArtifactDamaged(
            f"{unfinished.path(PUBLICATION)} is damaged; remove it, and the same command makes it anew"
        ) from None
    _carry_through(output, publication)
    return True


def _carry_through(output: OutputFolder, publication: Publication) -> None:
    manifest = publication.manifest
    listed = {FAILURES: {file.name for file in manifest.failure_files}}
    for name, record in manifest.variants.items():
        listed[f"{EMBEDDINGS}/{variant_partition(name)}"] = {part.name for part in record.parts}
    for place, names in listed.items():
        _bring(output, place, names)
    manifest.write(output)

    standing = [f"{EMBEDDINGS}/{name}" for name in output.folder(EMBEDDINGS).names()]
    for place in (*standing, FAILURES):  # what is not called as we call things is not ours
        folder = output.folder(place)
        for name in folder.names():
            if name.startswith(PART) and name not in listed.get(place, ()):
                folder.delete(name)
        if folder.is_empty():
            output.delete(place)
    if output.folder(EMBEDDINGS).is_empty():
        output.delete(EMBEDDINGS)
    for name in publication.stale:
        output.delete(name)
    output.move(UNFINISHED, REPLACED)  # a folder is not deleted in one step
    output.delete(REPLACED)


def _bring(output: OutputFolder, place: str, names: set[str]) -> None:
    """Move files into a folder of the output from wherever below UNFINISHED they are."""
    unfinished = output.folder(UNFINISHED)
    missing = names - set(output.folder(place).names())
    gathered = f"{UNFINISHED}/{place}"
    for run in unfinished.names():
        for name in missing.intersection(unfinished.folder(run, place).names()):
            output.move(f"{UNFINISHED}/{run}/{place}/{name}", f"{gathered}/{name}")
    missing -= set(output.folder(gathered).names())
    if missing:
        raise ArtifactDamaged(
            f"{output.root} cannot be published: {len(missing)} files of {place} are gone, such as "
            f"{min(missing)}; remove {unfinished.path(PUBLICATION)}, and the same command makes "
            "them again"
        )
    if not output.exists(gathered):
        return
    if not output.exists(place):
        output.move(gathered, place)  # whoever reads the folder itself sees all of it or nothing
        return
    for name in output.folder(gathered).names():
        output.move(f"{gathered}/{name}", f"{place}/{name}")


@contextlib.contextmanager
def replacing(parent: OutputFolder, variant: str, *, overwrite: bool) -> Iterator[OutputFolder]:
    """A hidden folder to fill, renamed to the variant's partition of `parent` when the block ends.

    Killed anywhere, it leaves the old folder or the new one, where the next call finds it.

    Raises:
        OutputExists: the partition is there and `overwrite` is not asked for.
    """
    partition = variant_partition(variant)
    replaced = f"{REPLACED}-{partition}"
    if parent.exists(partition):
        parent.delete(replaced)
    elif parent.exists(replaced):
        parent.move(replaced, partition)
    if parent.exists(partition) and not overwrite:
        raise OutputExists(f"{parent.path(partition)} is finished; pass --overwrite to replace it")
    parent.delete(UNFINISHED)
    staged = parent.folder(UNFINISHED)
    try:
        yield staged.folder(partition)
        if parent.exists(partition):
            parent.move(partition, replaced)
        parent.move(f"{UNFINISHED}/{partition}", partition)
        parent.delete(replaced)
    finally:
        parent.delete(UNFINISHED)
