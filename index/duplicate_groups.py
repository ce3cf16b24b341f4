"""Copies -> groups that cannot drift, each around the picture to keep; the evidence for each member."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from index.copy_evidence import CopyEvidence, Look, components
from index.distinct_pictures import DistinctPictures
from index.similar_pairs import SimilarPairs

Kind = Literal["exact", "near", "transformed"]
Proof = Literal["bytes", "pictures", "score"]


@dataclass(frozen=True)
class Duplicate:
    """A member of a group beside the kept one.

    Attributes:
        picture: its row in the table of pictures.
        score: its cosine to the kept picture.
        kind: "exact" for the very same bytes, "near" for the same frame, "transformed" for a part
            of it, or turned, mirrored, framed.
        is_direct: whether it is a copy of the kept picture itself; else of one that is.
        proof: what says so: the same bytes, the pictures laid on each other, or only the score.
        agreement: the share of what was compared that shows the same; None where nobody looked.
        change: what was done, such as "turned 90°".
        via: the row of the picture that it was found a copy of: the kept one, where it is direct.
    """

    picture: int
    score: float
    kind: Kind
    is_direct: bool
    proof: Proof
    agreement: float | None
    change: str
    via: int


@dataclass(frozen=True)
class DuplicateGroup:
    """A picture to keep, and its duplicates: direct ones first, the most alike first."""

    keep: int
    duplicates: tuple[Duplicate, ...]


@dataclass(frozen=True)
class _Link:
    """To a picture that counts as a copy."""

    other: int
    proof: Proof
    score: float
    agreement: float | None
    change: str

    @property
    def kind(self) -> Kind:
        if self.proof == "bytes":
            return "exact"
        return "transformed" if self.change else "near"


def _closeness(link: _Link) -> tuple[bool, float, int]:
    """Those of the same frame first, then by their score."""
    return bool(link.change), -link.score, link.other


def _proof_of(look: Look | None) -> tuple[Proof, float | None, str]:
    if look is None or look.verdict not in ("same", "identical"):
        return "score", None, ""
    return "bytes" if look.verdict == "identical" else "pictures", look.agreement, look.change


class CopyGraph:
    """Which distinct pictures are copies of which.

    Args:
        evidence: of pairs of distinct pictures, by their numbers.
        count: of distinct pictures.
        rank: int64 [count]: the picture most worth keeping has 0.
    """

    def __init__(self, evidence: CopyEvidence, count: int, rank: NDArray[np.int64]) -> None:
        copies = np.flatnonzero(evidence.are_copies())
        self.pairs = evidence.pairs.take(copies)
        self.rank = rank
        self._links: dict[int, list[_Link]] = {}
        for place, first, second, score in zip(
            copies.tolist(),
            self.pairs.first.tolist(),
            self.pairs.second.tolist(),
            self.pairs.scores.tolist(),
            strict=True,
        ):
            look = evidence.seen.get(place)
            proof, agreement, change = _proof_of(look)
            for one, other in ((first, second), (second, first)):
                link = _Link(other, proof, score, agreement, change)
                self._links.setdefault(one, []).append(link)
        self._sets = components(count, self.pairs)

    def links(self, number: int) -> list[_Link]:
        """To the copies of a picture."""
        return self._links.get(number, [])

    def sets(self) -> list[list[int]]:
        """Pictures that are joined by copies, in twos or more, those most worth keeping first."""
        found: dict[int, list[int]] = {}
        for number in sorted(self._links, key=lambda one: int(self.rank[one])):
            found.setdefault(int(self._sets[number]), []).append(number)
        return list(found.values())

    def possible_mixtures(self) -> dict[int, list[list[int]]]:
        """Pictures with copies that nothing else joins: these in sets that are joined, the best first.

        A collage holds two photographs that are strangers; but so may a photograph hold two crops.
        """
        found = {}
        for number, links in self._links.items():
            if len(links) < 2 or not any(link.change for link in links):
                continue
            others = [link.other for link in sorted(links, key=_closeness)]
            place = {other: at for at, other in enumerate(others)}
            joined = [
                (place[other], place[link.other])
                for other in others
                for link in self.links(other)
                if link.other in place
            ]
            first, second = np.array(joined, np.int64).reshape(-1, 2).T
            graph = SimilarPairs.of(first, second, np.ones(len(first), np.float32))
            sets: dict[int, list[int]] = {}
            for other, label in zip(others, components(len(others), graph).tolist(), strict=True):
                sets.setdefault(label, []).append(other)
            if len(sets) > 1:
                found[number] = list(sets.values())
        return found

    def unlinked_to_best(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Pairs of the best picture of each set and those in it that are not known to be its copies."""
        best: list[int] = []
        others: list[int] = []
        for members in self.sets():
            known = {link.other for link in self.links(members[0])}
            apart = [one for one in members[1:] if one not in known]
            others += apart
            best += [members[0]] * len(apart)
        return np.array(best, np.int64), np.array(others, np.int64)


