"""Open an index; vectors in, neighbors out."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from typing import Any, Final

import faiss
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from index.errors import (
    ArtifactDamaged,
    InvalidInput,
    OutputMissing,
    SpaceMismatch,
    UsageError,
    last_line,
)
from index.factory_string import IndexLayout
from index.index_files import IndexFiles
from index.manifest import IndexManifest
from index.output_folder import INDEX, OutputFolder, variant_partition
from index.publishing import REPLACED
from index.row_filter import matching_rows
from index.search_parameters import (
    can_select,
    candidates_scored,
    faiss_parameters,
    gives_vectors,
    place_selector,
)
from index.stored_rows import StoredRows
from index.unit_vectors import check_vectors, unit_vectors
from index.vector_space import VectorSpace

REPLACED_PAUSES_S: Final = (0.05, 0.2, 0.5)  # an index is replaced by two renames
SCANNED_ROWS: Final = 20_000  # so few rows that match are all scored
FILTERED_REACH: Final = 4  # times what the share of matching rows asks for: they may lie together
CANDIDATES_AT_ONCE: Final = 1 << 24  # of all queries of one call: 12 bytes each
SCANNED_BLOCK: Final = 4096


@dataclass(frozen=True)
class Neighbors:
    """What a search found, best first.

    Attributes:
        ids: int64 [queries, k], ids of rows; -1 where fewer than k were found.
        scores: float32 [queries, k], cosine to the query, at most 1.
    """

    ids: NDArray[np.int64]
    scores: NDArray[np.float32]


@dataclass(frozen=True)
class VectorIndex:
    """A nearest-neighbor index and the rows its ids stand for, mapped from the disk.

    Any number of threads may search one index at a time: a search changes nothing in it. Runs as it is:
    examples/search_pictures.py.

    Attributes:
        folder: where it is.
        manifest: what the index holds and how well it searches.
        files: its FAISS indexes.
        stored_rows: what ids and places stand for.
    """

    folder: OutputFolder
    manifest: IndexManifest
    files: IndexFiles
    stored_rows: StoredRows

    @classmethod
    def open(
        cls, folder: str | OutputFolder, *, query_space: VectorSpace | None = None
    ) -> VectorIndex:
        """Open an index folder, the checksums of all its files verified before anything is parsed.

        Args:
            folder: OUT/index/variant=<name>.
            query_space: what the queries will mean; another space than the index's is refused.
        """
        place = folder if isinstance(folder, OutputFolder) else OutputFolder.at(folder)
        for pause_s in REPLACED_PAUSES_S:
            before = _folder_number(place)
            try:
                return cls._open(place, query_space)
            except (OutputMissing, ArtifactDamaged):
                # Another process may have replaced the folder meanwhile, or be at it.
                head, _, name = place.root.rpartition("/")
                being_replaced = os.path.exists(f"{head}/{REPLACED}-{name}")
                if before == _folder_number(place) and not being_replaced:
                    raise
                time.sleep(pause_s)
        return cls._open(place, query_space)

    @classmethod
    def _open(cls, place: OutputFolder, query_space: VectorSpace | None) -> VectorIndex:
        manifest = IndexManifest.read(place)
        if query_space is not None:
            manifest.space.require_same(query_space)
        for file in (*manifest.searched_files, manifest.report_file):
            file.check(place)
        rows_file = manifest.rows_file.map(place)
        layout = IndexLayout.parse(manifest.factory_string)
        try:
            files = IndexFiles.open(place, layout)
        except RuntimeError as error:
            raise ArtifactDamaged(f"{place.root} cannot be read: {last_line(error)}") from error
        rows = StoredRows(
            rows_file,
            count=manifest.count,
            places=files.searched.ntotal,
            in_order=manifest.updates == 0,
        )
        return cls(place, manifest, files, rows)

    @classmethod
    def of_variant(cls, output: str | OutputFolder, variant: str) -> VectorIndex:
        """Open the index of `variant` in an output."""
        root = output if isinstance(output, OutputFolder) else OutputFolder.at(output)
        try:
            index = cls.open(root.folder(INDEX, variant_partition(variant)))
        except OutputMissing:
            raise OutputMissing(
                f"{root.root} holds no index of variant {variant!r}; where it holds its embeddings, "
                f"build it with: lookalike index {root.root} --variant {variant}"
            ) from None
        if index.space.variant != variant:
            raise SpaceMismatch(
                f"{index.folder.root} holds an index of variant {index.space.variant!r}, not of "
                f"{variant!r}; build it again"
            )
        return index

    @property
    def space(self) -> VectorSpace:
        """What the indexed vectors mean."""
        return self.manifest.space

    @property
    def is_exact(self) -> bool:
        """Whether the index compares the very vectors it was built from."""
        return self.manifest.factory_string == "Flat"

    def __len__(self) -> int:
        return self.manifest.count

    @property
    def rows(self) -> pa.Table:
        """One row a picture, in the order of their places in the FAISS index.

        Columns: `id`, `position` (its place), the picture's, and the `part` and `row` of the embeddings
        that hold its stored vector.
        """
        return self.stored_rows.table

    @property
    def ids(self) -> NDArray[np.int64]:
        """The id of each row: int64 [rows]."""
        return self.stored_rows.ids

    @property
    def positions(self) -> NDArray[np.int64]:
        """The place of each row in the FAISS index: int64 [rows]."""
        return self.stored_rows.positions

    def search(
        self,
        vectors: NDArray[np.float32],
        k: int = 10,
        *,
        among: NDArray[np.bool_] | None = None,
    ) -> Neighbors:
        """The `k` nearest rows of each query, or all rows where there are fewer.

        Args:
            vectors: float32 [queries, dim], of any length: they are compared by cosine.
            k: at least 1.
            among: bool [rows], the rows that may be found, as `matching` gives them; None for all.

        Raises:
            InvalidInput: the vectors have another width, or are not finite.
            UsageError: k is no number of neighbors.
        """
        if k < 1:
            raise UsageError(f"k is {k}; it must be at least 1")
        if among is not None and among.shape != (len(self),):
            raise InvalidInput(f"among has shape {among.shape}; it must be ({len(self)},)")
        queries = unit_vectors(check_vectors(vectors, self.space.num_features))
        allowed = self.positions if among is None else self.positions[among]
        count, filtered = min(k, len(allowed)), among is not None
        scores, positions = self._search_among(queries, count, allowed, filtered=filtered)
        ids = np.where(positions < 0, -1, self.stored_rows.id_at[positions])
        return Neighbors(ids=ids, scores=np.minimum(scores, np.float32(1)))

    def matching(self, expression: str) -> NDArray[np.bool_]:
        """The rows that an SQL expression over their columns is true of: bool [rows]."""
        return matching_rows(self.rows, expression)

    def find(self, uri: str) -> int | None:
        """The id of the picture at `uri`; None where the index does not hold it."""
        return self.stored_rows.find(uri)

    def find_content(self, content_hash: str, location: str | None = None) -> int | None:
        """The id of a picture whose bytes have this sha256, of several the one at `location`."""
        same: list[int] = self.stored_rows.with_content(content_hash).tolist()
        at_location = None if location is None or not same else self.find(location)
        return at_location if at_location in same else next(iter(same), None)

    def pictures(self, ids: NDArray[np.int64]) -> pa.Table:
        """The rows of some ids of the index, in their order; any row for -1."""
        return self.rows.take(pa.array(self.stored_rows.rows_of(ids)))

    def vectors(self, ids: NDArray[np.int64]) -> NDArray[np.float32]:
        """The vectors of some ids as the index has them: float32 [ids, dim], of length about one."""
        positions = self.positions[self.stored_rows.rows_of(ids)]
        return self._reconstruct(positions)

    def _reconstruct(self, positions: NDArray[np.int64]) -> NDArray[np.float32]:
        if not gives_vectors(self.files.stored):
            raise UsageError(
                f"an index of type {self.manifest.factory_string!r} cannot do this: it does not give "
                "its vectors back; build it without --factory"
            )
        found: NDArray[np.float32] = self.files.stored.reconstruct_batch(positions)
        return found

    def _search(
        self, queries: NDArray[np.float32], k: int, selector: Any | None = None, reach: float = 1
    ) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """Scores and places, float32 and int64 [queries, k]; not too many queries at a time."""
        index, setting = self.files.searched, self.manifest.search_parameters
        parameters = faiss_parameters(index, setting, k, selector, reach)
        at_once = max(1, CANDIDATES_AT_ONCE // max(1, candidates_scored(index, setting, k)))
        found = [
            index.search(queries[start : start + at_once], k, params=parameters)
            for start in range(0, len(queries), at_once)
        ]
        scores, positions = (np.concatenate(both) for both in zip(*found, strict=True))
        return scores, positions

    def _search_among(
        self, queries: NDArray[np.float32], k: int, allowed: NDArray[np.int64], *, filtered: bool
    ) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """The same among some places: all are scored where a filter leaves few, else by a selector."""
        places = self.files.searched.ntotal
        if k == 0:
            return np.empty((len(queries), 0), np.float32), np.empty((len(queries), 0), np.int64)
        gives = gives_vectors(self.files.stored)
        few = filtered and len(allowed) <= SCANNED_ROWS and gives
        selector = None
        if few or (len(allowed) < places and not can_select(self.files.searched)):
            return self._scan(queries, k, allowed)
        if len(allowed) < places:
            chosen = np.zeros(places, np.bool_)
            chosen[allowed] = True
            selector = place_selector(chosen)
        reach = places / len(allowed) * (FILTERED_REACH if filtered else 1)
        scores, positions = self._search(queries, k, selector, reach)
        short = np.flatnonzero(positions[:, -1] < 0)
        if len(short) and gives:  # what may be found lies where these queries did not look
            scores[short], positions[short] = self._scan(queries[short], k, allowed)
        return scores, positions

    def _scan(
        self, queries: NDArray[np.float32], k: int, allowed: NDArray[np.int64]
    ) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """The same with every allowed place scored."""
        best = faiss.ResultHeap(len(queries), k, keep_max=True)
        for start in range(0, len(allowed), SCANNED_BLOCK):
            block = allowed[start : start + SCANNED_BLOCK]
            scores = queries @ unit_vectors(self._reconstruct(block)).T
            best.add_result(scores, np.broadcast_to(block, scores.shape))
        best.finalize()
        return best.D, best.I


def _folder_number(folder: OutputFolder) -> int | None:
    """What tells a folder from one that was put in its place; None where there is none."""
    try:
        return os.stat(folder.root).st_ino
    except OSError:
        return None
