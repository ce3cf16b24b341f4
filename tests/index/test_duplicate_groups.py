import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from index.copy_evidence import CopyEvidence, Look
from index.distinct_pictures import DistinctPictures
from index.duplicate_groups import CopyGraph, leak_groups, star_groups
from index.groups_table import CHANGED, SAME_FILE, groups_table, removal_lists
from index.similar_pairs import SimilarPairs
from tests.conftest import picture_table, space


def evidence_of(pairs: dict[tuple[int, int], float | Look], threshold=0.9, looks=False):
    """Scores, or what looking showed at a score of 0.8, by pair."""
    ordered = sorted(pairs)
    found = CopyEvidence(
        SimilarPairs(
            np.array([one for one, _ in ordered], np.int64),
            np.array([other for _, other in ordered], np.int64),
            np.array(
                [0.8 if isinstance(pairs[at], Look) else pairs[at] for at in ordered], np.float32
            ),
        ),
        threshold,
    )
    seen = [place for place, at in enumerate(ordered) if isinstance(pairs[at], Look)]
    if seen:
        found.look(
            np.array(seen),
            lambda first, second: [
                pairs[at] for at in zip(first.tolist(), second.tolist(), strict=True)
            ],
        )
    found.looks = looks or bool(seen)
    return found


def grouped(count, pairs, *, scores=None, order=None, least=0.7, content=None, **how):
    table = picture_table(count, **({} if content is None else {"content_hash": content}))
    order = np.arange(count) if order is None else np.array(order)
    distinct = DistinctPictures.of(table, order)
    rank = np.argsort(order)[distinct.leaders]
    graph = CopyGraph(evidence_of(pairs, **how), len(distinct), rank)
    return star_groups(graph, distinct, scores or {}, least_score=least)


def members(groups):
    return [(group.keep, [one.picture for one in group.duplicates]) for group in groups]


def test_copies_of_the_kept_picture_are_direct_and_theirs_are_not():
    [group] = grouped(
        4, {(0, 1): 0.95, (1, 2): 0.96, (2, 3): 0.97}, scores={(0, 2): 0.8, (0, 3): 0.8}
    )
    assert [(one.picture, one.is_direct, one.via) for one in group.duplicates] == [
        (1, True, 0),
        (2, False, 1),
    ]


def test_a_chain_of_small_steps_is_not_one_group():
    chain = {(at, at + 1): 0.99 for at in range(9)}
    far = {(0, at): 1 - at / 10 for at in range(2, 10)}
    groups = grouped(10, chain, scores=far, least=0.85)
    assert members(groups) == [(0, [1]), (2, [3]), (4, [5]), (6, [7]), (8, [9])]


def test_a_copy_of_a_copy_that_is_a_stranger_to_the_kept_one_is_left_out():
    pairs = {(0, 1): 0.95, (1, 2): 0.95}
    assert members(grouped(3, pairs, scores={(0, 2): 0.6})) == [(0, [1])]
    assert members(grouped(3, pairs, scores={(0, 2): 0.8})) == [(0, [1, 2])]
    assert members(grouped(3, pairs)) == [(0, [1])]  # nobody said how alike they are


def test_the_picture_most_worth_keeping_is_kept():
    pairs = {(0, 1): 0.95, (0, 2): 0.95, (1, 2): 0.95}
    assert members(grouped(3, pairs, order=[2, 0, 1])) == [(2, [0, 1])]


def test_what_looking_shows_overrules_the_score():
    pairs = {(0, 1): Look("same", 0.9, "mirrored"), (2, 3): Look("different", 0.1), (4, 5): 0.99}
    [group] = grouped(6, pairs, threshold=0.5)
    [one] = group.duplicates
    assert (group.keep, one.picture) == (0, 1)
    assert (one.kind, one.proof, one.change, one.agreement) == (
        "transformed",
        "pictures",
        "mirrored",
        0.9,
    )


def test_what_looking_cannot_tell_is_left_to_the_score():
    pairs = {(0, 1): Look("undecided"), (2, 3): Look("unreadable")}
    assert [keep for keep, _ in members(grouped(4, pairs, threshold=0.8))] == [0, 2]
    assert grouped(4, pairs, threshold=0.81) == []
    assert grouped(4, pairs, threshold=None) == []


