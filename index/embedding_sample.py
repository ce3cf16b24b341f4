"""A dataset -> some of its pictures with their vectors, and how near each is to its nearest other."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from index.dataset_rows import sample_rows
from index.embedding_dataset import EmbeddingDataset
from index.unit_vectors import unit_vectors

SAMPLE: Final = 1500
BATCH: Final = 4096
SAME: Final = 1e-6  # cosine distances below it are rounding: the vectors are equal


@dataclass(frozen=True)
class EmbeddingSample:
    """Pictures of a dataset.

    Attributes:
        rows: int64 [n], the row of each in the dataset; sorted.
        uris: of each.
        units: float32 [n, dim], their vectors, scaled to length one.
        total: how many pictures the dataset has.
    """

    rows: NDArray[np.int64]
    uris: tuple[str, ...]
    units: NDArray[np.float32]
    total: int

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def told(self) -> str:
        """How large it is, for people.

        >>> EmbeddingSample(np.arange(2), ("a", "b"), np.ones((2, 1), np.float32), 9000).told
        '2 of 9,000 pictures, drawn at random'
        """
        if len(self) == self.total:
            return "all 1 picture" if self.total == 1 else f"all {self.total:,} pictures"
        return f"{len(self):,} of {self.total:,} pictures, drawn at random"


def sample_embeddings(
    dataset: EmbeddingDataset, count: int = SAMPLE, seed: int = 0
) -> EmbeddingSample:
    """A seeded sample of a dataset, by one pass over it.

    Raises:
        ArtifactDamaged: a part is not what was written.
    """
    rows = sample_rows(np.arange(len(dataset)), count, seed)
    units = np.empty((len(rows), dataset.space.num_features), np.float32)
    uris: list[str] = []
    start = 0
    for batch in dataset.batches(BATCH):
        first, last = np.searchsorted(rows, (start, start + len(batch)))
        chosen = rows[first:last] - start
        units[first:last] = unit_vectors(batch.vectors[chosen])
        uris += batch.pictures.column("uri").take(chosen).to_pylist()
        start += len(batch)
    return EmbeddingSample(rows, tuple(uris), units, len(dataset))


def nearest_distances(dataset: EmbeddingDataset, sample: EmbeddingSample) -> NDArray[np.float32]:
    """The cosine distance of each sampled picture to the nearest other one of the whole dataset.

    Exact, by one pass; a batch and its scores are in memory.

    Args:
        dataset: of at least two pictures.
        sample: of it.

    Returns:
        float32 [n], from 0 (the same direction) to 2.
    """
    best = np.full(len(sample), -np.inf, np.float32)
    start = 0
    for batch in dataset.batches(BATCH):
        scores = sample.units @ unit_vectors(batch.vectors).T
        own = np.flatnonzero((sample.rows >= start) & (sample.rows < start + len(batch)))
        scores[own, sample.rows[own] - start] = -np.inf
        np.maximum(best, scores.max(axis=1), out=best)
        start += len(batch)
    distances = np.clip(1 - best, 0, 2)
    distances[distances < SAME] = 0
    return distances
