import pytest

from index.errors import UsageError
from index.factory_string import choose_factory_string

GIB = 1 << 30


@pytest.mark.parametrize(
    ("count", "dim", "max_bytes", "min_recall", "expected"),
    [
        (1, 1280, 4 * GIB, 0.95, "Flat"),
        (100_000, 1280, 4 * GIB, 0.95, "Flat"),
        (100_001, 1280, 4 * GIB, 0.95, "HNSW32,SQ8"),
        (100_001, 1280, 4 * GIB, 1.0, "Flat"),
        (90_000, 1280, GIB // 4, 0.95, "HNSW32,SQ8"),
        (90_000, 1280, GIB // 9, 0.95, "IVF1024,SQ8"),
        (100, 1280, 140_000, 0.95, "IVF2,SQ8"),
        (10, 1280, 14_000, 0.95, "IVF1,SQ8"),
    ],
)
def test_the_choice_follows_count_and_memory(count, dim, max_bytes, min_recall, expected):
    choice = choose_factory_string(count, dim, max_bytes=max_bytes, min_recall=min_recall)
    assert choice == expected


@pytest.mark.parametrize("min_recall", [0.9, 1.0])
def test_too_little_memory_is_refused_with_both_figures(min_recall):
    with pytest.raises(UsageError, match=r"at least .* MiB .* allows 1\.0 MiB"):
        choose_factory_string(1_000_000, 1280, max_bytes=1 << 20, min_recall=min_recall)


@pytest.mark.parametrize("min_recall", [0, -1, 1.5])
def test_a_recall_that_cannot_be_is_refused(min_recall):
    with pytest.raises(UsageError, match="--min-recall"):
        choose_factory_string(10, 10, max_bytes=GIB, min_recall=min_recall)
