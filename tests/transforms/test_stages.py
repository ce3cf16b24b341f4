import dataclasses
import hashlib
import json
from concurrent.futures import ThreadPoolExecutor

import apache_beam as beam
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from apache_beam.testing.util import assert_that

from index.output_folder import OutputFolder
from tests.conftest import broken_files, picture, picture_table, space
from transforms.compute_embeddings import embed_chunk
from transforms.elements import (
    EmbeddedChunk,
    Embeddings,
    Failure,
    FileChunk,
    FileReference,
    ImageChunk,
    ImageFile,
    PreparedChunk,
)
from transforms.embedding_plan import plan_embedding
from transforms.engines.engine import load_engine
from transforms.module_store import ModuleStore
from transforms.plan_chunks import PlanChunks
from transforms.prepare_inputs import PrepareInputs, prepare_chunk
from transforms.progress import ProgressListener, send_progress
from transforms.read_images import ReadImages
from transforms.variants import Variant
from transforms.write_embeddings import write_parts
from transforms.write_failures import read_chunk_records, write_failures

SIZE = (32, 32)


def image_file(name, data):
    return ImageFile(name, data, hashlib.sha256(data).hexdigest(), 1_700_000_000.25)


def prepared_chunk(images: np.ndarray, failures=()) -> PreparedChunk:
    return PreparedChunk(7, picture_table(len(images)), {SIZE: images}, tuple(failures))


def gray_pictures(*levels: float) -> np.ndarray:
    """float32 [n, 32, 32, 3]: each picture one shade."""
    return np.stack([np.full((*SIZE, 3), level, np.float32) for level in levels])


@pytest.fixture(scope="module")
def fussy(fussy_module):
    return load_engine(ModuleStore().locate(Variant("fussy", str(fussy_module))))


def test_a_broken_picture_costs_its_neighbors_nothing():
    files = {"a.jpg": picture(1), **broken_files(), "z.png": picture(2, format="PNG")}
    chunk = ImageChunk(3, tuple(image_file(name, data) for name, data in files.items()), ())
    with ThreadPoolExecutor(2) as threads:
        prepared = prepare_chunk(chunk, [SIZE, (48, 48)], threads)
        alone = prepare_chunk(ImageChunk(3, chunk.images[-1:], ()), [SIZE], threads)
    assert prepared.pictures.column("uri").to_pylist() == ["a.jpg", "z.png"]
    assert prepared.pictures.column("format").to_pylist() == ["JPEG", "PNG"]
    assert prepared.pictures.column("modified")[0].as_py().microsecond == 250_000
    assert [failure.uri for failure in prepared.failures] == list(broken_files())
    assert {failure.stage for failure in prepared.failures} == {"decode"}
    assert {size: images.shape for size, images in prepared.inputs.items()} == {
        SIZE: (2, 32, 32, 3),
        (48, 48): (2, 48, 48, 3),
    }
    assert np.array_equal(prepared.inputs[SIZE][1], alone.inputs[SIZE][0])


def test_a_chunk_without_a_usable_picture_is_still_a_chunk():
    chunk = ImageChunk(0, (image_file("a.jpg", b""),), ())
    with ThreadPoolExecutor(1) as threads:
        prepared = prepare_chunk(chunk, [SIZE], threads)
    assert prepared.inputs[SIZE].shape == (0, 32, 32, 3)
    assert len(prepared.failures) == 1


@pytest.mark.parametrize("batch_size", [1, 3, 8, 100])
def test_only_the_culprits_of_a_failing_batch_fail(fussy, batch_size):
    levels = [0.3, 1.0, 0.5, 0.6, 1.0, 0.2, 0.0, 0.4]
    earlier = Failure("/p/earlier", "decode", "E", "m")
    embedded = embed_chunk(
        prepared_chunk(gray_pictures(*levels), [earlier]),
        {"fussy": fussy},
        batch_size,
        None,
    )
    result = embedded.embeddings["fussy"]
    assert result.rows.tolist() == [0, 2, 3, 5, 7]
    good = gray_pictures(*(levels[row] for row in result.rows))
    assert np.allclose(result.vectors, fussy.embed(good), atol=1e-5)
    assert embedded.failures[0] == earlier
    found = {failure.uri: failure for failure in embedded.failures[1:]}
    assert sorted(found) == ["/p/001.jpg", "/p/004.jpg", "/p/006.jpg"]
    assert {failure.stage for failure in found.values()} == {"compute"}
    assert "too bright" in found["/p/001.jpg"].message
    assert "variant fussy" in found["/p/001.jpg"].message
    assert found["/p/006.jpg"].error == "NotFinite"


