import pytest

from index.errors import UsageError
from index.factory_string import IndexLayout, choose_factory_string, harder_choice

GIB = 1 << 30


@pytest.mark.parametrize(
    ("count", "dim", "max_bytes", "min_recall", "expected"),
    [
        (1, 1280, 4 * GIB, 0.95, "Flat"),
        (3_276, 1280, 4 * GIB, 0.95, "Flat"),
        (3_277, 1280, 4 * GIB, 0.95, "PCAR256,IVF64,PQ128x4fs,Refine(SQ8)"),
        (10_000, 1280, 4 * GIB, 0.95, "PCAR256,IVF128,PQ128x4fs,Refine(SQ8)"),
        (100_000, 1280, 4 * GIB, 0.95, "PCAR256,IVF256,PQ128x4fs,Refine(SQ8)"),
        (100_000, 1280, 4 * GIB, 0.99, "PCAR256,IVF256,PQ128x4fs,Refine(SQfp16)"),
        (100_000, 1280, 4 * GIB, 1.0, "Flat"),
        (1_000_000, 1280, 4 * GIB, 0.95, "PCAR256,IVF1024,PQ128x4fs,Refine(SQ8)"),
        (100_000_000, 1280, 4 * GIB, 0.95, "PCAR256,IVF8192,PQ128x4,Refine(SQ8)"),
        (1_000_000, 255, GIB, 0.95, "PCAR254,IVF1024,PQ127x4fs,Refine(SQ8)"),
        (100_000_000, 1, 4 * GIB, 0.95, "Flat"),
    ],
)
def test_the_choice_follows_count_width_memory_and_recall(
    count, dim, max_bytes, min_recall, expected
):
    choice = choose_factory_string(count, dim, max_bytes=max_bytes, min_recall=min_recall)
    assert choice.factory_string == expected
    assert len(choice.reason) > 20
    assert "\n" not in choice.reason


def test_too_little_memory_is_refused_with_both_figures():
    with pytest.raises(UsageError, match=r"at least 75\.3 MiB .* allows 1\.0 MiB"):
        choose_factory_string(1_000_000, 1280, max_bytes=1 << 20, min_recall=0.9)


@pytest.mark.parametrize("name", ["HNSW32", "PCAR8,IVF0,PQ4x4fs,Refine(SQ8)", "PCAR8,IVF4,PQ3x4fs"])
def test_types_that_are_not_ours_are_left_to_faiss(name):
    assert IndexLayout.parse(name) is None


def test_a_layout_is_written_as_it_is_read():
    for name in (
        "Flat",
        "SQ8",
        "PCAR8,IVF4,PQ4x4fs,Refine(SQ8)",
        "PCAR8,IVF4,PQ4x4,Refine(SQfp16)",
    ):
        assert IndexLayout.parse(name).factory_string == name


@pytest.mark.parametrize(
    ("factory", "dim", "expected"),
    [
        ("PCAR256,IVF256,PQ128x4fs,Refine(SQ8)", 1280, "PCAR512,IVF256,PQ256x4fs,Refine(SQfp16)"),
        ("PCAR256,IVF256,PQ128x4fs,Refine(SQfp16)", 301, "PCAR300,IVF256,PQ150x4fs,Refine(SQfp16)"),
        ("PCAR512,IVF256,PQ256x4fs,Refine(SQfp16)", 1280, "Flat"),
        ("PCAR64,IVF8,PQ32x4fs,Refine(SQ8)", 64, "PCAR64,IVF8,PQ32x4fs,Refine(SQfp16)"),
        ("PCAR64,IVF8,PQ32x4fs,Refine(SQfp16)", 64, "Flat"),
        ("SQ8", 64, "Flat"),
    ],
)
def test_harder_types_end_with_exact_search(factory, dim, expected):
    assert harder_choice(factory, 100_000, dim, max_bytes=GIB).factory_string == expected


def test_nothing_is_harder_than_exact_search_or_a_type_of_the_users_choice():
    assert harder_choice("Flat", 100, 8, max_bytes=GIB) is None
    assert harder_choice("HNSW32", 100, 8, max_bytes=GIB) is None


@pytest.mark.parametrize("min_recall", [0, -1, 1.5])
def test_a_recall_that_cannot_be_is_refused(min_recall):
    with pytest.raises(UsageError, match="--min-recall"):
        choose_factory_string(10, 10, max_bytes=GIB, min_recall=min_recall)
