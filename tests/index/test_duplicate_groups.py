import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from index.duplicate_groups import KEEP_POLICIES, find_duplicate_groups, groups_table
from index.errors import UsageError
from index.unit_vectors import unit_vectors
from tests.conftest import picture_table, random_vectors, space


def angles(*degrees: float) -> np.ndarray:
    """Vectors in a plane: float32 [n, 2]."""
    turned = np.radians(degrees)
    return np.stack([np.cos(turned), np.sin(turned)], axis=1).astype(np.float32)


def members(groups):
    return [(group.keep, [one.picture for one in group.duplicates]) for group in groups]


def test_a_chain_of_small_steps_is_not_one_group():
    vectors = angles(0, 10, 20, 30, 40)  # neighbors at cosine 0.985, ends at 0.77
    groups = find_duplicate_groups(picture_table(5), vectors, threshold=0.98, keep="first")
    assert members(groups) == [(0, [1]), (2, [3])]


def test_a_member_joins_the_closest_kept_picture():
    vectors = angles(0, 18, 10)  # the third is near both, nearer the second
    groups = find_duplicate_groups(picture_table(3), vectors, threshold=0.98, keep="first")
    assert members(groups) == [(1, [2])]


def test_exact_copies_are_told_from_near_ones():
    content = ["a", "b", "a", "c"]
    vectors = angles(0, 1, 0, 90)
    table = picture_table(4, content_hash=content)
    [group] = find_duplicate_groups(table, vectors, threshold=0.99, keep="first")
    kinds = {one.picture: one.kind for one in group.duplicates}
    assert group.keep == 0
    assert kinds == {2: "exact", 1: "near"}
    assert group.duplicates[0].score == 1.0


def test_a_copy_of_a_near_duplicate_is_near_too():
    table = picture_table(3, content_hash=["a", "b", "b"])
    [group] = find_duplicate_groups(table, angles(0, 5, 5), threshold=0.99, keep="first")
    assert {one.kind for one in group.duplicates} == {"near"}
    assert len({one.score for one in group.duplicates}) == 1


@pytest.mark.parametrize(("keep", "expected"), [("largest", 2), ("oldest", 1), ("first", 0)])
def test_the_policy_chooses_the_kept_picture(keep, expected):
    table = picture_table(3, width=[10, 10, 20], modified=[3_000_000, 1_000_000, 2_000_000])
    [group] = find_duplicate_groups(table, angles(0, 0, 0), threshold=0.99, keep=keep)
    assert group.keep == expected


def test_an_unknown_age_is_not_the_oldest():
    table = picture_table(2, modified=[None, 5_000_000])
    [group] = find_duplicate_groups(table, angles(0, 0), threshold=0.99, keep="oldest")
    assert group.keep == 1


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    count=st.integers(1, 80),
    threshold=st.floats(0.5, 0.999),
    keep=st.sampled_from(KEEP_POLICIES),
)
def test_groups_hold_only_what_is_close_to_the_kept_one(seed, count, threshold, keep):
    rng = np.random.default_rng(seed)
    vectors = random_vectors(count, 6, seed)
    contents = [f"{number}" for number in rng.integers(0, count, count)]
    for row, content in enumerate(contents):  # the same bytes have the same vector
        vectors[row] = vectors[contents.index(content)]
    table = picture_table(count, content_hash=contents, width=rng.integers(1, 9, count).tolist())
    groups = find_duplicate_groups(table, vectors, threshold=threshold, keep=keep)
    units = unit_vectors(vectors)
    grouped = [row for keep_row, others in members(groups) for row in (keep_row, *others)]
    assert len(grouped) == len(set(grouped))
    for group in groups:
        for one in group.duplicates:
            cosine = float(units[group.keep] @ units[one.picture])
            assert one.kind == "exact" or cosine >= threshold - 1e-5
            assert abs(one.score - cosine) < 1e-5
    survivors = sorted(set(range(count)) - {row for _, others in members(groups) for row in others})
    between = units[survivors] @ units[survivors].T
    np.fill_diagonal(between, 0)
    assert (between < threshold + 1e-5).all()


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 1000))
def test_the_order_of_the_rows_does_not_matter(seed):
    vectors = random_vectors(40, 5, seed)
    table = picture_table(40)
    order = np.random.default_rng(seed).permutation(40)
    shuffled = table.take(order)

    def by_uri(pictures, groups):
        uris = pictures.column("uri").to_pylist()
        return {uris[keep]: {uris[row] for row in others} for keep, others in members(groups)}

    straight = find_duplicate_groups(table, vectors, threshold=0.9)
    mixed = find_duplicate_groups(shuffled, vectors[order], threshold=0.9)
    assert by_uri(table, straight) == by_uri(shuffled, mixed)


def test_more_pictures_than_a_block_are_compared_all():
    vectors = random_vectors(700)
    copies = np.concatenate([vectors, vectors])
    groups = find_duplicate_groups(picture_table(1400), copies, threshold=0.99999, keep="first")
    assert {frozenset((keep, *others)) for keep, others in members(groups)} == {
        frozenset((row, row + 700)) for row in range(700)
    }


def test_zero_vectors_are_nobodys_duplicates():
    vectors = np.zeros((3, 4), np.float32)
    assert find_duplicate_groups(picture_table(3), vectors, threshold=0.5) == []


def test_no_pictures_make_no_groups():
    vectors = np.zeros((0, 4), np.float32)
    assert find_duplicate_groups(picture_table(0), vectors, threshold=0.5) == []


@pytest.mark.parametrize("options", [{"threshold": 0.0}, {"threshold": 1.1}])
def test_a_threshold_that_cannot_be_is_refused(options):
    with pytest.raises(UsageError, match="--threshold"):
        find_duplicate_groups(picture_table(1), angles(0), **options)


def test_an_unknown_policy_is_refused():
    with pytest.raises(UsageError, match="'newest'"):
        find_duplicate_groups(picture_table(1), angles(0), threshold=0.9, keep="newest")


def test_the_table_has_a_row_a_member():
    table = picture_table(4, content_hash=["a", "b", "a", "c"])
    groups = find_duplicate_groups(table, angles(0, 90, 0, 91), threshold=0.99, keep="first")
    rows = groups_table(groups, table, space(), threshold=0.99).to_pylist()
    assert [(row["group"], row["uri"][3:6], row["keep"], row["kind"]) for row in rows] == [
        (0, "000", True, "kept"),
        (0, "002", False, "exact"),
        (1, "001", True, "kept"),
        (1, "003", False, "near"),
    ]
