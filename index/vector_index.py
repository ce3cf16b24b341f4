"""Open an index; vectors in, neighbors out."""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import Any

import faiss
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from index.errors import OutputMissing, UsageError
from index.manifest import IndexManifest
from index.output_folder import INDEX, OutputFolder, variant_partition
from index.unit_vectors import check_vectors, unit_vectors
from index.vector_space import VectorSpace


@dataclass(frozen=True)
class Neighbors:
    """What a search found, best first.

    Attributes:
        ids: int64 [queries, k], rows of the index; -1 where fewer than k were found.
        scores: float32 [queries, k], cosine to the query, at most 1.
    """

    ids: NDArray[np.int64]
    scores: NDArray[np.float32]


@dataclass(frozen=True)
class VectorIndex:
    """A nearest-neighbor index and the rows its ids stand for.

    Attributes:
        manifest: what the index holds and how well it searches.
        rows: one row an id, in the order of ids: `id`, the picture's columns, and the `part` and
            `row` of the dataset that hold its stored vector.
    """

    manifest: IndexManifest
    rows: pa.Table
    faiss_index: Any

    @classmethod
    def open(
        cls, folder: str | OutputFolder, *, query_space: VectorSpace | None = None
    ) -> VectorIndex:
        """Open an index folder, its checksums verified before anything is parsed.

        Args:
            folder: OUT/index/variant=<name>.
            query_space: what the queries will mean; another space than the index's is refused.
        """
        place = folder if isinstance(folder, OutputFolder) else OutputFolder.at(folder)
        manifest = IndexManifest.read(place)
        if query_space is not None:
            manifest.space.require_same(query_space)
        reader = faiss.PyCallbackIOReader(
            io.BytesIO(manifest.index_file.read_from(place)).read, 1 << 20
        )
        index = faiss.read_index(reader)
        if manifest.search_parameters:
            faiss.ParameterSpace().set_index_parameters(index, manifest.search_parameters)
        rows = pq.read_table(pa.BufferReader(manifest.rows_file.read_from(place)))
        return cls(manifest, rows, index)

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

    def search(self, vectors: NDArray[np.float32], k: int = 10) -> Neighbors:
        """The `k` nearest rows of each query, or all rows where there are fewer.

        Args:
            vectors: float32 [queries, dim], of any length: they are compared by cosine.
            k: at least 1.

        Raises:
            InvalidInput: the vectors have another width, or are not finite.
        """
        if k < 1:
            raise UsageError(f"k is {k}; it must be at least 1")
        queries = unit_vectors(check_vectors(vectors, self.space.num_features))
        scores, ids = self.faiss_index.search(queries, min(k, len(self)))
        return Neighbors(ids=ids, scores=np.minimum(scores, np.float32(1)))

    def find(self, uri: str) -> int | None:
        """The id of the picture at `uri`; None where the index does not hold it."""
        position = pc.index(self.rows.column("uri"), uri).as_py()
        return None if position < 0 else int(position)
