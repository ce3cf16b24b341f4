"""Artefacts that appear whole: what is derived by one rename, embeddings by one manifest."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Final

from pydantic import BaseModel, ConfigDict, ValidationError

from index.errors import ArtifactDamaged, ArtifactError, OutputExists
from index.manifest import EmbeddingsManifest, sealed, unsealed
from index.output_folder import EMBEDDINGS, FAILURES, MANIFEST, OutputFolder, variant_partition
from index.stored_file import StoredFile

UNFINISHED: Final = ".unfinished"  # readers of Parquet folders skip names that begin with a dot
REPLACED: Final = ".replaced"
PUBLICATION: Final = "publication.json"
PART: Final = "part-"


class Publication(BaseModel):
    """Embeddings that are complete below UNFINISHED: written, it is decided that they be published.

    Attributes:
        manifest: of the embeddings; files that it lists and that are not below UNFINISHED stand in the
            output already.
        command: what was asked for; the same command again has nothing left to do.
        stale: what was derived from embeddings that are replaced.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    manifest: EmbeddingsManifest
    command: str = ""
    stale: tuple[str, ...] = ()


def publish_embeddings(output: OutputFolder, publication: Publication) -> None:
    """Make the files that a manifest lists, and no others, the embeddings of an output.

    No file changes: new ones stand beside the old ones until the manifest, renamed into place, says
    which count; what it does not list is removed after that. Killed anywhere in between, the output is
    the old one or the new one, and `settle_embeddings` completes it.
    """
    output.folder(UNFINISHED).write(PUBLICATION, sealed(publication))
    _carry_through(output, publication)


def settle_embeddings(output: OutputFolder) -> Publication | None:
    """Complete a publication that was cut short, and give it; None where there was none.

    One whose files were damaged meanwhile is given up: what is whole of it counts as an attempt.
    """
    left = _read_publication(output.folder(REPLACED))
    if output.exists(REPLACED):
        output.delete(REPLACED)
        return left
    publication = _read_publication(output.folder(UNFINISHED))
    if publication is None:
        output.folder(UNFINISHED).delete(PUBLICATION)
        return None
    if not _is_whole(output, publication):
        output.folder(UNFINISHED).delete(PUBLICATION)
        return None
    _carry_through(output, publication)
    return publication


def _read_publication(folder: OutputFolder) -> Publication | None:
    try:
        return Publication.model_validate_json(unsealed(folder, PUBLICATION))
    except (ArtifactError, ValidationError):
        return None


def _places(manifest: EmbeddingsManifest) -> dict[str, dict[str, StoredFile]]:
    """The files of a manifest, by the folder they belong in and their name."""
    places = {FAILURES: {file.name: file for file in manifest.failure_files}}
    for name, record in manifest.variants.items():
        place = f"{EMBEDDINGS}/{variant_partition(name)}"
        places[place] = {part.name: part for part in record.parts}
    return places


def _is_whole(output: OutputFolder, publication: Publication) -> bool:
    """Whether every file of a publication is what was written, wherever it is by now."""
    for place, files in _places(publication.manifest).items():
        staged = _staged(output, place)
        for name, file in files.items():
            try:
                file.read_from(output.folder(staged.get(name, place)))
            except ArtifactError:
                return False
    return True


def _staged(output: OutputFolder, place: str) -> dict[str, str]:
    """Where below UNFINISHED the files are that belong in a folder of the output, by their names."""
    runs = output.folder(UNFINISHED).names()
    folders = [f"{UNFINISHED}/{place}", *(f"{UNFINISHED}/{run}/{place}" for run in runs)]
    return {name: folder for folder in folders for name in output.folder(folder).names()}


def _carry_through(output: OutputFolder, publication: Publication) -> None:
    places = _places(publication.manifest)
    for place, files in places.items():
        _bring(output, place, set(files))
    publication.manifest.write(output)

    standing = [f"{EMBEDDINGS}/{name}" for name in output.folder(EMBEDDINGS).names()]
    for place in (*standing, FAILURES):  # what is not called as we call things is not ours
        folder = output.folder(place)
        for name in folder.names():
            if name.startswith(PART) and name not in places.get(place, {}):
                folder.delete(name)
        if folder.is_empty():
            output.delete(place)
    if output.folder(EMBEDDINGS).is_empty():
        output.delete(EMBEDDINGS)
    for name in publication.stale:
        output.delete(name)
    for name in output.names():
        if name.startswith(f".{MANIFEST}."):  # a run that was killed while it wrote one
            output.delete(name)
    output.move(UNFINISHED, REPLACED)  # a folder is not deleted in one step
    output.delete(REPLACED)


def _bring(output: OutputFolder, place: str, names: set[str]) -> None:
    """Move files into a folder of the output from wherever below UNFINISHED they are.

    One that stands there already under the same name is replaced: it may be a damaged one.
    """
    gathered = f"{UNFINISHED}/{place}"
    for name, folder in _staged(output, place).items():
        if name in names and folder != gathered:
            output.move(f"{folder}/{name}", f"{gathered}/{name}")
    brought = output.folder(gathered).names()
    missing = names - set(brought) - set(output.folder(place).names())
    if missing:
        raise ArtifactDamaged(
            f"{output.root} cannot be published: {len(missing)} files of {place} are gone, such as "
            f"{min(missing)}; the same command makes them again"
        )
    if brought and not output.exists(place):
        output.move(gathered, place)  # whoever reads the folder itself sees all of it or nothing
        return
    for name in brought:
        output.move(f"{gathered}/{name}", f"{place}/{name}")


@contextlib.contextmanager
def replacing(parent: OutputFolder, variant: str, *, overwrite: bool) -> Iterator[OutputFolder]:
    """A hidden folder to fill, renamed to the variant's partition of `parent` when the block ends.

    Killed anywhere, it leaves the old folder or the new one, where the next call finds it.

    Raises:
        OutputExists: the partition is there and `overwrite` is not asked for.
    """
    settle_replaced(parent, variant)
    partition = variant_partition(variant)
    replaced = f"{REPLACED}-{partition}"
    if parent.exists(partition) and not overwrite:
        raise OutputExists(f"{parent.path(partition)} is finished; pass --overwrite to replace it")
    staged = parent.folder(UNFINISHED)
    try:
        yield staged.folder(partition)
        if parent.exists(partition):
            parent.move(partition, replaced)
        parent.move(f"{UNFINISHED}/{partition}", partition)
        parent.delete(replaced)
    finally:
        parent.delete(UNFINISHED)


def settle_replaced(parent: OutputFolder, variant: str) -> None:
    """Complete the replacing of a variant's partition, or undo it, where it was cut short."""
    partition = variant_partition(variant)
    replaced = f"{REPLACED}-{partition}"
    if parent.exists(replaced) and not parent.exists(partition):
        made = f"{UNFINISHED}/{partition}"
        parent.move(made if parent.exists(f"{made}/{MANIFEST}") else replaced, partition)
    parent.delete(replaced)
    parent.delete(UNFINISHED)
