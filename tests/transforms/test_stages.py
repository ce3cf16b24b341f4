import dataclasses
import json

import apache_beam as beam
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from apache_beam.testing.util import assert_that

from index.errors import ArtifactDamaged
from index.output_folder import OutputFolder
from index.stored_file import StoredFile
from tests.conftest import picture, picture_table, space
from transforms.attempt import Attempt
from transforms.complete_chunks import complete_chunk
from transforms.compute_embeddings import ComputeEmbeddings
from transforms.dead_letters import read_dead_letters, write_dead_letters
from transforms.elements import EmbeddedChunk, Embeddings, Failure, FileReference
from transforms.embedding_plan import plan_embedding
from transforms.engines.engine import EngineSettings
from transforms.module_store import ModuleStore
from transforms.plan_chunks import PlanChunks
from transforms.plan_file import write_plan
from transforms.progress import ProgressListener, send_progress
from transforms.read_images import ReadImages
from transforms.variants import Variant
from transforms.write_embeddings import write_parts


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
    attempt = Attempt(folder)
    record = complete_chunk(write_parts(chunk, folder, spaces), attempt)
    assert attempt.records() == [record]
    assert list(record.parts) == ["tiny"]
    name = record.parts["tiny"].name
    assert name == f"part-00004-{record.parts['tiny'].sha256[:12]}.parquet"
    table = pq.read_table(tmp_path / "embeddings/variant=tiny" / name, partitioning=None)
    assert table.column("uri").to_pylist() == ["/p/000.jpg", "/p/002.jpg"]
    assert np.array_equal(table.column("embedding").combine_chunks().flatten(), vectors.reshape(-1))
    assert record.failures == failures


def test_failures_can_be_read_back_and_by_anyone(tmp_path):
    folder = OutputFolder.at(tmp_path)
    failures = [
        Failure("/p/1.jpg", "compute", "E", 'a "quoted"\nline, \u00e4', "v", 3, 1.25),
        Failure("/p/0.jpg", "list", "NotAFile", "m"),
    ]
    files = write_dead_letters(folder, failures)
    assert read_dead_letters(folder, files) == failures[::-1]
    lines = (tmp_path / "failures" / files[0].name).read_text().splitlines()
    assert [json.loads(line) for line in lines] == [
        dataclasses.asdict(one) for one in failures[::-1]
    ]
    assert write_dead_letters(folder, []) == ()
    foreign = StoredFile.of("part-x.jsonl", b"{}\n")
    (tmp_path / "failures" / foreign.name).write_bytes(b"{}\n")
    with pytest.raises(ArtifactDamaged, match="holds no failures"):
        read_dead_letters(folder, [foreign])


def test_writing_a_chunk_twice_leaves_the_same_files(tmp_path):
    chunk = EmbeddedChunk(
        0, picture_table(1), {"t": Embeddings(np.array([0]), np.ones((1, 24), np.float32))}, ()
    )
    folder = OutputFolder.at(tmp_path)
    first, second = (
        complete_chunk(write_parts(chunk, folder, {"t": space("t")}), Attempt(folder))
        for _ in range(2)
    )
    assert first == second
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert len(files) == 2


@pytest.mark.parametrize("workers", [None, 1])
def test_the_stages_are_transforms_over_chunks(tmp_path, tiny_tf2, monkeypatch, workers):
    monkeypatch.setattr("transforms.embedding_plan.CHUNK_FILES", 3)
    names = [f"{number}.jpg" for number in range(8)]
    for number, name in enumerate(names[:-1]):
        (tmp_path / name).write_bytes(picture(number))
    plan = plan_embedding([FileReference(str(tmp_path / name), 10) for name in names], ["tiny"])
    folder = OutputFolder.at(tmp_path)
    write_plan(folder, plan)
    module = ModuleStore().locate(Variant("tiny", str(tiny_tf2)))

    def as_expected(chunks):
        chunks = sorted(chunks, key=lambda chunk: chunk.number)
        assert [chunk.number for chunk in chunks] == [0, 1, 2]
        assert [chunk.pictures.num_rows for chunk in chunks] == [3, 3, 1]
        assert all(isinstance(chunk.pictures, pa.Table) for chunk in chunks)
        assert [failure.error for failure in chunks[2].failures] == ["FileNotFoundError"]
        assert chunks[1].embeddings["tiny"].vectors.shape == (3, 24)

    with beam.Pipeline(runner="FnApiRunner") as pipeline:
        embedded = (
            pipeline
            | PlanChunks(folder, len(plan), workers)
            | ReadImages()
            | ComputeEmbeddings({module: EngineSettings("tensorflow")}, threads=2)
        )
        assert_that(embedded, as_expected)


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