def test_a_picture_that_fails_for_one_variant_has_a_row_for_the_other(fussy, tiny_tf2):
    plain = load_engine(ModuleStore().locate(Variant("plain", str(tiny_tf2))))
    embedded = embed_chunk(
        prepared_chunk(gray_pictures(0.5, 1.0)),
        {"fussy": fussy, "plain": plain},
        8,
        None,
    )
    assert embedded.embeddings["fussy"].rows.tolist() == [0]
    assert embedded.embeddings["plain"].rows.tolist() == [0, 1]


def test_a_chunk_with_no_picture_has_no_vectors(fussy):
    empty = prepared_chunk(np.empty((0, *SIZE, 3), np.float32))
    embedded = embed_chunk(empty, {"fussy": fussy}, 8, None)
    assert embedded.embeddings["fussy"].vectors.shape == (0, 24)


def test_vectors_do_not_depend_on_the_batch_size(tiny_tf2):
    engine = load_engine(ModuleStore().locate(Variant("plain", str(tiny_tf2))))
    chunk = prepared_chunk(np.random.default_rng(0).random((20, *SIZE, 3), np.float32))
    one, many = (
        embed_chunk(chunk, {"v": engine}, size, None).embeddings["v"].vectors for size in (1, 32)
    )
    assert np.allclose(one, many, atol=1e-5)


def test_a_written_chunk_can_be_read_back(tmp_path):
    folder = OutputFolder.at(tmp_path)
    vectors = np.random.default_rng(0).random((2, 24), np.float32)
    failures = (Failure("/p/001.jpg", "compute", "E", 'a "quoted"\nline, ä'),)
    chunk = EmbeddedChunk(
        4,
        picture_table(3),
        {
            "tiny": Embeddings(np.array([0, 2]), vectors),
            "none": Embeddings(np.array([], np.int64), np.empty((0, 24), np.float32)),
        },
        failures,
    )
    spaces = {name: space(name) for name in chunk.embeddings}
    record = write_failures(write_parts(chunk, folder, spaces), folder)
    assert read_chunk_records(folder) == [record]
    assert list(record.parts) == ["tiny"]
    table = pq.read_table(
        tmp_path / "embeddings/variant=tiny/part-00004.parquet", partitioning=None
    )
    assert table.column("uri").to_pylist() == ["/p/000.jpg", "/p/002.jpg"]
    assert np.array_equal(table.column("embedding").combine_chunks().flatten(), vectors.reshape(-1))
    lines = (tmp_path / "failures/part-00004.jsonl").read_text().splitlines()
    assert [json.loads(line) for line in lines] == [dataclasses.asdict(failures[0])]
    assert record.failed_pictures == 1


def test_writing_a_chunk_twice_leaves_the_same_files(tmp_path):
    chunk = EmbeddedChunk(
        0, picture_table(1), {"t": Embeddings(np.array([0]), np.ones((1, 24), np.float32))}, ()
    )
    folder = OutputFolder.at(tmp_path)
    first, second = (
        write_failures(write_parts(chunk, folder, {"t": space("t")}), folder) for _ in range(2)
    )
    assert first == second
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert len(files) == 2


def test_the_stages_are_transforms_over_chunks(tmp_path):
    (tmp_path / "a.jpg").write_bytes(picture(1))
    files = [FileReference(str(tmp_path / name), 10) for name in ("a.jpg", "gone.jpg")]

    def as_expected(chunks):
        [chunk] = chunks
        assert isinstance(chunk, PreparedChunk)
        assert isinstance(chunk.pictures, pa.Table)
        assert chunk.pictures.num_rows == 1
        assert [failure.error for failure in chunk.failures] == ["FileNotFoundError"]

    with beam.Pipeline(runner="FnApiRunner") as pipeline:
        prepared = (
            pipeline
            | PlanChunks(plan_embedding(files))
            | ReadImages()
            | PrepareInputs(sizes=(SIZE,))
        )
        assert_that(prepared, as_expected)


def test_only_references_are_planned():
    plan = plan_embedding([FileReference("/p/a.jpg", 3)])
    assert plan.chunks == (FileChunk(0, (FileReference("/p/a.jpg", 3),)),)


def test_progress_reaches_whoever_listens():
    listener = ProgressListener()
    address = listener.address
    send_progress(address, done=3)
    send_progress(address, done=2, failed=1)
    send_progress(address)
    listener.receive(1.0)
    assert (listener.done, listener.failed) == (5, 1)
    listener.receive(0.01)
    listener.close()
    send_progress(address, done=1)  # nobody listens any more: nothing happens
    assert (listener.done, listener.failed) == (5, 1)
