"""An index that follows its dataset, against one that knows nothing of the past."""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from index.builder import IndexOptions, build_index
from index.embedding_dataset import EmbeddingDataset
from index.errors import RunMismatch, UsageError
from index.index_changes import IndexChanges
from index.living_index import update_index
from index.manifest import EmbeddingsManifest
from index.output_folder import OutputFolder
from index.recall import measure_recall
from index.unit_vectors import unit_vectors
from index.vector_index import VectorIndex
from tests.conftest import random_vectors, write_dataset

OURS = "PCAR24,IVF8,PQ12x4fs,Refine(SQ8)"
ON_DISK = "PCAR24,IVF8,PQ12x4,Refine(SQ8)"
ROUGH = ["PQ12x4fs", "IVF8,PQ12x4fs", "IVF8,FlatDedup"]  # types that give no vectors back
TYPES = [None, OURS, ON_DISK, "HNSW16", "IVF8,Flat", "NSG16,Flat", *ROUGH]
VECTORS = random_vectors(3000)


def dataset_of(folder, pictures, part_rows=100) -> EmbeddingDataset:
    """The pictures, by number; the same number is the same picture in every dataset."""
    pictures = list(pictures)
    return write_dataset(
        folder,
        VECTORS[pictures],
        part_rows=part_rows,
        uri=[f"/p/{number:05}.jpg" for number in pictures],
        content_hash=[f"{number:064x}" for number in pictures],
    )


def built(tmp_path, pictures, factory=None, **options) -> VectorIndex:
    folder = OutputFolder.at(tmp_path / "index0")
    choice = IndexOptions(factory_string=factory, **options)
    build_index(dataset_of(tmp_path / "0", pictures), folder, choice)
    return VectorIndex.open(folder)


def updated(index, tmp_path, pictures, number=1, **how) -> tuple[VectorIndex, IndexChanges]:
    dataset = dataset_of(tmp_path / str(number), pictures, **how)
    folder = OutputFolder.at(tmp_path / f"index{number}")
    _, changes = update_index(index, dataset, folder, IndexOptions())
    found = VectorIndex.open(folder)
    assert found.manifest.embeddings == dataset.record.digest
    return found, changes


def ids_of(index) -> dict[str, int]:
    ids = dict(zip(index.rows.column("uri").to_pylist(), index.ids.tolist(), strict=True))
    assert len(ids) == len(index) == len(set(ids.values()))
    return ids


def searched(index, vectors, k=10) -> list[list[str]]:
    found = index.search(vectors, k)
    uris = index.pictures(found.ids.ravel()).column("uri").to_pylist()
    assert (found.ids >= 0).all()
    return np.array(uris).reshape(found.ids.shape).tolist()


def nearest(pictures, vectors, k=10) -> list[list[str]]:
    pictures = np.array(list(pictures))
    scores = unit_vectors(vectors) @ unit_vectors(VECTORS[pictures]).T
    best = pictures[np.argsort(-scores, axis=1)[:, :k]]
    return [[f"/p/{number:05}.jpg" for number in row] for row in best]


@pytest.mark.parametrize("factory", TYPES)
def test_an_update_finds_what_came_and_not_what_went(tmp_path, factory):
    before, after = range(1000), [*range(50, 1000), *range(1500, 1600)]
    index = built(tmp_path, before, factory)
    found, changes = updated(index, tmp_path, after)
    assert (changes.gone, changes.new.num_rows) == (50, 100)
    old, new = ids_of(index), ids_of(found)
    assert set(new) == {f"/p/{number:05}.jpg" for number in after}
    assert all(new[uri] == old[uri] for uri in new if uri in old)
    assert min(new[uri] for uri in new if uri not in old) == 1000
    queries = VECTORS[2000:2100]
    true, given_ = nearest(after, queries), searched(found, queries)
    recall = np.mean([np.isin(a, b).mean() for a, b in zip(given_, true, strict=True)])
    even = (
        found.search(queries, 5, among=found.matching("id % 2 = 0"))
        if factory != ROUGH[0]
        else None
    )
    assert even is None or (even.ids % 2 == 0).all()
    if factory in ROUGH:
        assert recall >= 0.5
        with pytest.raises(UsageError, match="does not give its vectors back"):
            found.vectors(np.array([1000]))
        return
    assert recall >= 0.93
    assert searched(found, VECTORS[[1500, 999, 50]], 1) == nearest(
        after, VECTORS[[1500, 999, 50]], 1
    )
    stored = found.vectors(np.array([new["/p/01550.jpg"], new["/p/00050.jpg"]]))
    assert np.allclose(stored, unit_vectors(VECTORS[[1550, 50]]), atol=0.01)


