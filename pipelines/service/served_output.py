"""An output folder -> its variants, opened; opened again when their files change."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

from index.embedding_dataset import EmbeddingDataset
from index.errors import LookalikeError, OutputMissing
from index.output_folder import (
    DUPLICATES,
    EMBEDDINGS,
    INDEX,
    LEAKS,
    MANIFEST,
    OutputFolder,
    variant_partition,
)
from index.vector_index import VectorIndex
from index.vector_space import VectorSpace
from pipelines.service.served_groups import ServedGroups
from pipelines.service.served_variant import ServedVariant
from transforms.image_embedder import ImageEmbedder

OpenEmbedder = Callable[[VectorSpace], ImageEmbedder]
Stamp = tuple[tuple[int, int, int] | None, ...]  # of the files that say what there is


@dataclass
class ServedOutput:
    """The variants of an output that have an index.

    Attributes:
        output: the folder.
        open_embedder: gives what embeds queries in a space.
        only: names of variants to serve; all where there are none.
        variants: opened, by name; replaced as a whole, never changed.
        problems: what of a variant is not served, and why, by its name.
    """

    output: OutputFolder
    open_embedder: OpenEmbedder
    only: Sequence[str] = ()
    variants: Mapping[str, ServedVariant] = field(default_factory=lambda: MappingProxyType({}))
    problems: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    _stamps: dict[str, Stamp] = field(default_factory=dict)

    def refresh(self) -> list[str]:
        """Open what is new or was replaced; what stands goes on until then. Says what it did."""
        told = []
        variants, problems = dict(self.variants), dict(self.problems)
        names = self._names()
        for name in problems.keys() - names:
            del problems[name]
        for name in names:
            stamp = self._stamp(name)
            if stamp == self._stamps.get(name) or stamp[0] is None:
                continue  # an index that is gone is served until another one stands
            self._stamps[name] = stamp
            troubles: list[str] = []
            try:
                opened = variants[name] = self._open(name, variants.get(name), troubles)
                told.append(f"{name}: {len(opened.index):,} pictures")
            except (LookalikeError, OSError) as error:
                troubles.append(str(error))
            problems.pop(name, None)
            if troubles:
                problems[name] = "; ".join(troubles)
                told.append(f"{name}: {problems[name]}")
        if told or problems != self.problems:
            self.variants, self.problems = MappingProxyType(variants), MappingProxyType(problems)
        return told

    def _names(self) -> list[str]:
        if self.only:
            return list(self.only)
        return self.output.folder(INDEX).variants()

    def _stamp(self, name: str) -> Stamp:
        part = variant_partition(name)
        places = [f"{kind}/{part}/{MANIFEST}" for kind in (INDEX, DUPLICATES, LEAKS)]
        return tuple(_stamp_of(self.output.path(place)) for place in (*places, MANIFEST))

    def _open(
        self, name: str, standing: ServedVariant | None, troubles: list[str]
    ) -> ServedVariant:
        """The variant, with what stands already of it; what is missing of it is told."""
        index = VectorIndex.of_variant(self.output, name)
        if standing is not None and standing.index.manifest == index.manifest:
            index = standing.index
        embedder = None
        if standing is not None and standing.index.space == index.space:
            embedder = standing.embedder
        if embedder is None:
            try:
                embedder = self.open_embedder(index.space)
            except LookalikeError as error:
                troubles.append(f"it is not searched by new pictures: {error}")
        groups: dict[str, ServedGroups | None] = dict.fromkeys((DUPLICATES, LEAKS))
        for kind in groups:
            try:
                folder = self.output.folder(kind, variant_partition(name))
                groups[kind] = ServedGroups.open(folder)
            except LookalikeError as error:
                troubles.append(str(error))
        opened = ServedVariant(index, embedder, groups, self._is_behind(index))
        opened.warm_up()
        return opened

    def _is_behind(self, index: VectorIndex) -> bool:
        try:
            dataset = EmbeddingDataset.open(self.output, index.space.variant)
        except OutputMissing:
            return False  # an index may be served away from its embeddings
        return dataset.record.digest != index.manifest.embeddings


def require_output(output: OutputFolder, variants: Iterable[str] = ()) -> None:
    """Raise OutputMissing where a folder is no output at all, or has nothing of some variants."""
    if not (output.exists(INDEX) or output.exists(EMBEDDINGS)):
        raise OutputMissing(
            f"{output.root} holds neither embeddings nor an index; make them with: lookalike embed "
            f"PICTURES --variants NAME --output {output.root}, then lookalike index {output.root}"
        )
    known = {*output.folder(INDEX).variants(), *output.folder(EMBEDDINGS).variants()}
    for name in variants:
        if name not in known:
            raise OutputMissing(
                f"{output.root} holds neither index nor embeddings of variant {name!r}; it holds "
                f"{', '.join(sorted(known))}"
            )


def _stamp_of(path: str) -> tuple[int, int, int] | None:
    """What tells a file from one that took its place; None where there is none."""
    try:
        status = os.stat(path)
    except OSError:
        return None
    return status.st_ino, status.st_mtime_ns, status.st_size
