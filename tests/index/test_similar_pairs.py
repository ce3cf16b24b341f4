import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from index.compared_vectors import ComparedVectors
from index.pair_join import ExactJoin, IndexJoin
from index.similar_pairs import SimilarPairs, exact_pairs, join_pairs
from index.unit_vectors import unit_vectors
from tests.conftest import random_vectors, write_dataset


def as_set(pairs: SimilarPairs) -> set[tuple[int, int]]:
    return set(zip(pairs.first.tolist(), pairs.second.tolist(), strict=True))


def by_hand(units, least, sides=None) -> set[tuple[int, int]]:
    scores = np.triu(units @ units.T, 1)
    found = zip(*np.nonzero(scores >= least), strict=True)
    return {
        (int(one), int(other))
        for one, other in found
        if sides is None or sides[one] != sides[other]
    }


@pytest.mark.parametrize("count", [2, 1023, 1025, 5000])
def test_all_pairs_above_a_score_are_found(count):
    units = unit_vectors(random_vectors(count, 8))
    least = 0.995
    found = join_pairs(exact_pairs(units, range(count), least, count), count)
    assert as_set(found) == by_hand(units, least)
    assert (np.diff(found.first) >= 0).all()
    true = np.einsum("ij,ij->i", units[found.first], units[found.second])
    np.testing.assert_allclose(found.scores, np.minimum(true, 1), atol=1e-6)


def test_only_pairs_across_sides_are_found_where_there_are_sides():
    units = unit_vectors(random_vectors(600, 6))
    sides = (np.arange(600) % 3 == 0).astype(np.int8)
    found = join_pairs(exact_pairs(units, range(600), 0.98, 600, sides=sides), 600)
    assert as_set(found) == by_hand(units, 0.98, sides)


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 1000), most=st.integers(1, 6), pieces=st.integers(1, 7))
@example(seed=75, most=1, pieces=1)
def test_each_row_keeps_its_best_however_the_work_is_cut(seed, most, pieces):
    rng = np.random.default_rng(seed)
    # Small whole numbers: products of any shape are exact, and there are ties.
    units = rng.integers(-3, 4, (60, 5)).astype(np.float32) / 16
    every = join_pairs(exact_pairs(units, range(60), 0.02, 60), 60)
    cut = np.sort(rng.integers(0, 61, pieces))
    ranges = [range(a, b) for a, b in zip([0, *cut], [*cut, 60], strict=True)]
    found = [join_pairs(exact_pairs(units, rows, 0.02, most), most) for rows in ranges]
    rng.shuffle(found)
    kept = join_pairs(found, most)
    for row in range(60):
        mine = (every.first == row) | (every.second == row)
        here = (kept.first == row) | (kept.second == row)
        best, found_best = (
            np.sort(scores)[::-1][:most] for scores in (every.scores[mine], kept.scores[here])
        )
        assert best.tolist() == found_best.tolist()
    assert as_set(kept) <= as_set(every)


def test_a_pair_that_comes_twice_is_one_and_a_row_is_not_its_own_pair():
    pairs = SimilarPairs.of(
        np.array([3, 1, 2, 5]), np.array([1, 3, 2, 4]), np.array([0.5, 0.7, 1, 0.9], np.float32)
    )
    assert as_set(pairs) == {(1, 3), (4, 5)}
    assert pairs.scores.tolist() == pytest.approx([0.7, 0.9])


def test_pairs_go_through_a_file():
    pairs = SimilarPairs.of(np.array([1, 2]), np.array([3, 4]), np.array([0.5, 0.6], np.float32))
    again = SimilarPairs.from_bytes(pairs.to_bytes())
    assert as_set(again) == as_set(pairs)
    assert again.scores.tolist() == pairs.scores.tolist()


def test_no_pairs_are_no_pairs():
    assert len(join_pairs([], 3)) == 0
    assert len(SimilarPairs.none().nearest(3)) == 0


@pytest.mark.parametrize("with_sides", [False, True])
def test_an_index_finds_the_pairs_that_comparing_all_finds(tmp_path, with_sides):
    from index.builder import IndexOptions, build_index
    from index.output_folder import OutputFolder

    vectors = random_vectors(900, 16)
    vectors[450:] = vectors[:450] + random_vectors(450, 16, 1) * np.float32(0.02)
    dataset = write_dataset(tmp_path / "out", vectors, part_rows=130)
    rows = np.random.default_rng(0).permutation(900)[:800]
    sides = (rows >= 450).astype(np.int8) if with_sides else None
    compared = ComparedVectors((dataset,), rows, sides)
    folder = OutputFolder.at(tmp_path / "index")
    build_index(dataset, folder, IndexOptions())
    found = []
    for join in (ExactJoin(compared, 0.99, 3), IndexJoin(compared, folder.root, 0.99, 3)):
        find = join.open()
        seen: list[int] = []
        found.append(join_pairs((find(shard, seen.append) for shard in join.shards()), 3))
        assert sum(seen) == join.work()[0]
    exact, indexed = map(as_set, found)
    assert len(exact) > 100
    assert exact == indexed


def test_vectors_are_given_by_their_numbers(tmp_path):
    vectors = random_vectors(300, 6)
    datasets = [
        write_dataset(tmp_path / "a", vectors[:100], part_rows=30),
        write_dataset(tmp_path / "b", vectors[100:], part_rows=70),
    ]
    rows = np.random.default_rng(1).permutation(300)[:250]
    compared = ComparedVectors(tuple(datasets), rows)
    expected = unit_vectors(vectors)[rows]
    np.testing.assert_array_equal(compared.units(), expected)
    asked = np.array([7, 7, 240, 0])
    np.testing.assert_array_equal(compared.units_at(asked), expected[asked])
    some = np.concatenate([numbers for numbers, _ in compared.batches(range(90, 150))])
    assert sorted(rows[some].tolist()) == sorted(row for row in rows.tolist() if 90 <= row < 150)


def test_many_near_copies_are_joined_in_little_more_than_their_products():
    units = unit_vectors(np.ones((6000, 32), np.float32) + random_vectors(6000, 32) * 0.1)
    pieces = list(exact_pairs(units, range(6000), 0.9, 4))
    assert sum(map(len, pieces)) < 6000 * 4 * 2 * 8
    found = join_pairs(pieces, 4)
    scores = units @ units.T
    np.fill_diagonal(scores, -1)
    best = scores.max(axis=1)
    for row in (0, 3000, 5999):
        mine = (found.first == row) | (found.second == row)
        assert mine.sum() >= 4
        assert found.scores[mine].max() == pytest.approx(min(best[row], 1), abs=1e-6)


@pytest.mark.parametrize(
    "vectors", [np.ones((3000, 8), np.float32), np.zeros((3000, 8), np.float32)]
)
def test_vectors_that_are_all_the_same_are_joined(vectors):
    found = join_pairs(exact_pairs(unit_vectors(vectors), range(3000), 0.5, 3), 3)
    assert (len(found) >= 3000) == bool(vectors.any())
    assert (found.first < found.second).all()
