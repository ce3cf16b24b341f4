"""How alike strangers are in a data set, learnt from the set itself, and the threshold that follows.

Nearly all pairs of pictures are strangers. Beyond their bulk, the number of pairs above a score falls by
a constant factor a step (an exponential tail): on embeddings of photographs down to one pair in a
million. So the tail, fitted where strangers are still many, tells how many of them stand above any
higher score, and what was found there beyond that number are copies.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from index.compared_vectors import ComparedVectors
from index.progress import UNSHOWN, Advance

SAMPLED_ROWS: Final = 512
LEAST_PICTURES: Final = 64  # fewer have too few pairs to learn from
BINS: Final = 4000  # of scores from -1 to 1
TAIL: Final = (
    0.02,
    0.005,
)  # the shares of strangers above the two scores that the tail is fitted by
BULK: Final = (
    6  # deviations above the median, measured below it: higher scores may be those of copies
)
STRANGERS: Final = (
    1e-2  # the share of strangers that are as alike as a copy's copy must be to the kept one
)


@dataclass(frozen=True)
class ScoreDistribution:
    """The tail of the scores of strangers: `TAIL[1] * exp(-decay * (score - start))` of all pairs.

    Attributes:
        pairs: how many pairs of pictures there are.
        median: of the scores of all pairs.
        start: the score above which a share of TAIL[1] of strangers stands.
        decay: of the tail, per unit of score.
    """

    pairs: int
    median: float
    start: float
    decay: float

    @classmethod
    def learn(cls, histogram: NDArray[np.int64], pairs: int) -> ScoreDistribution | None:
        """Fit the tail; None where the scores have none, as where all vectors are the same.

        Args:
            histogram: int64 [BINS], the scores of a sample of all pairs, from -1 to 1.
            pairs: how many pairs there are in all.
        """
        if histogram.sum() < LEAST_PICTURES**2 // 2:
            return None
        median, below = _quantile(histogram, 0.5), _quantile(histogram, 0.159)
        end = _bin(median + BULK * (median - below))
        bulk = histogram[:end]
        first, start = (_quantile(bulk, 1 - share) for share in TAIL)
        if start - first < 2 / BINS:
            return None
        return cls(pairs, median, start, math.log(TAIL[0] / TAIL[1]) / (start - first))

    def strangers_above(self, score: float) -> float:
        """How many pairs of strangers are expected to have a higher score."""
        return self.pairs * TAIL[1] * math.exp(-self.decay * (score - self.start))

    def score_of_share(self, share: float) -> float:
        """The score above which this share of the pairs of strangers stands."""
        return self.start + math.log(TAIL[1] / share) / self.decay

    def threshold(self, precision: float, scores: NDArray[np.float32]) -> float | None:
        """The least score from which on that share of what was found are copies; None for no score.

        Args:
            precision: the share, such as 0.99.
            scores: of all pairs that were found.
        """
        ordered = np.sort(scores.astype(np.float64))[::-1]
        found = np.arange(1, len(ordered) + 1)
        strangers = self.pairs * TAIL[1] * np.exp(-self.decay * (ordered - self.start))
        is_sound = strangers <= (1 - precision) * found
        # From the top down, as long as every score on the way is sound: few pairs at the top may not be.
        sound = np.flatnonzero(is_sound & (ordered > self.start))
        if not len(sound):
            return None
        gaps = np.flatnonzero(~is_sound[sound[0] :])
        last = sound[0] + (gaps[0] if len(gaps) else len(ordered) - sound[0]) - 1
        return float(ordered[min(last, sound[-1])])


def sample_scores(
    vectors: ComparedVectors, advance: Advance = UNSHOWN.advance
) -> NDArray[np.int64]:
    """How often each score occurs between a seeded sample of vectors and all others: int64 [BINS].

    By two passes over the vectors.
    """
    count = len(vectors)
    drawn = np.random.default_rng(0).choice(count, min(SAMPLED_ROWS, count), replace=False)
    sampled = np.sort(drawn).astype(np.int64)
    sample = vectors.units_at(sampled, advance)
    counts = np.zeros(BINS, np.int64)
    for numbers, units in vectors.batches():
        scores = sample @ units.T
        is_itself = sampled[:, None] == numbers
        places = np.clip((scores[~is_itself] + 1) * (BINS / 2), 0, BINS - 1).astype(np.int64)
        counts += np.bincount(places, minlength=BINS)
        advance(len(numbers))
    return counts


def _quantile(histogram: NDArray[np.int64], share: float) -> float:
    """The score below which a share of a histogram lies."""
    upto = np.cumsum(histogram)
    place = int(np.searchsorted(upto, share * upto[-1]))
    return (place + 0.5) * 2 / BINS - 1


def _bin(score: float) -> int:
    return min(BINS, max(1, math.ceil((score + 1) * BINS / 2)))
