"""A dataset -> the vectors an index learns from."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from index.dataset_rows import part_starts, sample_rows, unit_vectors_of
from index.embedding_dataset import EmbeddingDataset

TRAINING_ROWS: Final = 65_536
MOST_QUERIES: Final = 0.5  # of the rows that could be learnt from
TRAINING_SHARE: Final = 4  # the sample takes at most this part of the memory


def training_sample(
    dataset: EmbeddingDataset, max_bytes: int, apart: NDArray[np.int64]
) -> NDArray[np.float32]:
    """A seeded sample of unit vectors: float32 [at most TRAINING_ROWS, dim].

    Of a dataset of many parts only some are read, drawn at random, four times what is needed. The rows
    `apart` are what recall is measured with: learnt from, they would be found better than others, so
    they are taken only where most rows are among them.
    """
    dim = dataset.space.num_features
    wanted = max(1024, min(TRAINING_ROWS, max_bytes // TRAINING_SHARE // (dim * 4)))
    sizes = np.array([part.rows or 0 for part in dataset.record.parts])
    drawn = np.random.default_rng(1).permutation(len(sizes))
    enough = int(np.searchsorted(np.cumsum(sizes[drawn]), 4 * wanted)) + 1
    chosen = np.sort(drawn[:enough])
    starts = part_starts(dataset)
    rows = np.concatenate([starts[part] + np.arange(sizes[part]) for part in chosen])
    others = np.setdiff1d(rows, apart)
    rows = sample_rows(others if len(others) >= MOST_QUERIES * len(rows) else rows, wanted, seed=1)
    return unit_vectors_of(dataset, rows)