def test_the_same_bytes_are_exact_copies():
    content = ["a", "b", "a", "c", "b", "d"]
    groups = grouped(6, {(0, 2): 0.95}, content=content)  # a and c
    kinds = [[(one.picture, one.kind, one.proof) for one in group.duplicates] for group in groups]
    assert members(groups) == [(0, [2, 3]), (1, [4])]
    assert kinds[0] == [(2, "exact", "bytes"), (3, "near", "score")]
    assert kinds[1] == [(4, "exact", "bytes")]


def test_a_copy_of_a_members_bytes_is_a_member_for_the_same_reason():
    [group] = grouped(3, {(0, 1): 0.95}, content=["a", "b", "b"])
    assert [(one.picture, one.kind, one.via) for one in group.duplicates] == [
        (1, "near", 0),
        (2, "near", 0),
    ]


@settings(max_examples=80, deadline=None)
@given(seed=st.integers(0, 10_000), count=st.integers(2, 40), links=st.integers(1, 80))
def test_every_picture_is_in_one_group_at_most_and_evidence_stands(seed, count, links):
    rng = np.random.default_rng(seed)
    ends = np.sort(rng.integers(0, count, (links, 2)), axis=1)
    pairs = {(int(a), int(b)): float(rng.uniform(0.9, 1)) for a, b in ends if a != b}
    scores = {(a, b): float(rng.uniform(0.5, 1)) for a in range(count) for b in range(count)}
    order = rng.permutation(count)
    groups = grouped(count, pairs, scores=scores, order=order)
    every = [row for keep, others in members(groups) for row in (keep, *others)]
    assert len(every) == len(set(every))
    place = np.argsort(order)
    for group in groups:
        assert group.duplicates
        for one in group.duplicates:
            assert place[group.keep] < place[one.picture]
            assert (min(one.via, one.picture), max(one.via, one.picture)) in pairs
            if one.is_direct:
                assert one.via == group.keep
            else:
                assert scores[group.keep, one.picture] >= 0.7
    linked = {row for pair in pairs for row in pair}
    kept_alone = linked - set(every)
    assert not any(a in kept_alone and b in kept_alone for a, b in pairs)


def test_pictures_are_looked_at_best_first_and_not_where_others_join_them():
    pairs = {(0, 1): 0.99, (0, 2): 0.98, (1, 2): 0.97, (0, 3): 0.6, (1, 3): 0.7, (2, 3): 0.65}
    evidence = evidence_of(pairs)
    asked = []

    def look(first, second):
        both = list(zip(first.tolist(), second.tolist(), strict=True))
        asked.append(both)
        return [Look("different" if 3 in pair else "same", 0.9) for pair in both]

    evidence.look_in_rounds(4, 10, look)
    assert asked == [[(0, 1), (0, 2), (1, 3)], [(0, 3), (2, 3)]]
    assert evidence.are_copies().sum() == 2


def test_so_many_pairs_of_a_picture_are_looked_at_as_there_are_rounds():
    pairs = {(0, other): 0.9 - other / 100 for other in range(1, 9)}
    evidence = evidence_of(pairs)
    asked = []
    evidence.look_in_rounds(
        9, 1, lambda first, second: asked.append(len(first)) or [Look("different")] * len(first)
    )
    assert asked == [8]  # the best pair of each of the others
    assert not evidence.are_copies().any()


def test_more_pairs_keep_what_is_known():
    evidence = evidence_of({(0, 3): Look("same", 0.9), (2, 5): 0.95})
    more = SimilarPairs.of(np.array([1, 0, 4]), np.array([2, 3, 5]), np.full(3, 0.5, np.float32))
    unseen = evidence.add(more)
    assert [(evidence.pairs.first[at], evidence.pairs.second[at]) for at in unseen] == [
        (1, 2),
        (4, 5),
    ]
    copies = evidence.pairs.take(evidence.are_copies())
    assert (copies.first.tolist(), copies.second.tolist()) == ([0], [3])
    assert evidence.seen[int(np.flatnonzero(evidence.are_copies())[0])].agreement == 0.9