@pytest.mark.parametrize("factory", [None, ON_DISK, "HNSW16"])
def test_an_id_is_never_given_twice(tmp_path, factory):
    index = built(tmp_path, range(100), factory)
    index, _ = updated(index, tmp_path, range(60), 1)  # 60 to 99 are gone
    index, _ = updated(index, tmp_path, range(61), 2)
    assert index.find("/p/00060.jpg") == 100


def test_codes_are_taken_over_as_they_are(tmp_path):
    index = built(tmp_path, range(1000), OURS)
    found, _ = updated(index, tmp_path, [*range(30, 1000), *range(1500, 1520)])
    kept = np.arange(30, 1000)
    assert np.array_equal(index.vectors(kept), found.vectors(kept))
    assert found.manifest.tombstones == 0
    assert found.manifest.measured == index.manifest.measured  # 50 changes of 1,000
    assert found.manifest.changed_since == 50


def test_many_changes_are_measured_again(tmp_path):
    index = built(tmp_path, range(1000), OURS)
    found, _ = updated(index, tmp_path, range(200, 1000))
    assert (found.manifest.measured_count, found.manifest.changed_since) == (800, 0)
    dataset = EmbeddingDataset.open(str(tmp_path / "1"))
    assert measure_recall(found, dataset) == pytest.approx(
        found.manifest.measured.recall_at_10, abs=0.01
    )


def test_places_of_gone_rows_are_tombstones_until_there_are_too_many(tmp_path):
    index = built(tmp_path, range(500), "HNSW16")
    found, _ = updated(index, tmp_path, range(60, 520), 1)
    assert found.manifest.tombstones == 60
    assert found.files.searched.ntotal == 520
    again, _ = updated(found, tmp_path, range(140, 530), 2)
    assert again.manifest.tombstones == 0
    assert again.files.searched.ntotal == 390
    before, after = ids_of(found), ids_of(again)
    assert all(after[uri] == before[uri] for uri in after if uri in before)


def test_an_index_that_outgrew_its_training_is_made_anew(tmp_path):
    index = built(tmp_path, range(400), OURS)
    found, _ = updated(index, tmp_path, range(1000))
    assert found.manifest.trained_count == 1000
    assert ids_of(found)["/p/00399.jpg"] == 399


def test_an_exact_index_that_grew_large_becomes_an_approximate_one(tmp_path, monkeypatch):
    monkeypatch.setattr("index.factory_string.EXACT_BYTES", 600 * 24 * 4)
    index = built(tmp_path, range(500))
    found, _ = updated(index, tmp_path, range(10, 1000))
    assert index.manifest.factory_string == "Flat"
    assert found.manifest.factory_string.startswith("PCAR24")
    assert ids_of(found)["/p/00499.jpg"] == 499


def test_pictures_that_moved_to_other_parts_keep_their_codes_and_ids(tmp_path):
    index = built(tmp_path, range(300), OURS)
    found, changes = updated(index, tmp_path, range(300), part_rows=70)
    assert (changes.gone, changes.new.num_rows) == (0, 0)
    assert ids_of(found) == ids_of(index)
    dataset = EmbeddingDataset.open(str(tmp_path / "1"))
    rows = found.pictures(np.array([7, 222]))
    stored = dataset.vectors_at(rows.column("part").to_numpy(), rows.column("row").to_numpy())
    assert np.array_equal(stored, VECTORS[[7, 222]])


