"""What the ids of an index stand for: rows.parquet."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from index.embedding_dataset import SPACE_KEY, EmbeddingDataset
from index.vector_space import VectorSpace

ROWS_FILE: Final = "rows.parquet"


@dataclass(frozen=True)
class IndexRows:
    """What an index holds, row by row.

    Attributes:
        table: `id`, `position`, then the columns of `EmbeddingDataset.pictures`.
        next_id: the id that the next new picture gets: no id is ever given twice.
        updates: how often the index was brought up to date.
    """

    table: pa.Table
    next_id: int
    updates: int = 0

    @classmethod
    def of(
        cls, pictures: pa.Table, ids: NDArray[np.int64], next_id: int, updates: int = 0
    ) -> IndexRows:
        """Pictures with their ids, one after the other in the index."""
        positions = pa.array(np.arange(len(ids), dtype=np.int64))
        table = pictures.add_column(0, "id", pa.array(ids)).add_column(1, "position", positions)
        return cls(table, next_id, updates)

    def in_dataset_order(self) -> IndexRows:
        """The same rows as a new index of the dataset holds them."""
        ordered = self.table.sort_by([("part", "ascending"), ("row", "ascending")])
        pictures = ordered.drop_columns(["id", "position"])
        ids = ordered.column("id").to_numpy()
        return IndexRows.of(pictures, ids, self.next_id, self.updates)


def fresh_rows(dataset: EmbeddingDataset) -> IndexRows:
    """The rows of a new index: id and position are the row of the dataset."""
    pictures = dataset.pictures()
    return IndexRows.of(pictures, np.arange(pictures.num_rows), pictures.num_rows)


def encode_rows(rows: pa.Table, space: VectorSpace) -> pa.Buffer:
    """The bytes of rows.parquet."""
    sink = pa.BufferOutputStream()
    meaning = {SPACE_KEY: space.model_dump_json()}
    numbers = ["id", "position", "part", "row"]
    pq.write_table(
        rows.replace_schema_metadata(meaning),
        sink,
        compression="zstd",
        use_dictionary=["format"],
        column_encoding=dict.fromkeys(numbers, "DELTA_BINARY_PACKED"),
    )
    return sink.getvalue()
