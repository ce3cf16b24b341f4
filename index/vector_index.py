"""Open an index; vectors in, neighbors out."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

import faiss
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from index.errors import InvalidInput, OutputMissing, UsageError
from index.factory_string import IndexLayout
from index.index_files import IndexFiles
from index.manifest import IndexManifest
from index.output_folder import INDEX, OutputFolder, variant_partition
from index.row_filter import matching_rows
from index.search_parameters import can_select, faiss_parameters, gives_vectors
from index.unit_vectors import check_vectors, unit_vectors
from index.vector_space import VectorSpace

SCANNED_ROWS: Final = 20_000  # so few rows that match are all scored
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

    Any number of threads may search one index at a time: a search changes nothing in it.

    Attributes:
        folder: where it is.
        manifest: what the index holds and how well it searches.
        files: its FAISS indexes.
    """

    folder: OutputFolder
    manifest: IndexManifest
    files: IndexFiles

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
        manifest = IndexManifest.read(place)
        if query_space is not None:
            manifest.space.require_same(query_space)
        for file in manifest.files:
            file.check(place)
        layout = IndexLayout.parse(manifest.factory_string)
        return cls(place, manifest, IndexFiles.open(place, layout))

    @classmethod
    def of_variant(cls, output: str | OutputFolder, variant: str) -> VectorIndex:
        """Open the index of `variant` in an output."""
        root = output if isinstance(output, OutputFolder) else OutputFolder.at(output)
        try:
            return cls.open(root.folder(INDEX, variant_partition(variant)))
        except OutputMissing:
            raise OutputMissing(
                f"{root.root} holds no index of variant {variant!r}; where it holds its embeddings, "
                f"build it with: lookalike index {root.root} --variant {variant}"
            ) from None

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

    @cached_property
    def rows(self) -> pa.Table:
        """One row a picture, in the order of their places in the FAISS index.

        Columns: `id`, `position` (its place), the picture's, and the `part` and `row` of the embeddings
        that hold its stored vector.
        """
        return self._read_rows()

    @cached_property
    def ids(self) -> NDArray[np.int64]:
        """The id of each row: int64 [rows]."""
        if self._is_plain:
            return np.arange(len(self))
        ids: NDArray[np.int64] = self._read_rows(["id"]).column("id").to_numpy()
        return ids

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
        if among is None and not self.manifest.tombstones:
            scores, positions = self._search(queries, min(k, len(self)))
        else:
            allowed = self.positions if among is None else self.positions[among]
            count, filtered = min(k, len(allowed)), among is not None
            scores, positions = self._search_among(queries, count, allowed, filtered=filtered)
        ids = np.where(positions < 0, -1, self._id_at[positions])
        return Neighbors(ids=ids, scores=np.minimum(scores, np.float32(1)))

    def matching(self, expression: str) -> NDArray[np.bool_]:
        """The rows that an SQL expression over their columns is true of: bool [rows]."""
        return matching_rows(self.rows, expression)

    def find(self, uri: str) -> int | None:
        """The id of the picture at `uri`; None where the index does not hold it."""
        row = pc.index(self.rows.column("uri"), uri).as_py()
        return None if row < 0 else int(self.ids[row])

    def pictures(self, ids: NDArray[np.int64]) -> pa.Table:
        """The rows of some ids of the index, in their order; any row for -1."""
        return self.rows.take(pa.array(self._rows_of(ids)))

    def vectors(self, ids: NDArray[np.int64]) -> NDArray[np.float32]:
        """The vectors of some ids as the index has them: float32 [ids, dim], of length about one."""
        positions = self.positions[self._rows_of(ids)]
        return self._reconstruct(positions)

    @property
    def _is_plain(self) -> bool:
        """Whether row, place and id are the same number, as they are until the first update."""
        return self.manifest.updates == 0

    @cached_property
    def positions(self) -> NDArray[np.int64]:
        """The place of each row in the FAISS index: int64 [rows]."""
        if self._is_plain:
            return np.arange(len(self))
        positions: NDArray[np.int64] = self._read_rows(["position"]).column("position").to_numpy()
        return positions

    @cached_property
    def _id_at(self) -> NDArray[np.int64]:
        """The id at each place of the FAISS index, -1 where no row is: int64 [places]."""
        if self._is_plain:
            return self.ids
        every = np.full(self.files.searched.ntotal, -1, np.int64)
        every[self.positions] = self.ids
        return every

    @cached_property
    def _id_order(self) -> NDArray[np.int64]:
        return np.argsort(self.ids)

    def _rows_of(self, ids: NDArray[np.int64]) -> NDArray[np.int64]:
        ids = np.maximum(ids, 0)
        if self._is_plain:
            return ids
        places = np.searchsorted(self.ids, ids, sorter=self._id_order)
        rows: NDArray[np.int64] = self._id_order[np.minimum(places, len(self) - 1)]
        return rows

    def _reconstruct(self, positions: NDArray[np.int64]) -> NDArray[np.float32]:
        if not gives_vectors(self.files.stored):
            raise UsageError(
                f"an index of type {self.manifest.factory_string!r} cannot do this: it does not give "
                "its vectors back; build it without --factory"
            )
        found: NDArray[np.float32] = self.files.stored.reconstruct_batch(positions)
        return found

    def _read_rows(self, columns: list[str] | None = None) -> pa.Table:
        with self.folder.open(self.manifest.rows_file.name) as file:
            return pq.ParquetFile(file).read(columns)

    def _search(
        self, queries: NDArray[np.float32], k: int, selector: Any | None = None, reach: float = 1
    ) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        setting = dict(self.manifest.search_parameters)
        if (
            "nprobe" in setting
        ):  # where few rows match, the nearest of them are in lists further off
            setting["nprobe"] = int(setting["nprobe"] * reach)
        parameters = faiss_parameters(self.files.searched, setting, k, selector)
        found: tuple[Any, Any] = self.files.searched.search(queries, k, params=parameters)
        return found

    def _search_among(
        self, queries: NDArray[np.float32], k: int, allowed: NDArray[np.int64], *, filtered: bool
    ) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """The same among some places: all are scored where a filter leaves few, else by a selector."""
        places = self.files.searched.ntotal
        if k == 0:
            return np.empty((len(queries), 0), np.float32), np.empty((len(queries), 0), np.int64)
        selects = can_select(self.files.searched)
        few = filtered and len(allowed) <= SCANNED_ROWS and gives_vectors(self.files.stored)
        if selects and not few:
            chosen = np.zeros(places, np.bool_)
            chosen[allowed] = True
            selector = faiss.IDSelectorBitmap(np.packbits(chosen, bitorder="little"))
            return self._search(queries, k, selector, places / len(allowed))
        best = faiss.ResultHeap(len(queries), k, keep_max=True)
        for start in range(0, len(allowed), SCANNED_BLOCK):
            block = allowed[start : start + SCANNED_BLOCK]
            scores = queries @ unit_vectors(self._reconstruct(block)).T
            best.add_result(scores, np.broadcast_to(block, scores.shape))
        best.finalize()
        return best.D, best.I
