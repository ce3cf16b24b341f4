import numpy as np
import pyarrow.parquet as pq
import pytest

from index.builder import IndexOptions, build_index
from index.embedding_dataset import EmbeddingDataset
from index.errors import (
    ArtifactDamaged,
    InvalidInput,
    OutputMissing,
    SpaceMismatch,
    UsageError,
)
from index.output_folder import OutputFolder
from index.recall import measure_recall, sample_queries
from index.unit_vectors import unit_vectors
from index.vector_index import VectorIndex
from tests.conftest import random_vectors, space, write_dataset

EVERY_TYPE = ["Flat", "SQ8", "HNSW16,SQ8", "HNSW16", "IVF16,SQ8", "IVF16,Flat"]


def built(tmp_path, vectors, factory=None, **columns) -> tuple[EmbeddingDataset, VectorIndex]:
    dataset = write_dataset(tmp_path, vectors, **columns)
    folder = OutputFolder.at(tmp_path).folder("index", "variant=tiny")
    build_index(dataset, folder, IndexOptions(factory_string=factory))
    return dataset, VectorIndex.open(folder)


def exact_ids(vectors, queries, k):
    scores = unit_vectors(queries) @ unit_vectors(vectors).T
    return np.argsort(-scores, axis=1, kind="stable")[:, :k]


def test_exact_search_agrees_with_plain_numpy(tmp_path):
    vectors, queries = random_vectors(500), random_vectors(20, seed=1)
    _, index = built(tmp_path, vectors)
    found = index.search(queries, 10)
    assert index.manifest.factory_string == "Flat"
    assert np.array_equal(found.ids, exact_ids(vectors, queries, 10))
    expected = np.sort(unit_vectors(queries) @ unit_vectors(vectors).T, axis=1)[:, ::-1][:, :10]
    assert np.allclose(found.scores, expected, atol=1e-6)


@pytest.mark.parametrize("factory", EVERY_TYPE)
def test_every_type_reaches_the_recall_it_was_asked_for(tmp_path, factory):
    dataset, index = built(tmp_path, random_vectors(1500), factory)
    assert index.manifest.recall_at_10 >= 0.95
    queries = sample_queries(dataset, 100, seed=99)
    [again] = measure_recall([lambda v, k: index.search(v, k).ids], dataset, queries)
    assert again >= 0.93  # other queries than it was tuned with
    found = index.search(dataset.vectors()[:50], 1)
    assert (found.ids[:, 0] == np.arange(50)).mean() >= 0.95


