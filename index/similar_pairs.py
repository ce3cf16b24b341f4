"""Vectors -> the pairs of them that are most alike: exactly, by blocks, or by an index."""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from index.progress import UNSHOWN, Advance

ROW_BLOCK: Final = 1024
COLUMN_BLOCK: Final = 4096  # a block of scores is 16 MiB
CROWDED: Final = 4


@dataclass(frozen=True)
class SimilarPairs:
    """Pairs of rows, each once, ordered by their rows.

    Attributes:
        first: int64 [pairs].
        second: int64 [pairs], greater than `first`.
        scores: float32 [pairs], their cosine.
    """

    first: NDArray[np.int64]
    second: NDArray[np.int64]
    scores: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.first)

    @classmethod
    def none(cls) -> SimilarPairs:
        """No pairs."""
        empty = np.empty(0, np.int64)
        return cls(empty, empty, np.empty(0, np.float32))

    @classmethod
    def of(
        cls, one: NDArray[np.int64], other: NDArray[np.int64], scores: NDArray[np.float32]
    ) -> SimilarPairs:
        """Pairs in any order, the rows of each too; of one that comes twice, the higher score."""
        first, second = np.minimum(one, other), np.maximum(one, other)
        order = np.lexsort((-scores, second, first))
        first, second, scores = first[order], second[order], scores[order]
        is_new = np.ones(len(first), bool)
        is_new[1:] = (first[1:] != first[:-1]) | (second[1:] != second[:-1])
        is_new &= first != second
        return cls(first[is_new], second[is_new], scores[is_new])

    @classmethod
    def merged(cls, pieces: Sequence[SimilarPairs]) -> SimilarPairs:
        """Those of several, each once."""
        return cls.of(
            np.concatenate([piece.first for piece in pieces]),
            np.concatenate([piece.second for piece in pieces]),
            np.concatenate([piece.scores for piece in pieces]),
        )

    @classmethod
    def from_bytes(cls, data: bytes) -> SimilarPairs:
        """Those that `to_bytes` gave."""
        with io.BytesIO(data) as stream:
            return cls(*(np.load(stream, allow_pickle=False) for _ in range(3)))

    def to_bytes(self) -> bytes:
        """For a file."""
        with io.BytesIO() as stream:
            for column in (self.first, self.second, self.scores):
                np.save(stream, column, allow_pickle=False)
            return stream.getvalue()

    def take(self, chosen: NDArray[np.bool_] | NDArray[np.int64]) -> SimilarPairs:
        """Some of them, in order."""
        return SimilarPairs(self.first[chosen], self.second[chosen], self.scores[chosen])

    def nearest(self, most: int) -> SimilarPairs:
        """The pairs that are among the `most` best of one of their rows."""
        count = len(self)
        if count == 0:
            return self
        rows = np.concatenate([self.first, self.second])
        partners = np.concatenate([self.second, self.first])
        order = np.lexsort((partners, -np.concatenate([self.scores, self.scores]), rows))
        ranked = rows[order]
        starts = np.flatnonzero(np.r_[True, ranked[1:] != ranked[:-1]])
        rank = np.arange(2 * count) - np.repeat(starts, np.diff(np.r_[starts, 2 * count]))
        kept = np.zeros(count, bool)
        kept[order[rank < most] % count] = True
        return self.take(kept)


def join_pairs(found: Iterable[SimilarPairs], most: int) -> SimilarPairs:
    """What was found in pieces, in any order, each row with its `most` best."""
    kept = SimilarPairs.none()
    waiting: list[SimilarPairs] = []
    for piece in found:
        waiting.append(piece)
        # Pruned as it grows: a pair that is not among the best so far will never be.
        if sum(map(len, waiting)) > max(1 << 20, 2 * len(kept)):
            kept, waiting = SimilarPairs.merged([kept, *waiting]).nearest(most), []
    return SimilarPairs.merged([kept, *waiting]).nearest(most)


def exact_pairs(
    units: NDArray[np.float32],
    rows: range,
    least_score: float,
    most: int,
    *,
    sides: NDArray[np.int8] | None = None,
    advance: Advance = UNSHOWN.advance,
) -> Iterator[SimilarPairs]:
    """The pairs of some rows with all rows after each, by blocks of matrix products.

    Args:
        units: float32 [n, dim], all vectors, of length one.
        rows: the first rows of the pairs.
        least_score: cosine that a pair must have.
        most: where a block has far more of them, only so many of each row are given, the best.
        sides: int8 [n]; where given, only pairs across two sides.
        advance: is told now and then of how many more pairs were compared, whatever sides they are on.
    """
    scores = np.empty((ROW_BLOCK, COLUMN_BLOCK), np.float32)
    for top in range(rows.start, rows.stop, ROW_BLOCK):
        bottom = min(top + ROW_BLOCK, rows.stop)
        for left in range(top, len(units), COLUMN_BLOCK):
            right = min(left + COLUMN_BLOCK, len(units))
            block = scores[: bottom - top, : right - left]
            np.matmul(units[top:bottom], units[left:right].T, out=block)
            if left < bottom:  # a row is in no pair with itself, nor with those before it
                block[np.tri(bottom - top, right - left, top - left, dtype=bool)] = -np.inf
            if sides is not None:
                block[sides[top:bottom, None] == sides[left:right]] = -np.inf
            places = np.flatnonzero(block >= least_score)
            if len(places) > CROWDED * most * sum(block.shape):
                best = _best_places(block, most)
                places = best[block.ravel()[best] >= least_score]
            one, other = np.divmod(places, right - left)
            if len(one):
                values = np.minimum(block[one, other], 1)
                yield SimilarPairs(one + top, other + left, values)
        advance(_pairs_from(len(units), top) - _pairs_from(len(units), bottom))


def _pairs_from(count: int, row: int) -> int:
    """How many pairs of `count` rows have both from `row` on."""
    left = count - row
    return left * (left - 1) // 2


def _best_places(block: NDArray[np.float32], most: int) -> NDArray[np.int64]:
    """The places in a block of the `most` best scores of each row and of each column, in order."""
    rows, columns = block.shape
    of_rows = np.argpartition(block, columns - min(most, columns), axis=1)[:, -most:]
    of_columns = np.argpartition(block, rows - min(most, rows), axis=0)[-most:]
    places = np.concatenate(
        [
            (np.arange(rows)[:, None] * columns + of_rows).ravel(),
            (of_columns * columns + np.arange(columns)).ravel(),
        ]
    )
    found: NDArray[np.int64] = np.unique(places)
    return found