def test_a_leak_belongs_to_the_picture_it_is_most_like():
    table = picture_table(6, content_hash=["a", "b", "c", "a", "e", "f"])
    sides = np.array([0, 0, 0, 1, 1, 1], np.int8)
    order = np.arange(6)
    distinct = DistinctPictures.of(table, order, sides)
    assert len(distinct) == 6
    evidence = evidence_of({(0, 4): Look("same", 0.8), (1, 4): Look("same", 0.95), (2, 5): 0.99})
    evidence.add_identical(SimilarPairs.of(np.array([0]), np.array([3]), np.ones(1, np.float32)))
    graph = CopyGraph(evidence, 6, order)
    groups = leak_groups(graph, distinct, sides == 0)
    assert members(groups) == [(0, [3]), (1, [4])]
    assert [group.duplicates[0].kind for group in groups] == ["exact", "near"]


def test_the_table_has_a_row_a_member_and_the_lists_every_picture_once():
    pairs = {(0, 1): 0.95, (1, 2): 0.96}
    content = ["a", "b", "c", "a", "d"]
    groups = grouped(5, pairs, scores={(0, 2): 0.8}, content=content)
    table = picture_table(5, content_hash=content)
    identities = {row: row for row in range(5)}
    found = groups_table(groups, table, space(), identities)
    assert [
        (row["group"], row["uri"][3:6], row["keep"], row["remove"], row["kind"], row["evidence"])
        for row in found.to_pylist()
    ] == [
        (0, "000", True, False, "kept", None),
        (0, "003", False, True, "exact", "direct"),
        (0, "001", False, True, "near", "direct"),
        (0, "002", False, False, "near", "transitive"),
    ]
    assert found.to_pylist()[3]["copy_of"] == "/p/001.jpg"
    to_remove, kept = removal_lists(found, table.column("uri"))
    assert to_remove.decode().split() == ["/p/001.jpg", "/p/003.jpg"]
    assert kept.decode().split() == ["/p/000.jpg", "/p/002.jpg", "/p/004.jpg"]
    all_of_them = groups_table(groups, table, space(), identities, remove_transitive=True)
    assert sum(all_of_them.column("remove").to_pylist()) == 3


def test_no_groups_make_an_empty_table():
    table = picture_table(2)
    nothing = groups_table([], table, space(), {})
    assert nothing.num_rows == 0
    assert removal_lists(nothing, table.column("uri"))[0] == b""


def test_what_is_gone_or_is_another_name_of_what_stays_is_held_back():
    pairs = {(0, 1): 0.95, (0, 2): 0.95, (3, 4): 0.95}
    table = picture_table(5)
    groups = grouped(5, pairs)
    found = groups_table(groups, table, space(), {0: "a", 1: "a", 2: "b", 3: None, 4: "c"})
    held_back = dict(
        zip(found.column("uri").to_pylist(), found.column("held_back").to_pylist(), strict=True)
    )
    assert held_back["/p/001.jpg"] == SAME_FILE
    assert held_back["/p/004.jpg"] == CHANGED
    assert found.filter(found.column("remove")).column("uri").to_pylist() == ["/p/002.jpg"]


def test_a_picture_that_holds_strangers_may_be_a_mixture():
    framed = Look("same", 0.9, "cropped or framed")
    evidence = evidence_of(
        {(0, 1): framed, (0, 2): framed, (3, 4): framed, (3, 5): framed, (4, 5): 0.95}
    )
    graph = CopyGraph(evidence, 6, np.arange(6))
    assert graph.possible_mixtures() == {
        0: [[1], [2]],
        3: [[4], [5]],
    }  # nobody has looked at 4 and 5
    joined = evidence_of({(3, 4): framed, (3, 5): framed, (4, 5): Look("same", 0.9)})
    assert CopyGraph(joined, 6, np.arange(6)).possible_mixtures() == {}
    evidence.part([(0, 1), (2, 0)])
    assert not evidence.are_copies()[:2].any()
    assert evidence.are_copies()[2:4].all()


@pytest.mark.parametrize("seed", range(3))
def test_what_stands_for_a_content_does_not_depend_on_the_order_of_rows(seed):
    table = picture_table(30, content_hash=[f"{row % 11}" for row in range(30)])
    shuffle = np.random.default_rng(seed).permutation(30)
    mixed = table.take(shuffle)
    by_uri = np.argsort(shuffle)
    straight = DistinctPictures.of(table, np.arange(30))
    other = DistinctPictures.of(mixed, by_uri)
    assert [table["uri"][int(row)] for row in straight.leaders] == [
        mixed["uri"][int(row)] for row in other.leaders
    ]
    assert straight.numbers[shuffle].tolist() == other.numbers.tolist()