def test_measured_recall_falls_when_neighbors_are_missed(tmp_path):
    dataset, index = built(tmp_path, random_vectors(300))
    queries = sample_queries(dataset, 50)

    def half_blind(vectors, k):
        ids = index.search(vectors, k).ids.copy()
        ids[:, k // 2 :] = -1
        return ids

    exact, half = measure_recall(
        [lambda v, k: index.search(v, k).ids, half_blind], dataset, queries
    )
    assert exact == 1.0
    assert 0.3 <= half <= 0.6


def test_copies_of_a_picture_do_not_lower_the_recall(tmp_path):
    vectors = np.repeat(random_vectors(10), 30, axis=0)
    _, index = built(tmp_path, vectors, "HNSW16")
    assert index.manifest.recall_at_10 == 1.0


def test_building_twice_gives_the_same_bytes(tmp_path):
    vectors = random_vectors(600)
    first = built(tmp_path / "a", vectors, "IVF16,SQ8")[1].manifest
    second = built(tmp_path / "b", vectors, "IVF16,SQ8")[1].manifest
    assert first.index_file == second.index_file
    assert first.rows_file == second.rows_file


def test_scores_are_cosines_whatever_the_length(tmp_path):
    vectors = random_vectors(50)
    _, index = built(tmp_path, vectors)
    found = index.search(vectors[:5] * 1000, 1)
    assert np.array_equal(found.ids[:, 0], np.arange(5))
    assert np.allclose(found.scores, 1.0, atol=1e-6)
    assert (found.scores <= 1).all()


def test_ids_lead_to_rows(tmp_path):
    _, index = built(tmp_path, random_vectors(30))
    assert index.find("/p/017.jpg") == 17
    assert index.find("/p/nowhere.jpg") is None
    rows = pq.read_table(tmp_path / "index/variant=tiny/rows.parquet", partitioning=None)
    assert rows.column("id").to_pylist() == list(range(30))
    assert rows.column("uri")[17].as_py() == "/p/017.jpg"


@pytest.mark.parametrize("count", [1, 2, 3])
def test_a_very_small_set_is_searched_whole(tmp_path, count):
    vectors = random_vectors(count)
    _, index = built(tmp_path, vectors)
    found = index.search(vectors[:1], 10)
    assert found.ids.shape == (1, count)
    assert index.manifest.recall_at_10 == (None if count == 1 else 1.0)


def test_an_empty_set_is_refused(tmp_path):
    with pytest.raises(OutputMissing, match="nothing to index"):
        built(tmp_path, random_vectors(0))


@pytest.mark.parametrize(
    ("vectors", "message"),
    [
        (np.zeros((1, 7), np.float32), r"shape \(1, 7\)"),
        (np.zeros(24, np.float32), r"shape \(24,\)"),
        (np.zeros((0, 24), np.float32), "no vectors"),
        (np.full((1, 24), np.nan, np.float32), "NaN"),
        (np.zeros((1, 24), np.int64), "int64"),
    ],
)
def test_vectors_that_do_not_fit_are_refused(tmp_path, vectors, message):
    _, index = built(tmp_path, random_vectors(10))
    with pytest.raises(InvalidInput, match=message):
        index.search(vectors)


def test_a_query_from_another_space_is_refused(tmp_path):
    built(tmp_path, random_vectors(10))
    folder = str(tmp_path / "index/variant=tiny")
    assert len(VectorIndex.open(folder, query_space=space())) == 10
    with pytest.raises(SpaceMismatch, match="recipe"):
        VectorIndex.open(folder, query_space=space(recipe="other"))


def test_an_index_that_is_not_there_is_named_with_the_cure(tmp_path):
    with pytest.raises(OutputMissing, match="lookalike index"):
        VectorIndex.of_variant(str(tmp_path), "tiny")


@pytest.mark.parametrize("name", ["index.faiss", "rows.parquet"])
def test_a_flipped_byte_is_refused_before_it_is_parsed(tmp_path, name):
    built(tmp_path, random_vectors(30))
    path = tmp_path / "index/variant=tiny" / name
    data = bytearray(path.read_bytes())
    for place in range(0, len(data), len(data) // 7):
        data[place] ^= 0x10
        path.write_bytes(data)
        with pytest.raises(ArtifactDamaged, match=name):
            VectorIndex.open(str(path.parent))
        data[place] ^= 0x10


@pytest.mark.parametrize("factory", ["Flatt", "IVF64,Flat", "IDMap,Flat"])
def test_a_factory_string_that_faiss_cannot_build_is_refused(tmp_path, factory):
    with pytest.raises(UsageError, match=f"FAISS cannot build '{factory}'"):
        built(tmp_path, random_vectors(10), factory)


@pytest.mark.parametrize("count", [1, 5, 30, 200])
def test_little_memory_is_no_obstacle_to_a_small_set(tmp_path, count):
    dataset = write_dataset(tmp_path, random_vectors(count))
    folder = OutputFolder.at(tmp_path).folder("index")
    manifest = build_index(dataset, folder, IndexOptions(max_bytes=count * (24 + 8)))
    assert manifest.factory_string.startswith("IVF")
    assert VectorIndex.open(folder).search(random_vectors(1), 3).ids[0, 0] >= 0
