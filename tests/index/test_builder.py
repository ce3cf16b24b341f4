import numpy as np
import pytest

from index.builder import IndexOptions, build_index
from index.errors import (
    OutputMissing,
    UsageError,
)
from index.output_folder import OutputFolder
from index.recall import exact_neighbors, measure_recall, sample_queries
from index.vector_index import VectorIndex
from tests.conftest import random_vectors, write_dataset
from tests.index.test_vector_index import EVERY_TYPE, ON_DISK, OURS, built, exact_ids
from tests.recorded_progress import RecordedProgress


@pytest.mark.parametrize("factory", EVERY_TYPE)
def test_every_type_reaches_the_recall_it_was_asked_for(tmp_path, factory):
    dataset, index = built(tmp_path, random_vectors(1500), factory)
    assert index.manifest.measured.recall_at_10 >= 0.95
    queries = sample_queries(dataset, 300, seed=99)
    assert measure_recall(index, dataset, queries=queries) >= 0.94  # other queries
    found = index.search(dataset.vectors()[:50], 1)
    assert (found.ids[:, 0] == np.arange(50)).mean() >= 0.95


@pytest.mark.parametrize("min_recall", [0.9, 0.99])
def test_recall_holds_for_vectors_that_were_not_indexed(tmp_path, min_recall):
    every = random_vectors(4000, 96)
    dataset = write_dataset(tmp_path, every[:3000])
    folder = OutputFolder.at(tmp_path).folder("index", "variant=tiny")
    factory = "PCAR96,IVF16,PQ48x4fs,Refine(SQfp16)"
    build_index(dataset, folder, IndexOptions(factory_string=factory, min_recall=min_recall))
    found = VectorIndex.open(folder).search(every[3000:], 10).ids
    true = exact_ids(every[:3000], every[3000:], 10)
    assert np.mean([np.isin(a, b).mean() for a, b in zip(found, true, strict=True)]) >= min_recall


def test_what_cannot_reach_its_recall_is_built_harder_until_it_does(tmp_path, monkeypatch):
    monkeypatch.setattr("index.factory_string.EXACT_BYTES", 1000)
    spread = np.random.default_rng(0).normal(size=(1200, 64)).astype(np.float32)
    monkeypatch.setattr("index.search_tuning.SCORED", (10, 14))  # too few
    dataset = write_dataset(tmp_path, spread)
    progress = RecordedProgress()
    folder = OutputFolder.at(tmp_path).folder("index", "variant=tiny")
    manifest = build_index(dataset, folder, IndexOptions(progress=progress))
    assert manifest.factory_string == "Flat"
    assert not (tmp_path / "index/variant=tiny/candidates.faiss").exists()
    assert manifest.measured.recall_at_10 == 1.0
    assert [
        line.partition(":")[0] for line in progress.lines if "recall" in line and ":" in line
    ] == [
        "PCAR64,IVF30,PQ32x4fs,Refine(SQfp16)",
        "Flat",
    ]


def test_measured_recall_falls_when_neighbors_are_missed(tmp_path):
    dataset, index = built(tmp_path, random_vectors(300))
    exact = exact_neighbors(dataset, sample_queries(dataset, 50))
    found = index.search(exact.queries.vectors, 11)
    assert exact.recalls(found.ids, 10).mean() == 1.0
    half = found.ids.copy()
    half[:, 5:] = -1
    assert 0.3 <= exact.recalls(half, 10).mean() <= 0.6
    others = np.where(found.ids == exact.queries.ids[:, None], found.ids, 299 - found.ids)
    assert exact.recalls(others, 10).mean() < 0.2


@pytest.mark.parametrize("factory", ["HNSW16", OURS])
def test_copies_of_a_picture_do_not_lower_the_recall(tmp_path, factory):
    vectors = np.repeat(
        random_vectors(10), 100, axis=0
    )  # more of each than true neighbors are kept
    _, index = built(tmp_path, vectors, factory)
    assert index.manifest.measured.recall_at_10 == 1.0


def test_near_copies_are_not_taken_for_copies_in_measuring(tmp_path):
    rng = np.random.default_rng(0)
    near = np.repeat(random_vectors(4, 64), 20, axis=0) + rng.normal(size=(80, 64)) * 0.02
    vectors = np.repeat(near, 70, axis=0).astype(np.float32)  # more of each than are kept
    dataset, index = built(tmp_path, vectors, "PCAR64,IVF8,PQ32x4fs,Refine(SQ8)")
    exact = exact_neighbors(dataset, sample_queries(dataset, 100))
    assert len(exact.ties) == 100 * 70
    own = exact.queries.ids[:, None]
    beside = (own // 1400) * 1400 + (own + 70 + np.arange(11)) % 1400  # rows of other near copies
    assert exact.recalls(beside, 10).mean() < 0.3
    assert exact.recalls((own // 70) * 70 + np.arange(11), 10).mean() == 1.0
    assert index.manifest.measured.recall_at_10 == pytest.approx(
        measure_recall(index, dataset), abs=0.02
    )


@pytest.mark.parametrize("factory", ["IVF16,SQ8", OURS, ON_DISK])
def test_building_twice_gives_the_same_bytes(tmp_path, factory):
    vectors = random_vectors(600)
    first = built(tmp_path / "a", vectors, factory)[1].manifest
    second = built(tmp_path / "b", vectors, factory)[1].manifest
    assert first.searched_files == second.searched_files
    assert first.rows_file == second.rows_file
    assert first.search_parameters == second.search_parameters


@pytest.mark.parametrize("count", [1, 2, 3])
def test_a_very_small_set_is_searched_whole(tmp_path, count):
    vectors = random_vectors(count)
    _, index = built(tmp_path, vectors)
    found = index.search(vectors[:1], 10)
    assert found.ids.shape == (1, count)
    measured = index.manifest.measured
    assert measured is None if count == 1 else measured.recall_at_10 == 1.0


def test_an_empty_set_is_refused(tmp_path):
    with pytest.raises(OutputMissing, match="nothing to index"):
        built(tmp_path, random_vectors(0))


@pytest.mark.parametrize("factory", ["Flatt", "IVF64,Flat", "IDMap,Flat"])
def test_a_factory_string_that_faiss_cannot_build_is_refused(tmp_path, factory):
    with pytest.raises(UsageError, match=f"FAISS cannot build '{factory}'"):
        built(tmp_path, random_vectors(10), factory)


def test_more_components_than_a_vector_has_are_refused(tmp_path):
    with pytest.raises(UsageError, match="32 components of vectors of width 24"):
        built(tmp_path, random_vectors(100), "PCAR32,IVF4,PQ16x4fs,Refine(SQ8)")


@pytest.mark.parametrize("factory", [None, OURS, "HNSW16"])
def test_too_little_memory_is_refused_for_any_type(tmp_path, factory):
    dataset = write_dataset(tmp_path, random_vectors(1000))
    folder = OutputFolder.at(tmp_path).folder("index")
    with pytest.raises(UsageError, match=r"--max-memory allows 0\.0 MiB"):
        build_index(dataset, folder, IndexOptions(max_bytes=10_000, factory_string=factory))
