import apache_beam as beam
import numpy as np
import pytest
from apache_beam.options.pipeline_options import PipelineOptions

from index.output_folder import OutputFolder
from pipelines.start_beam import start_beam
from tests.conftest import picture_table
from transforms.chunk_coder import ChunkCoder
from transforms.compute_embeddings import ComputeEmbeddings
from transforms.elements import (
    EmbeddedChunk,
    Embeddings,
    Failure,
    FileReference,
    ImageChunk,
    ImageFile,
)
from transforms.embedding_plan import plan_embedding
from transforms.engines.engine import EngineSettings
from transforms.module_store import ModuleStore
from transforms.plan_chunks import PlanChunks
from transforms.plan_file import write_plan
from transforms.read_images import ReadImages
from transforms.variants import Variant

IMAGES = ImageChunk(
    3,
    (ImageFile("/p/a.jpg", b"x" * 100_000, "0a", 1.5),),
    (Failure("/p/b.jpg", "read", "E", "m"),),
    ("v",),
)
EMBEDDED = EmbeddedChunk(
    4, picture_table(50), {"v": Embeddings(np.arange(50), np.ones((50, 1280), np.float32))}, ()
)


@pytest.mark.parametrize("chunk", [IMAGES, EMBEDDED], ids=["images", "embedded"])
def test_a_chunk_is_sized_within_a_tenth_of_what_it_takes(chunk):
    encoded = ChunkCoder().encode(chunk)
    assert ChunkCoder().estimate_size(chunk) == pytest.approx(len(encoded), rel=0.1)


def test_a_coded_chunk_is_the_same_chunk():
    assert ChunkCoder().decode(ChunkCoder().encode(IMAGES)) == IMAGES
    embedded = ChunkCoder().decode(ChunkCoder().encode(EMBEDDED))
    assert embedded.pictures.equals(EMBEDDED.pictures)
    assert np.array_equal(embedded.embeddings["v"].vectors, EMBEDDED.embeddings["v"].vectors)


@pytest.mark.parametrize("options", [PipelineOptions(runner="FnApiRunner"), start_beam()])
def test_no_chunk_is_coded_where_stages_are_fused(tmp_path, tiny_tf2, monkeypatch, options):
    """Not to hand it on, and not to measure it either."""
    sized = []

    def refuse(self, chunk):
        raise AssertionError(f"{type(chunk).__name__} was coded")

    def estimate(self, chunk):
        sized.append(type(chunk))
        return 1

    monkeypatch.setattr(ChunkCoder, "encode", refuse)
    monkeypatch.setattr(ChunkCoder, "estimate_size", estimate)
    (tmp_path / "a.jpg").write_bytes(b"not a picture")
    folder = OutputFolder.at(tmp_path)
    write_plan(folder, plan_embedding([FileReference(str(tmp_path / "a.jpg"), 13)], ["tiny"]))
    module = ModuleStore().locate(Variant("tiny", str(tiny_tf2)))
    compute = ComputeEmbeddings({module: EngineSettings("tensorflow")}, threads=1)
    with beam.Pipeline(options=options) as pipeline:
        pipeline | PlanChunks(folder, 1, workers=1) | ReadImages() | compute | beam.Map(id)
    assert sized == [ImageChunk, EmbeddedChunk]
