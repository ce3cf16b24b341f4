"""What the ids of an index stand for: rows.parquet."""

from __future__ import annotations

from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from index.embedding_dataset import SPACE_KEY, EmbeddingDataset
from index.vector_space import VectorSpace

ROWS_FILE: Final = "rows.parquet"


def fresh_rows(dataset: EmbeddingDataset) -> pa.Table:
    """The rows of a new index: id and position are the row of the dataset."""
    pictures = dataset.pictures()
    numbers = pa.array(np.arange(pictures.num_rows, dtype=np.int64))
    return numbered_rows(pictures, numbers, numbers)


def numbered_rows(pictures: pa.Table, ids: pa.Array, positions: pa.Array) -> pa.Table:
    """`id`, `position`, then the columns of `EmbeddingDataset.pictures`."""
    return pictures.add_column(0, "id", ids).add_column(1, "position", positions)


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
