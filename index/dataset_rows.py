"""The rows of a dataset by their number, from its first part to its last."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from index.embedding_dataset import EmbeddingDataset
from index.unit_vectors import unit_vectors


def part_starts(dataset: EmbeddingDataset) -> NDArray[np.int64]:
    """The row of the dataset that each of its parts begins with: int64 [parts]."""
    sizes = [part.rows or 0 for part in dataset.record.parts]
    return np.cumsum([0, *sizes[:-1]], dtype=np.int64)


def rows_of_pictures(dataset: EmbeddingDataset, pictures: pa.Table) -> NDArray[np.int64]:
    """The rows of pictures that say their `part`, and their `row` in it: int64 [pictures]."""
    starts = part_starts(dataset)[pictures.column("part").to_numpy()]
    rows: NDArray[np.int64] = starts + pictures.column("row").to_numpy()
    return rows


def sample_rows(rows: NDArray[np.int64], count: int, seed: int) -> NDArray[np.int64]:
    """A seeded sample of some rows, sorted."""
    chosen = np.random.default_rng(seed).choice(len(rows), min(count, len(rows)), replace=False)
    return np.sort(rows[chosen]).astype(np.int64)


def unit_vectors_of(dataset: EmbeddingDataset, rows: NDArray[np.int64]) -> NDArray[np.float32]:
    """The stored vectors of some rows, scaled to length one: float32 [rows, dim]."""
    starts = part_starts(dataset)
    parts = np.searchsorted(starts, rows, side="right") - 1
    places = parts.astype(np.int32), (rows - starts[parts]).astype(np.int32)
    return unit_vectors(dataset.vectors_at(*places))
