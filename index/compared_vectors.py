"""The vectors whose pairs are compared: distinct pictures of one or two data sets, by their numbers."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from index.dataset_rows import part_starts
from index.embedding_dataset import EmbeddingDataset
from index.progress import UNSHOWN, Advance
from index.unit_vectors import unit_vectors

BATCH_ROWS: Final = 4096


@dataclass(frozen=True)
class ComparedVectors:
    """Distinct pictures by their numbers.

    Attributes:
        datasets: whose rows follow each other.
        rows: int64 [count], the row of each picture among those of all data sets.
        sides: int8 [count], 0 or 1, where only pairs across two sides are wanted; else None.
    """

    datasets: tuple[EmbeddingDataset, ...]
    rows: NDArray[np.int64]
    sides: NDArray[np.int8] | None = None

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def dim(self) -> int:
        """The width of a vector."""
        return self.datasets[0].space.num_features

    @property
    def pairs(self) -> int:
        """How many there are to compare."""
        if self.sides is None:
            return len(self) * (len(self) - 1) // 2
        across = int(self.sides.sum())
        return across * (len(self) - across)

    def numbers(self) -> NDArray[np.int64]:
        """The number of each row of all data sets, -1 for one that is not compared: int64 [rows]."""
        numbers = np.full(sum(map(len, self.datasets)), -1, np.int64)
        numbers[self.rows] = np.arange(len(self))
        return numbers

    def units(self, advance: Advance = UNSHOWN.advance) -> NDArray[np.float32]:
        """All of them in memory: float32 [count, dim], of length one."""
        every = np.empty((len(self), self.dim), np.float32)
        for numbers, units in self.batches():
            every[numbers] = units
            advance(len(numbers))
        return every

    def batches(
        self, stored: range | None = None
    ) -> Iterator[tuple[NDArray[np.int64], NDArray[np.float32]]]:
        """Their numbers and vectors, of length one, in the order in which they are stored.

        Args:
            stored: only those within these rows of all data sets; None for all.
        """
        wanted = range(sum(map(len, self.datasets))) if stored is None else stored
        number_of = self.numbers()
        start = 0
        for dataset in self.datasets:
            parts = []
            starts = [*(start + part_starts(dataset)), start + len(dataset)]
            for part, (first, end) in enumerate(itertools.pairwise(starts)):
                if first < wanted.stop and end > wanted.start:
                    parts.append(part)
            place = int(starts[parts[0]]) if parts else 0
            for batch in dataset.batches(BATCH_ROWS, parts=parts):
                numbers = number_of[place : place + len(batch)]
                rows = np.arange(place, place + len(batch))
                place += len(batch)
                inside = (rows >= wanted.start) & (rows < wanted.stop)
                asked = np.flatnonzero((numbers >= 0) & inside)
                if len(asked):
                    yield numbers[asked], unit_vectors(batch.vectors[asked])
            start += len(dataset)

    def units_at(
        self, numbers: NDArray[np.int64], advance: Advance = UNSHOWN.advance
    ) -> NDArray[np.float32]:
        """Some of them, by one pass over all: float32 [numbers, dim], of length one."""
        wanted, place = np.unique(numbers, return_inverse=True)
        found = np.empty((len(wanted), self.dim), np.float32)
        for stored, units in self.batches():
            here = np.isin(stored, wanted)
            found[np.searchsorted(wanted, stored[here])] = units[here]
            advance(len(stored))
        return found[place]