Scores = Mapping[tuple[int, int], float]


def star_groups(
    graph: CopyGraph,
    pictures: DistinctPictures,
    scores: Scores,
    *,
    least_score: float,
) -> list[DuplicateGroup]:
    """Groups of which every member is a copy of the kept picture, or of one that is.

    The picture most worth keeping takes its copies, and then theirs, as far as these are more like it
    than strangers are; then the next of those that are left. So no chain of small steps joins
    strangers.

    Args:
        graph: of copies among distinct pictures.
        pictures: their rows.
        scores: cosine of pairs of numbers, the first being the best of its set, where no link says it.
        least_score: what a copy's copy must have to the kept picture.

    Returns:
        Groups of two or more rows, in the order of their kept pictures' URIs.
    """
    members: dict[int, list[Duplicate]] = {}
    for together in graph.sets():
        left = dict.fromkeys(together)  # in order
        while left:
            keeper = next(iter(left))
            del left[keeper]
            taken = _copies_around(graph, keeper, left, scores, least_score)
            for number in taken:
                del left[number]
            if taken:
                members[keeper] = list(taken.values())
    return _with_same_bytes(members, pictures)


def _copies_around(
    graph: CopyGraph, keeper: int, left: Mapping[int, None], scores: Scores, least_score: float
) -> dict[int, Duplicate]:
    """The copies of a picture among those that are left, and their copies."""
    found = {
        link.other: _direct(link.other, link, keeper)
        for link in graph.links(keeper)
        if link.other in left
    }
    direct = sorted(found, key=lambda one: int(graph.rank[one]))
    for number in direct:
        for link in graph.links(number):
            if link.other == keeper or link.other in found or link.other not in left:
                continue
            score = scores.get((keeper, link.other))
            if score is None or score < least_score:
                continue
            by_way = found[number]
            found[link.other] = Duplicate(
                picture=link.other,
                score=score,
                kind="near" if by_way.kind == link.kind == "near" else "transformed",
                is_direct=False,
                proof="score" if "score" in (by_way.proof, link.proof) else "pictures",
                agreement=link.agreement,
                change=link.change,
                via=number,
            )
    return found


def _direct(picture: int, link: _Link, keeper: int) -> Duplicate:
    """A copy of the kept picture itself, by the link between them."""
    return Duplicate(
        picture=picture,
        score=link.score,
        kind=link.kind,
        is_direct=True,
        proof=link.proof,
        agreement=link.agreement,
        change=link.change,
        via=keeper,
    )


def leak_groups(
    graph: CopyGraph, pictures: DistinctPictures, is_kept_side: NDArray[np.bool_]
) -> list[DuplicateGroup]:
    """Groups across two sides: each picture of the one with its copies on the other, each of these once.

    Args:
        graph: of copies across the sides.
        pictures: their rows.
        is_kept_side: bool [distinct].
    """
    members: dict[int, list[Duplicate]] = {}
    for together in graph.sets():
        for number in together:
            if is_kept_side[number]:
                continue
            best = min(
                graph.links(number),
                key=lambda link: (-(link.agreement or 0), -link.score, int(graph.rank[link.other])),
            )
            members.setdefault(best.other, []).append(_direct(number, best, best.other))
    return _with_same_bytes(members, pictures, across=is_kept_side)


def _with_same_bytes(
    members: Mapping[int, list[Duplicate]],
    pictures: DistinctPictures,
    *,
    across: NDArray[np.bool_] | None = None,
) -> list[DuplicateGroup]:
    """The groups by rows, with the rows that have the bytes of a member; and groups of such alone."""
    copies = pictures.copies()
    keepers = set(members)
    if across is None:
        in_groups = {one.picture for found in members.values() for one in found}
        keepers |= set(copies) - in_groups
    groups = []
    for keeper in sorted(keepers):
        row = int(pictures.leaders[keeper])
        duplicates = []
        if across is None:
            same = copies.get(keeper, ())
            duplicates = [
                Duplicate(one, 1.0, "exact", True, "bytes", None, "", row) for one in same
            ]
        for one in members.get(keeper, ()):
            via = int(pictures.leaders[one.via])
            rows = [int(pictures.leaders[one.picture]), *copies.get(one.picture, ())]
            duplicates += [replace(one, picture=number, via=via) for number in rows]
        duplicates.sort(key=lambda one: (not one.is_direct, -one.score, one.picture))
        groups.append(DuplicateGroup(row, tuple(duplicates)))
    return groups
