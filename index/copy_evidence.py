"""Pairs that may be copies, and what looking at their pictures showed."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Sequence
from dataclasses import astuple, dataclass, field, replace
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from index.similar_pairs import SimilarPairs

Verdict = Literal["same", "identical", "different", "undecided", "unreadable"]
VERDICTS: Final[tuple[Verdict, ...]] = (
    "same",
    "identical",
    "different",
    "undecided",
    "unreadable",
)
UNSEEN: Final = -1  # the verdict on a pair before anybody looked; others are places in VERDICTS
COPIES: Final = tuple(VERDICTS.index(one) for one in ("same", "identical"))
LEFT_OPEN: Final = tuple(VERDICTS.index(one) for one in ("undecided", "unreadable"))


@dataclass(frozen=True, slots=True)
class Look:
    """What became of laying two pictures on each other.

    Attributes:
        verdict: "same" picture or "different"; "identical" for the same bytes, without a look;
            "undecided" where one shows too little to tell; "unreadable" where one cannot be
            read now.
        agreement: the share of what was compared that shows the same; 0 where nothing could be laid on
            anything.
        change: how the one was made from the other, such as "mirrored, turned 90°"; empty where
            both fill the same frame.
    """

    verdict: Verdict
    agreement: float = 0.0
    change: str = ""


def encode_looks(looks: Sequence[Look]) -> bytes:
    """For a file."""
    return json.dumps([astuple(look) for look in looks]).encode()


def decode_looks(data: bytes) -> list[Look]:
    """Those that `encode_looks` took."""
    return [Look(*fields) for fields in json.loads(data)]


LookAtPairs = Callable[[NDArray[np.int64], NDArray[np.int64]], Sequence[Look]]


@dataclass
class CopyEvidence:
    """What is known of pairs.

    Attributes:
        pairs: that may be copies.
        threshold: the score from which a pair that nobody could judge by its pictures counts as copies;
            None for no score.
        looks: whether a pair must have been looked at to count.
        seen: what looking showed, by the pair's place.
        verdicts: int8 [pairs], of each pair: a place in VERDICTS, or UNSEEN.
    """

    pairs: SimilarPairs
    threshold: float | None
    looks: bool = False
    seen: dict[int, Look] = field(default_factory=dict)
    verdicts: NDArray[np.int8] = field(init=False)

    def __post_init__(self) -> None:
        self.verdicts = np.full(len(self.pairs), UNSEEN, np.int8)

    def look(self, places: NDArray[np.int64], look: LookAtPairs) -> None:
        """Look at some pairs, and keep what it showed."""
        self.looks = True
        order = places[np.argsort(self.pairs.first[places], kind="stable")]
        found = look(self.pairs.first[order], self.pairs.second[order])
        for place, one in zip(order.tolist(), found, strict=True):
            self.seen[place] = one
            self.verdicts[place] = VERDICTS.index(one.verdict)

    def look_in_rounds(self, count: int, rounds: int, look: LookAtPairs) -> None:
        """Look at each picture's best pair, then at its next; not at pairs that are joined by others.

        Args:
            count: of pictures.
            rounds: how many pairs of each picture to look at, at most.
            look: shows what became of pairs.
        """
        for _ in range(rounds):
            groups = components(count, self.pairs.take(np.isin(self.verdicts, COPIES)))
            apart = groups[self.pairs.first] != groups[self.pairs.second]
            waiting = np.flatnonzero(apart & (self.verdicts == UNSEEN))
            if not len(waiting):
                return
            rows = np.concatenate([self.pairs.first[waiting], self.pairs.second[waiting]])
            both = np.concatenate([waiting, waiting])
            order = np.lexsort((both, -self.pairs.scores[both], rows))
            is_best = np.r_[True, rows[order][1:] != rows[order][:-1]]
            self.look(np.unique(both[order][is_best]), look)
        self.looks = True

    def add_identical(self, pairs: SimilarPairs) -> None:
        """Take in pairs of the same bytes."""
        for place in self.add(pairs).tolist():
            self.seen[place] = Look("identical", 1.0)
            self.verdicts[place] = VERDICTS.index("identical")

    def add(self, pairs: SimilarPairs) -> NDArray[np.int64]:
        """Take in more pairs; the places of those that nobody has looked at."""
        merged = SimilarPairs.merged([self.pairs, pairs])
        keys = _keys(merged)
        moved, asked = np.searchsorted(keys, _keys(self.pairs)), np.searchsorted(keys, _keys(pairs))
        verdicts = np.full(len(merged), UNSEEN, np.int8)
        verdicts[moved] = self.verdicts
        self.seen = {int(moved[place]): one for place, one in self.seen.items()}
        self.pairs, self.verdicts = merged, verdicts
        unseen: NDArray[np.int64] = np.unique(asked[verdicts[asked] == UNSEEN])
        return unseen

    def part(self, pairs: Collection[tuple[int, int]]) -> None:
        """Take pairs for no copies, whatever looking at them alone showed."""
        if not pairs:
            return
        one, other = np.array(sorted(pairs), np.int64).T
        parted = SimilarPairs.of(one, other, np.zeros(len(one), np.float32))
        for place in np.searchsorted(_keys(self.pairs), _keys(parted)).tolist():
            look = self.seen.get(place, Look("different"))
            self.seen[place] = replace(look, verdict="different")
            self.verdicts[place] = VERDICTS.index("different")

    def are_copies(self) -> NDArray[np.bool_]:
        """Which pairs count as copies: bool [pairs]."""
        score_decides = np.isin(self.verdicts, LEFT_OPEN if self.looks else (*LEFT_OPEN, UNSEEN))
        if self.threshold is None:
            score_decides[:] = False
        else:
            score_decides &= self.pairs.scores >= np.float32(self.threshold)
        copies: NDArray[np.bool_] = np.isin(self.verdicts, COPIES) | score_decides
        return copies


def _keys(pairs: SimilarPairs) -> NDArray[np.int64]:
    """One number a pair, which orders them as their rows do."""
    return (pairs.first << 32) | pairs.second


def components(count: int, pairs: SimilarPairs) -> NDArray[np.int64]:
    """The number of the set of joined pictures that each belongs to: int64 [count]."""
    ones = np.ones(len(pairs), np.int8)
    graph = coo_array((ones, (pairs.first, pairs.second)), shape=(count, count))
    labels: NDArray[np.int32] = connected_components(graph, directed=False)[1]
    return labels.astype(np.int64)