def test_a_picture_whose_content_changed_gets_a_new_id(tmp_path):
    index = built(tmp_path, range(20))
    hashes = [f"{number:064x}" for number in range(20)]
    hashes[3] = "f" * 64
    dataset = write_dataset(
        tmp_path / "1",
        VECTORS[:20],
        uri=[f"/p/{number:05}.jpg" for number in range(20)],
        content_hash=hashes,
    )
    folder = OutputFolder.at(tmp_path / "index1")
    update_index(index, dataset, folder, IndexOptions())
    assert VectorIndex.open(folder).find("/p/00003.jpg") == 20


def test_what_is_known_of_a_picture_is_what_the_dataset_says_now(tmp_path):
    index = built(tmp_path, range(20))
    dataset = write_dataset(
        tmp_path / "1",
        VECTORS[:20],
        uri=[f"/p/{number:05}.jpg" for number in range(20)],
        content_hash=[f"{number:064x}" for number in range(20)],
        modified=[1_800_000_000_000_000] * 20,  # the files were touched
    )
    folder = OutputFolder.at(tmp_path / "index1")
    _, changes = update_index(index, dataset, folder, IndexOptions())
    assert (changes.gone, changes.new.num_rows) == (0, 0)
    found = VectorIndex.open(folder)
    assert found.matching("modified > timestamp '2027-01-01'").all()
    assert found.ids.tolist() == list(range(20))


def test_a_dataset_with_nothing_left_of_the_index_is_indexed_anew(tmp_path):
    index = built(tmp_path, range(50))
    found, changes = updated(index, tmp_path, range(100, 130))
    assert (changes.gone, changes.new.num_rows) == (50, 30)
    assert sorted(found.ids.tolist()) == list(range(50, 80))


def test_vectors_of_other_settings_are_refused_with_both_values(tmp_path):
    index = built(tmp_path, range(50))
    dataset = dataset_of(tmp_path / "1", range(60))
    other = dataset.record.model_copy(update={"engine": "litert"})
    manifest = EmbeddingsManifest.read(OutputFolder.at(tmp_path / "1"))
    manifest.model_copy(update={"variants": {"tiny": other}}).write(OutputFolder.at(tmp_path / "1"))
    changed = EmbeddingDataset.open(str(tmp_path / "1"))
    with pytest.raises(RunMismatch, match=r"engine 'tensorflow'.*engine 'litert'"):
        update_index(index, changed, OutputFolder.at(tmp_path / "index1"), IndexOptions())


@settings(
    max_examples=25,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(data=st.data(), factory=st.sampled_from([None, OURS, "HNSW8", "IVF4,SQ8"]))
def test_any_row_of_updates_ends_as_the_dataset_is(tmp_path_factory, data, factory):
    place = tmp_path_factory.mktemp("updates")
    some = st.sets(st.integers(0, 299), min_size=1, max_size=300)
    pictures = sorted(set(range(100, 180)) | data.draw(some))
    index = built(place, pictures, factory)
    ids, highest = ids_of(index), max(ids_of(index).values())
    for number in range(1, 4):
        pictures = sorted(data.draw(some))
        part_rows = data.draw(st.sampled_from([13, 50, 400]))
        index, _ = updated(index, place, pictures, number, part_rows=part_rows)
        now = ids_of(index)
        assert set(now) == {f"/p/{picture:05}.jpg" for picture in pictures}
        assert all(now[uri] == ids[uri] for uri in now if uri in ids)
        assert all(id > highest for uri, id in now.items() if uri not in ids)
        ids, highest = now, max(highest, *now.values())
        k = min(5, len(pictures))
        found = index.search(VECTORS[pictures], k)
        assert np.isin(found.ids, list(now.values())).all()
        own = [now[f"/p/{picture:05}.jpg"] for picture in pictures]
        assert (found.ids == np.array(own)[:, None]).any(axis=1).mean() >= 0.9
