"""Pictures -> what is known of the pairs that may be copies, and the groups that follow."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final, Literal

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from index.compared_vectors import ComparedVectors
from index.copy_evidence import CopyEvidence, Look, LookAtPairs, components
from index.copy_task import ComparedPictures, CopyWork, PictureId
from index.distinct_pictures import DistinctPictures
from index.duplicate_groups import CopyGraph, DuplicateGroup, leak_groups, star_groups
from index.duplicates_manifest import CopySettings
from index.keep_policy import (
    BEST,
    SHARPEST,
    how_much_worse,
    keeping_order,
    pixels_of,
)
from index.pair_join import ExactJoin, IndexJoin, PairJoin
from index.progress import Step
from index.score_distribution import STRANGERS, ScoreDistribution, sample_scores
from index.similar_pairs import SimilarPairs

HIGH_SCORE: Final = 0.9  # taken where nothing better is learnt, and no stranger is expected there
TWIN_AGREEMENT: Final = 0.95  # of two in the same frame with nothing written on either
CROWD: Final = 4  # strangers among a picture's pairs, in times of the pairs that are kept


@dataclass(frozen=True)
class CopySearch:
    """What a search came to.

    Attributes:
        evidence: of pairs of distinct pictures.
        distribution: of the scores of strangers; None where it could not be learnt.
        groups: of rows of the pictures.
        join: how pairs were found.
    """

    evidence: CopyEvidence
    distribution: ScoreDistribution | None
    groups: list[DuplicateGroup]
    join: Literal["exact", "index"]


def find_duplicate_groups(
    compared: ComparedPictures,
    settings: CopySettings,
    work: CopyWork,
    index_folder: Callable[[], str] | None = None,
) -> CopySearch:
    """Find the pairs that are alike, look at them, and group what are copies.

    Runs as it is: examples/find_copies.py.

    Args:
        compared: the pictures.
        settings: how to look.
        work: who joins and looks.
        index_folder: gives an index of the first data set; None where all vectors fit into memory.
    """
    pictures, sides = compared.pictures, compared.sides
    with work.progress.step("finding distinct pictures"):
        order = keeping_order(pictures, settings.keep, preferred=compared.preferred)
        distinct = DistinctPictures.of(pictures, order, sides)
        leaders = distinct.leaders
        ids = _picture_ids(pictures, leaders)
    own_sides = None if sides is None else sides[leaders]
    vectors = ComparedVectors(compared.datasets, compared.rows[leaders], own_sides)

    distribution = None
    if len(vectors):
        with work.progress.step("sampling scores", 2 * len(vectors), "vectors") as step:
            sampled = sample_scores(vectors, step.advance)
        distribution = ScoreDistribution.learn(sampled, vectors.pairs)
    pairs = _join(vectors, settings, distribution, work, index_folder)
    evidence = CopyEvidence(pairs, _threshold(settings, distribution, pairs))
    if own_sides is not None:
        evidence.add_identical(_same_bytes(pictures, leaders, own_sides))

    def look(step: Step, first: NDArray[np.int64], second: NDArray[np.int64]) -> Sequence[Look]:
        both = zip(first.tolist(), second.tolist(), strict=True)
        return work.look([(ids[one], ids[other]) for one, other in both], step)

    if settings.looks:
        most = _most_looks(evidence, settings, ids, work)
        with work.progress.step("looking at pairs", most, "pairs") as step:
            evidence.look_in_rounds(len(vectors), settings.looks, partial(look, step))

    if settings.looks and settings.keep in (BEST, SHARPEST):
        seen = _seen(pictures, distinct, evidence, ids, work)
        order = keeping_order(pictures, settings.keep, preferred=compared.preferred, seen=seen)
    place = np.empty(len(order), np.int64)
    place[order] = np.arange(len(order))
    rank = place[leaders]
    if own_sides is not None:
        groups = leak_groups(CopyGraph(evidence, len(vectors), rank), distinct, own_sides == 0)
    else:
        least_score = _least_kinship(distribution)
        with work.progress.step("checking groups", unit="pairs") as step:
            if settings.looks:
                _part_mixtures(evidence, vectors, rank, partial(look, step), least_score)
            graph = CopyGraph(evidence, len(vectors), rank)
            best, others = graph.unlinked_to_best()
            cosines = _cosines(vectors, best, others)
            unseen = evidence.add(SimilarPairs.of(best, others, cosines))
            if settings.looks and len(unseen):
                evidence.look(unseen, partial(look, step))
            graph = CopyGraph(evidence, len(vectors), rank)
            keys = zip(best.tolist(), others.tolist(), strict=True)
            scores = dict(zip(keys, cosines.tolist(), strict=True))
            groups = star_groups(graph, distinct, scores, least_score=least_score)
    kind: Literal["exact", "index"] = "exact" if index_folder is None else "index"
    return CopySearch(evidence, distribution, groups, kind)


def _picture_ids(pictures: pa.Table, rows: NDArray[np.int64]) -> list[PictureId]:
    some = pictures.select(["uri", "content_hash"]).take(pa.array(rows))
    return list(zip(*(column.to_pylist() for column in some.columns), strict=True))


def _join(
    vectors: ComparedVectors,
    settings: CopySettings,
    distribution: ScoreDistribution | None,
    work: CopyWork,
    index_folder: Callable[[], str] | None,
) -> SimilarPairs:
    least = settings.least_score
    if distribution is not None and len(vectors) > 1:
        share = CROWD * settings.neighbors / len(vectors)
        least = max(least, distribution.score_of_share(share))
    if len(vectors) < 2:
        return SimilarPairs.none()
    join: PairJoin
    if index_folder is None:
        join = ExactJoin(vectors, least, settings.neighbors)
    else:
        work.progress.tell("the vectors do not fit into --max-memory: pairs are found by an index")
        join = IndexJoin(vectors, index_folder(), least, settings.neighbors)
    with work.progress.step("measuring how fast this machine is"):
        seconds = _span(join.estimate_s())
    work.progress.tell(
        f"{len(vectors):,} distinct pictures, {vectors.pairs:,} pairs to compare: about {seconds}"
    )
    return work.join(join, settings.neighbors)


def _threshold(
    settings: CopySettings, distribution: ScoreDistribution | None, pairs: SimilarPairs
) -> float | None:
    if settings.threshold is not None or settings.precision is None:
        return settings.threshold
    if distribution is None:
        return HIGH_SCORE
    learnt = distribution.threshold(settings.precision, pairs.scores)
    if learnt is None and distribution.strangers_above(HIGH_SCORE) < 1:
        return HIGH_SCORE
    return learnt


def _least_kinship(distribution: ScoreDistribution | None) -> float:
    """The cosine to the kept picture that a copy of a copy must have: few strangers do."""
    if distribution is None:
        return HIGH_SCORE
    return distribution.score_of_share(STRANGERS)


def _same_bytes(
    pictures: pa.Table, leaders: NDArray[np.int64], sides: NDArray[np.int8]
) -> SimilarPairs:
    """The pairs of distinct pictures across sides that have the same content."""
    hashes = pictures.column("content_hash").take(pa.array(leaders)).combine_chunks()
    content = hashes.dictionary_encode().indices.to_numpy()
    order = np.lexsort((sides, content))
    twins = np.flatnonzero(content[order][1:] == content[order][:-1])
    ones = np.ones(len(twins), np.float32)
    return SimilarPairs.of(order[twins].astype(np.int64), order[twins + 1].astype(np.int64), ones)


def _seen(
    pictures: pa.Table,
    distinct: DistinctPictures,
    evidence: CopyEvidence,
    ids: Sequence[PictureId],
    work: CopyWork,
) -> dict[str, NDArray[np.float32]]:
    """What looking shows of the pictures that have copies: float32 [pictures], NaN for all others."""
    places = np.flatnonzero(evidence.are_copies())
    copies = evidence.pairs.take(places)
    numbers, ends = np.unique(np.concatenate([copies.first, copies.second]), return_inverse=True)
    asked = [ids[number] for number in numbers.tolist()]
    with work.progress.step("looking at copies", len(asked), "pictures") as step:
        traits = work.traits(asked, step)
    sharpness, filled = (
        np.array([np.nan if one is None else getattr(one, name) for one in traits], np.float64)
        for name in ("sharpness", "filled")
    )
    are_twins = [
        look is not None and not look.change and look.agreement >= TWIN_AGREEMENT
        for look in map(evidence.seen.get, places.tolist())
    ]
    has_twin = np.zeros(len(numbers), bool)
    has_twin[ends[np.tile(np.array(are_twins, bool), 2)]] = True
    pixels = pixels_of(pictures).take(pa.array(distinct.leaders[numbers])).to_numpy()
    sets = components(len(distinct), copies)[numbers]
    worse = how_much_worse(sets, pixels.astype(np.float64), filled, has_twin)
    found = {}
    for name, values in (("sharpness", sharpness), ("worse", worse)):
        by_number = np.full(len(distinct), np.nan, np.float32)
        by_number[numbers] = values
        found[name] = by_number[distinct.numbers]
    return found


def _part_mixtures(
    evidence: CopyEvidence,
    vectors: ComparedVectors,
    rank: NDArray[np.int64],
    look: LookAtPairs,
    least_score: float,
) -> None:
    """Look whether what a picture holds belongs together; part from it what does not, as in a collage.

    Where most of it belongs together, only the rest is parted.
    """
    possible = CopyGraph(evidence, len(vectors), rank).possible_mixtures()
    pairs = [(sets[0][0], one[0]) for sets in possible.values() for one in sets[1:]]
    first, second = np.array(pairs, np.int64).reshape(-1, 2).T
    cosines = _cosines(vectors, first, second)
    strange = cosines < least_score
    unseen = evidence.add(SimilarPairs.of(first[strange], second[strange], cosines[strange]))
    if len(unseen):
        evidence.look(unseen, look)
    strangers = {
        pair for pair, is_strange in zip(pairs, strange.tolist(), strict=True) if is_strange
    }
    parted = []
    for number, sets in CopyGraph(evidence, len(vectors), rank).possible_mixtures().items():
        apart = [one for one in sets[1:] if (sets[0][0], one[0]) in strangers]
        gone = sets if 2 * len(apart) >= len(sets) else apart
        parted += [(number, other) for one in gone for other in one]
    evidence.part(parted)


def _cosines(
    vectors: ComparedVectors, one: NDArray[np.int64], other: NDArray[np.int64]
) -> NDArray[np.float32]:
    """Of pairs of numbers: float32 [pairs]."""
    if not len(one):
        return np.empty(0, np.float32)
    products = np.einsum("ij,ij->i", vectors.units_at(one), vectors.units_at(other))
    cosines: NDArray[np.float32] = np.minimum(products, np.float32(1))
    return cosines


def _most_looks(
    evidence: CopyEvidence, settings: CopySettings, ids: Sequence[PictureId], work: CopyWork
) -> int:
    """How many pairs will be looked at, at most; says how long that takes, from a few pictures."""
    involved = np.unique(np.concatenate([evidence.pairs.first, evidence.pairs.second]))
    if not len(involved):
        return 0
    most = min(len(evidence.pairs), settings.looks * len(involved))
    seconds = work.looking_s([ids[number] for number in involved.tolist()], most)
    work.progress.tell(
        f"{len(evidence.pairs):,} pairs are alike; looking at {len(involved):,} pictures and at most "
        f"{most:,} of the pairs: about {_span(seconds)} by the cores of this machine"
    )
    return most


def _span(seconds: float) -> str:
    """A time in words.

    >>> _span(0.2), _span(75), _span(9000)
    ('1 s', '75 s', '2.5 h')
    """
    if seconds < 120:
        return f"{max(seconds, 1):.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"
