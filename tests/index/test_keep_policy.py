import numpy as np
import pytest

from index.errors import UsageError
from index.keep_policy import keeping_order
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
    assert keeping_order(picture_table(3), "sharpest", sharpness=sharpness).tolist() == [2, 1, 0]
    assert len(keeping_order(picture_table(3), "sharpest")) == 3


@pytest.mark.parametrize("keep", ["newest", "bytes:descending", "", "pixels"])
def test_what_is_neither_a_policy_nor_a_column_is_refused(keep):
    with pytest.raises(UsageError, match="--keep"):
        keeping_order(picture_table(2), keep)
