"""The artefacts of one variant -> its part of a page: map, distances, index, copies."""

from __future__ import annotations

import os
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import quote

import numpy as np
from numpy.typing import NDArray

from index.copies_section import FoundCopies, copies_section
from index.distance_histogram import draw_distance_histogram
from index.embedding_dataset import EmbeddingDataset
from index.embedding_map import draw_embedding_map
from index.embedding_sample import EmbeddingSample, nearest_distances, sample_embeddings
from index.errors import ArtifactError, OutputMissing
from index.html_report import Section
from index.index_section import index_section
from index.map_colors import color_by_copies, color_by_folder
from index.map_layout import MapLayout
from index.output_folder import DUPLICATES, INDEX, LEAKS, OutputFolder, variant_partition

QUANTILES: Final = (0.01, 0.1, 0.5, 0.9, 0.99)
# What is looked for, where, and by which flags of dedup.
SEARCHES: Final = {
    DUPLICATES: ("Duplicates", "within this set", ""),
    LEAKS: ("Leaks", "across parts of this set", " --between 'train/**' 'test/**'"),
}
NOTHING: Final = EmbeddingSample(np.empty(0, np.int64), (), np.empty((0, 1), np.float32), 0)


@dataclass
class VariantPart:
    """The part of a page that is about one variant; read first, then placed, then told.

    Attributes:
        output: with its artefacts.
        dataset: its embeddings.
        page: the folder of the page, which links start from.
        told: damage that was met, for the user.
    """

    output: OutputFolder
    dataset: EmbeddingDataset
    page: str
    told: list[str] = field(default_factory=list)
    sample: EmbeddingSample = NOTHING
    _about: list[Section] = field(default_factory=list)  # map and distances
    _distances: NDArray[np.float32] | None = None
    _copies: dict[str, FoundCopies | Section] = field(default_factory=dict)
    _index: Section = field(init=False)

    @property
    def name(self) -> str:
        """Of the variant."""
        return self.dataset.space.variant

    def read_sample(self) -> NDArray[np.float32]:
        """Read some pictures and their vectors; these are given: float32 [n, dim], of length one."""
        try:
            self.sample = sample_embeddings(self.dataset)
        except ArtifactError as error:
            self._unreadable(error)
        return self.sample.units

    def read_rest(self) -> None:
        """Read what there is beside the vectors, and how far apart these are."""
        self._copies = {kind: self._found(kind) for kind in SEARCHES}
        self._index = self._index_section()
        if self.sample.total < 2:
            return
        try:
            self._distances = nearest_distances(self.dataset, self.sample)
        except ArtifactError as error:
            self._unreadable(error)

    def card_uris(self) -> list[str]:
        """The pictures of the groups that are shown."""
        found = (one for one in self._copies.values() if isinstance(one, FoundCopies))
        return [uri for one in found for uri in one.shown_uris()]

    def place(self, layout: MapLayout, thumbnails: Mapping[str, str | None]) -> None:
        """Put the sampled pictures on the map."""
        if not self._about:
            self._about = [self._map_section(layout, thumbnails), self._distances_section()]

    def figures(self) -> list[tuple[str, str]]:
        """What to read first of this variant."""
        recall = self._index.facts.get("recall@10", "").partition(" ")[0]
        figures = [(recall, "recall@10")] if recall.startswith(("0.", "1.")) else []
        found = self._copies[DUPLICATES]
        if isinstance(found, FoundCopies):
            figures.append((f"{found.manifest.groups:,}", "groups of copies"))
        return figures

    def sections(self, thumbnails: Mapping[str, str | None]) -> list[Section]:
        """All of it.

        Args:
            thumbnails: of `card_uris`.
        """
        copies = [self._copies_section(kind, thumbnails) for kind in SEARCHES]
        return [*self._about, self._index, *copies]

    def _map_section(self, layout: MapLayout, thumbnails: Mapping[str, str | None]) -> Section:
        if not len(self.sample):
            return Section("Map", "No picture has a vector, so there is nothing to lay out.")
        uris, found = self.sample.uris, self._copies[DUPLICATES]
        colorings = [color_by_folder(uris)]
        if isinstance(found, FoundCopies):
            colorings.append(color_by_copies(uris, found.is_kept()))
        note = (
            f"The vectors of {self.sample.told}. {layout.told} Point at a picture to see it, and its "
            "cosine distance to the nearest other; a tap does the same, and so do the arrow keys."
        )
        chosen = [coloring for coloring in colorings if coloring]
        drawing = draw_embedding_map(uris, layout.places, self._distances, chosen, thumbnails)
        return Section("Map", note, drawing=drawing)

    def _distances_section(self) -> Section:
        heading, distances = "Nearest neighbors", self._distances
        if distances is None:
            note = "It takes two pictures to tell a distance."
            return Section(heading, note)
        equal = int((distances == 0).sum())
        note = (
            f"How far the nearest other picture is, by cosine distance: for {self.sample.told}, each "
            "compared exactly with all others. 0 is the same direction, 1 is nothing in common. Many "
            "near 0 speak of copies, many far away of pictures that have no like here."
        )
        table = [
            ("share", *(f"{share:.0%}" for share in QUANTILES)),
            ("within", *(f"{one:.3f}" for one in np.quantile(distances, QUANTILES))),
        ]
        return Section(
            heading,
            note,
            drawing=draw_distance_histogram(distances),
            facts={"with an equal vector": f"{equal:,} of {len(distances):,}"},
            table=table,
        )

    def _index_section(self) -> Section:
        command = self._command("index")
        folder = self.output.folder(INDEX, variant_partition(self.name))
        if not folder.exists():
            note = "There is no index yet. This makes one, and measures its recall:"
            return Section("Index", note, command=command)
        try:
            link = self._link(folder.path("report.html"))
            return index_section(folder, self.dataset.record, link, f"{command} --update")
        except ArtifactError as error:
            return self._damaged("Index", error, f"{command} --overwrite")

    def _copies_section(self, kind: str, thumbnails: Mapping[str, str | None]) -> Section:
        found, (heading, _, flags) = self._copies[kind], SEARCHES[kind]
        if isinstance(found, Section):
            return found
        folder = self.output.folder(kind, variant_partition(self.name))
        again = (
            ""
            if found.manifest.embeddings[-1:] == (self.dataset.record.digest,)
            else (f"{self._command('dedup')}{flags} --overwrite")
        )
        link = self._link(folder.path("report.html"))
        return copies_section(heading, found, link, thumbnails.get, again)

    def _found(self, kind: str) -> FoundCopies | Section:
        heading, where, flags = SEARCHES[kind]
        command = self._command("dedup") + flags
        folder = self.output.folder(kind, variant_partition(self.name))
        if not folder.exists():
            note = f"No search for copies {where} was made. This makes one; it touches no picture:"
            return Section(heading, note, command=command)
        try:
            return FoundCopies.read(folder)
        except ArtifactError as error:
            return self._damaged(heading, error, f"{command} --overwrite")

    def _damaged(self, heading: str, error: ArtifactError, command: str) -> Section:
        self.told.append(str(error))
        how = "incomplete" if isinstance(error, OutputMissing) else "damaged"
        return Section(heading, f"It is {how}: {error}. This makes it again:", command=command)

    def _unreadable(self, error: ArtifactError) -> None:
        self.told.append(str(error))
        note = f"The embeddings cannot be read, so there is no map and no distances: {error}"
        self._about = [Section("Map", note)]

    def _command(self, name: str) -> str:
        place = os.path.relpath(self.output.root)
        return shlex.join(["lookalike", name, place, "--variant", self.name])

    def _link(self, path: str) -> str:
        return quote(os.path.relpath(path, self.page))
