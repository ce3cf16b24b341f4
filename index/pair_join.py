"""The most alike pairs of many vectors, shard by shard: exact where they fit, by an index above that."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

from index.compared_vectors import ComparedVectors
from index.dataset_rows import rows_of_pictures
from index.progress import SILENT, UNSHOWN, Advance, Progress
from index.similar_pairs import SimilarPairs, exact_pairs, join_pairs
from index.vector_index import VectorIndex

SHARD_ROWS: Final = 8192
QUERIES: Final = 1024
PROBED: Final = (1024, 4096)  # vectors that are multiplied to see how fast this machine is

FindPairs = Callable[[range, Advance], SimilarPairs]


class PairJoin(Protocol):
    """A way to find pairs; it is small, so that it can go to workers."""

    def shards(self) -> Sequence[range]:
        """The pieces of the work."""
        ...

    def open(self, progress: Progress = SILENT) -> FindPairs:
        """Load what finding takes; gives what finds the pairs of a shard."""
        ...

    def work(self) -> tuple[int, str]:
        """How much there is to do in all shards, and of what: as finding says how far it is."""
        ...

    def estimate_s(self) -> float:
        """About how long all of it takes in one process on this machine, in seconds."""
        ...


@dataclass(frozen=True)
class ExactJoin:
    """Every pair is compared; all vectors are in memory.

    Attributes:
        vectors: to compare.
        least_score: cosine that a pair must have.
        most: how many pairs of a picture are kept, the best ones.
    """

    vectors: ComparedVectors
    least_score: float
    most: int

    def shards(self) -> Sequence[range]:
        """Rows that are compared with all after them."""
        return _shards(len(self.vectors))

    def open(self, progress: Progress = SILENT) -> FindPairs:
        """Read the vectors."""
        with progress.step("reading vectors", len(self.vectors), "vectors") as step:
            units, sides = self.vectors.units(step.advance), self.vectors.sides

        def find(rows: range, advance: Advance) -> SimilarPairs:
            found = exact_pairs(
                units, rows, self.least_score, self.most, sides=sides, advance=advance
            )
            return join_pairs(found, self.most)

        return find

    def work(self) -> tuple[int, str]:
        """Pairs, those of one side too: they are compared and left out."""
        return len(self.vectors) * (len(self.vectors) - 1) // 2, "pairs"

    def estimate_s(self) -> float:
        """From one matrix product."""
        rng = np.random.default_rng(0)
        one, other = (rng.random((count, self.vectors.dim), np.float32) for count in PROBED)
        _ = one[:64] @ other.T  # BLAS starts its threads
        started = time.perf_counter()
        _ = one @ other.T
        seconds = time.perf_counter() - started
        return 1.3 * seconds * len(self.vectors) ** 2 / 2 / (PROBED[0] * PROBED[1])


@dataclass(frozen=True)
class IndexJoin:
    """Every picture is looked up in an index of the first data set.

    Attributes:
        vectors: to compare; the index holds the first of their data sets.
        folder: of the index.
        least_score: cosine that a pair must have.
        most: how many neighbors of a picture are asked for.
    """

    vectors: ComparedVectors
    folder: str
    least_score: float
    most: int

    def shards(self) -> Sequence[range]:
        """Places in the order in which the vectors are stored."""
        return _shards(sum(map(len, self.vectors.datasets)))

    def open(self, progress: Progress = SILENT) -> FindPairs:
        """Map the index."""
        index = VectorIndex.open(self.folder)
        dataset = self.vectors.datasets[0]
        found_number = self.vectors.numbers()[
            rows_of_pictures(dataset, index.rows)
        ]  # by the row of the index
        sides = self.vectors.sides
        among = found_number >= 0
        if sides is not None:
            among &= sides[found_number] == 0
        chosen = None if among.all() else among

        def find(rows: range, advance: Advance) -> SimilarPairs:
            found = self._search(index, rows, found_number, chosen, advance)
            return join_pairs(found, self.most)

        return find

    def work(self) -> tuple[int, str]:
        """Pictures to look up."""
        sides = self.vectors.sides
        return len(self.vectors) if sides is None else int((sides == 1).sum()), "pictures"

    def _search(
        self,
        index: VectorIndex,
        rows: range,
        found_number: NDArray[np.int64],
        among: NDArray[np.bool_] | None,
        advance: Advance,
    ) -> Iterator[SimilarPairs]:
        sides = self.vectors.sides
        for numbers, units in self.vectors.batches(rows):
            asked = np.ones(len(numbers), bool) if sides is None else sides[numbers] == 1
            if not asked.any():
                continue
            queries = numbers[asked]
            found = index.search(units[asked], self.most + (sides is None), among=among)
            known = found.ids >= 0
            partners = np.full(found.ids.shape, -1, np.int64)
            partners[known] = found_number[index.stored_rows.rows_of(found.ids[known])]
            kept = known & (partners != queries[:, None]) & (found.scores >= self.least_score)
            one = np.broadcast_to(queries[:, None], partners.shape)[kept]
            yield SimilarPairs.of(one, partners[kept], found.scores[kept])
            advance(len(queries))

    def estimate_s(self) -> float:
        """From a few queries."""
        find = self.open()
        probed = range(min(QUERIES, self.shards()[-1].stop))
        find(range(min(32, probed.stop)), UNSHOWN.advance)
        started = time.perf_counter()
        find(probed, UNSHOWN.advance)
        return (time.perf_counter() - started) * self.shards()[-1].stop / len(probed)


def _shards(count: int) -> list[range]:
    return [range(start, min(start + SHARD_ROWS, count)) for start in range(0, count, SHARD_ROWS)]
