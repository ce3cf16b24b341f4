import numpy as np
import pytest

from index.errors import UsageError
from index.keep_policy import how_much_worse, keeping_order
from tests.conftest import picture_table


def first(table, keep, **how) -> int:
    return int(keeping_order(table, keep, **how)[0])


@pytest.mark.parametrize(
    ("keep", "expected"),
    [
        ("largest", 2),
        ("oldest", 1),
        ("biggest", 3),
        ("first", 0),
        ("best", 2),
        ("bytes", 3),
        ("bytes:ascending", 0),
        ("width", 2),
    ],
)
def test_the_policy_chooses(keep, expected):
    table = picture_table(
        4,
        width=[10, 10, 20, 5],
        bytes=[1, 2, 3, 4],
        modified=[3_000_000, 1_000_000, 2_000_000, None],
    )
    assert first(table, keep) == expected


def test_an_unknown_age_is_not_the_oldest():
    assert first(picture_table(2, modified=[None, 5_000_000]), "oldest") == 1


def test_preferred_pictures_come_before_all_others():
    table = picture_table(3, width=[30, 20, 10])
    assert first(table, "largest", preferred=np.array([1, 1, 0], np.int8)) == 2


def test_the_sharpest_is_kept_and_one_that_nobody_saw_comes_last():
    sharpness = np.array([np.nan, 5, 9], np.float32)
    assert keeping_order(picture_table(3), "sharpest", seen={"sharpness": sharpness}).tolist() == [
        2,
        1,
        0,
    ]
    assert len(keeping_order(picture_table(3), "sharpest")) == 3


@pytest.mark.parametrize("keep", ["newest", "bytes:descending", "", "pixels"])
def test_what_is_neither_a_policy_nor_a_column_is_refused(keep):
    with pytest.raises(UsageError, match="--keep"):
        keeping_order(picture_table(2), keep)


def test_the_best_shows_the_most_and_has_no_borders():
    sets = np.array([0, 0, 0, 0, 1, 1])
    pixels = np.array([100, 220, 30, 105, 50, 50], np.float64)
    filled = np.array([1, 0.45, 1, 1, 0.3, np.nan])
    has_twin = np.array([True, True, True, False, False, False])
    # a photograph, its letterbox, a small copy, it on another; one with borders, one nobody read
    worse = how_much_worse(sets, pixels, filled, has_twin)
    assert worse.tolist() == [0, 2, 3, 1, 1, 3]
    order = keeping_order(picture_table(6), "best", seen={"worse": worse})
    assert worse[order].tolist() == sorted(worse.tolist())


def test_nobody_is_worse_where_there_are_none():
    empty = np.empty(0)
    assert len(how_much_worse(empty.astype(np.int64), empty, empty, empty.astype(bool))) == 0
