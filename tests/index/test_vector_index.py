import shutil
from concurrent.futures import ThreadPoolExecutor
from threading import Timer

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
)
from index.output_folder import OutputFolder
from index.unit_vectors import unit_vectors
from index.vector_index import VectorIndex
from tests.conftest import random_vectors, space, write_dataset

OURS = "PCAR24,IVF8,PQ12x4fs,Refine(SQ8)"
ON_DISK = "PCAR24,IVF8,PQ12x4,Refine(SQ8)"
EVERY_TYPE = [
    "Flat",
    "SQ8",
    OURS,
    ON_DISK,
    "PCAR16,IVF1,PQ8x4fs,Refine(SQfp16)",
    "HNSW16,SQ8",
    "HNSW16",
    "IVF16,SQ8",
    "IVF16,Flat",
    "PCA16,IVF8,PQ8x4fs,Refine(Flat)",
]


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


@pytest.mark.parametrize("factory", [None, ON_DISK, OURS])
def test_a_flipped_byte_anywhere_is_refused_before_it_is_parsed(tmp_path, factory):
    built(tmp_path, random_vectors(100), factory)
    folder = tmp_path / "index/variant=tiny"
    names = {path.name for path in folder.iterdir()}
    assert {"index.faiss", "rows.parquet", "report.html", "manifest.json"} <= names
    for path in folder.iterdir():
        data = bytearray(path.read_bytes())
        for place in [*range(0, len(data), len(data) // 7), len(data) - 1]:
            data[place] ^= 0x10
            path.write_bytes(data)
            with pytest.raises(ArtifactDamaged, match=path.name):
                VectorIndex.open(str(folder))
            data[place] ^= 0x10
        path.write_bytes(data)
    VectorIndex.open(str(folder))


def test_a_file_that_is_cut_or_gone_is_refused(tmp_path):
    built(tmp_path, random_vectors(100), OURS)
    folder = tmp_path / "index/variant=tiny"
    path = folder / "candidates.faiss"
    data = path.read_bytes()
    path.write_bytes(data[:-1])
    with pytest.raises(ArtifactDamaged, match=r"candidates\.faiss"):
        VectorIndex.open(str(folder))
    path.unlink()
    with pytest.raises(ArtifactDamaged, match="is gone"):
        VectorIndex.open(str(folder))


@pytest.mark.parametrize("factory", EVERY_TYPE)
@pytest.mark.parametrize("scanned", [0, 10_000])
def test_only_rows_that_match_are_found_and_the_best_of_them(
    tmp_path, monkeypatch, factory, scanned
):
    monkeypatch.setattr("index.vector_index.SCANNED_ROWS", scanned)
    vectors, queries = random_vectors(1500), random_vectors(40, seed=1)
    _, index = built(tmp_path, vectors, factory)
    among = index.matching("id % 3 = 0")
    found = index.search(queries, 10, among=among)
    assert (found.ids % 3 == 0).all()
    true = exact_ids(vectors[::3], queries, 10) * 3
    assert np.mean([np.isin(a, b).mean() for a, b in zip(found.ids, true, strict=True)]) >= 0.9


def test_a_filter_that_few_or_no_rows_match_gives_what_there_is(tmp_path):
    _, index = built(tmp_path, random_vectors(200), OURS)
    few = index.search(random_vectors(2), 10, among=index.matching("id in (5, 7)"))
    assert np.sort(few.ids, axis=1).tolist() == [[5, 7], [5, 7]]
    none = index.search(random_vectors(2), 10, among=index.matching("uri = 'x'"))
    assert none.ids.shape == (2, 0)


@pytest.mark.parametrize("factory", [None, OURS, ON_DISK])
def test_many_threads_search_one_index_at_once(tmp_path, factory):
    _, index = built(tmp_path, random_vectors(1500), factory)
    queries = random_vectors(64, seed=3)
    alone = [index.search(query[None], 10).ids for query in queries]
    even = index.matching("id % 2 = 0")

    def search(number):
        among = even if number % 2 else None
        ids = index.search(queries[number % 64][None], 10, among=among).ids
        return (ids % 2 == 0).all() if number % 2 else np.array_equal(ids, alone[number % 64])

    with ThreadPoolExecutor(8) as threads:
        assert all(threads.map(search, range(640)))


def test_opening_reads_no_rows_and_holds_no_vectors(tmp_path):
    _, index = built(tmp_path, random_vectors(300), OURS)
    index.search(random_vectors(3), 5)
    assert "table" not in vars(index.stored_rows)
    assert not index.files.stored.codes.is_owned


def test_lists_that_stay_on_the_disk_move_with_their_folder(tmp_path):
    _, index = built(tmp_path, random_vectors(500), ON_DISK)
    assert index.manifest.lists_file is not None
    before = index.search(random_vectors(5), 10)
    moved = (tmp_path / "index/variant=tiny").rename(tmp_path / "elsewhere")
    after = VectorIndex.open(str(moved)).search(random_vectors(5), 10)
    assert np.array_equal(before.ids, after.ids)


def test_an_open_index_keeps_its_rows_when_another_takes_its_place(tmp_path):
    _, index = built(tmp_path, random_vectors(300))
    shutil.rmtree(tmp_path / "index")
    built(tmp_path, random_vectors(100, seed=5), uri=[f"/q/{row}.jpg" for row in range(100)])
    assert index.search(random_vectors(300)[200:201], 1).ids[0, 0] == 200
    assert index.pictures(np.array([200])).column("uri").to_pylist() == ["/p/200.jpg"]
    assert index.matching("true").sum() == 300


def test_an_index_that_is_just_being_replaced_is_waited_for(tmp_path):
    built(tmp_path, random_vectors(50))
    folder = tmp_path / "index/variant=tiny"
    aside = folder.rename(tmp_path / "index/.replaced-variant=tiny")
    Timer(0.15, lambda: shutil.copytree(aside, folder)).start()
    assert len(VectorIndex.of_variant(str(tmp_path), "tiny")) == 50


def test_an_index_under_the_name_of_another_variant_is_refused(tmp_path):
    built(tmp_path, random_vectors(50))
    shutil.copytree(tmp_path / "index/variant=tiny", tmp_path / "index/variant=other")
    with pytest.raises(SpaceMismatch, match="variant 'tiny', not of 'other'"):
        VectorIndex.of_variant(str(tmp_path), "other")


@pytest.mark.parametrize("factory", [OURS, ON_DISK, "HNSW16", "IVF16,Flat"])
def test_a_filter_that_goes_with_the_content_still_finds_k(tmp_path, monkeypatch, factory):
    monkeypatch.setattr("index.vector_index.SCANNED_ROWS", 10)
    rng = np.random.default_rng(0)
    clusters = np.repeat(np.arange(30), 100)
    vectors = random_vectors(30, seed=4)[clusters] * 5 + random_vectors(3000)
    _, index = built(tmp_path, vectors, factory, width=(clusters + 1).tolist())
    queries = vectors[rng.integers(2000, 3000, 50)]  # far from all that matches
    found = index.search(queries, 10, among=index.matching("width <= 12"))
    assert ((found.ids >= 0) & (found.ids < 1200)).all()
    true = exact_ids(vectors[:1200], queries, 10)
    least = 0.95 if factory in (OURS, ON_DISK) else 0.7  # graphs do not reach far beside a filter
    assert np.mean([np.isin(a, b).mean() for a, b in zip(found.ids, true, strict=True)]) >= least


@pytest.mark.parametrize("factory", [OURS, ON_DISK, "HNSW16", "IVF16,Flat", None])
@pytest.mark.parametrize("k", [200, 1500, 5000])
def test_many_neighbors_are_all_found(tmp_path, factory, k):
    vectors = random_vectors(1500)
    _, index = built(tmp_path, vectors, factory)
    found = index.search(random_vectors(5, seed=1), k)
    assert found.ids.shape == (5, min(k, 1500))
    assert (found.ids >= 0).all()
    true = exact_ids(vectors, random_vectors(5, seed=1), min(k, 1500))
    assert np.mean([np.isin(a, b).mean() for a, b in zip(found.ids, true, strict=True)]) >= 0.9


def test_an_id_that_no_row_has_is_refused(tmp_path):
    _, index = built(tmp_path, random_vectors(50))
    for ids in ([50], [3, 99]):
        with pytest.raises(InvalidInput, match="is no id of this index"):
            index.pictures(np.array(ids))


def test_a_filter_of_another_index_is_refused(tmp_path):
    _, index = built(tmp_path, random_vectors(50))
    with pytest.raises(InvalidInput, match="shape"):
        index.search(random_vectors(1), 5, among=np.ones(49, np.bool_))


def test_large_numbers_have_a_direction_too():
    huge = np.full((1, 24), 3e38, np.float32)
    assert np.allclose(unit_vectors(huge), 24**-0.5)
