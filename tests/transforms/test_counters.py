"""How far stages are: datagrams for whoever listens on this machine, Beam counters for any other."""

import hashlib

import apache_beam as beam
import numpy as np
from apache_beam.metrics.metric import MetricsFilter

from index.compared_vectors import ComparedVectors
from index.factory_string import IndexLayout
from index.output_folder import OutputFolder
from index.pair_join import ExactJoin
from index.quantizer import Quantizer
from index.shards import plan_shards, write_quantizer
from index.similar_pairs import SimilarPairs
from pipelines.step_count import StepCount
from tests.conftest import picture, random_vectors, space, write_dataset
from transforms.compute_embeddings import ComputeEmbeddings
from transforms.elements import FileReference
from transforms.embedding_plan import plan_embedding
from transforms.encode_shards import EncodeShards
from transforms.engines.engine import EngineSettings
from transforms.join_shards import JoinShards
from transforms.look_at_pairs import LookAtPairs
from transforms.module_store import ModuleStore
from transforms.plan_chunks import PlanChunks
from transforms.plan_file import write_plan
from transforms.progress import heard, send_progress
from transforms.read_images import ReadImages
from transforms.variants import Variant
from transforms.write_embeddings import WriteEmbeddings


def test_what_stages_send_advances_a_step():
    step = StepCount("embedding", 6, "pictures")
    with heard(step) as address:
        for _ in range(5):
            send_progress(address, done=1)
        send_progress(address, failed=1)
    assert (step.done, step.failed) == (5, 1)


def counters(wire) -> dict[str, int]:
    """What the counters of a pipeline's stages say at its end."""
    pipeline = beam.Pipeline(runner="FnApiRunner")
    wire(pipeline)
    result = pipeline.run()
    result.wait_until_finish()
    found = result.metrics().query(MetricsFilter().with_namespace("lookalike"))["counters"]
    return {one.key.metric.name: one.committed for one in found}


def test_the_stages_of_embed_count_what_they_do(tmp_path, tiny_tf2):
    names = [f"{number}.jpg" for number in range(5)]
    for number, name in enumerate(names[:-1]):
        (tmp_path / name).write_bytes(picture(number) if number else b"no picture")
    plan = plan_embedding([FileReference(str(tmp_path / name), 10) for name in names], ["tiny"])
    folder = OutputFolder.at(tmp_path)
    write_plan(folder, plan)
    module = ModuleStore().locate(Variant("tiny", str(tiny_tf2)))

    def wire(pipeline):
        computed = (
            pipeline
            | PlanChunks(folder, len(plan))
            | ReadImages()
            | ComputeEmbeddings({module: EngineSettings("tensorflow")}, threads=2)
        )
        computed | WriteEmbeddings(folder, (space("tiny"),))

    assert counters(wire) == {
        "files_read": 4,
        "files_unreadable": 1,
        "pictures_decoded": 3,
        "vectors_computed": 3,
        "failures_computing": 2,
        "rows_written": 3,
    }


def test_the_stages_of_index_and_dedup_count_what_they_do(tmp_path):
    dataset = write_dataset(tmp_path / "out", random_vectors(300))
    work = OutputFolder.at(tmp_path / "work")
    work.filesystem.create_dir(work.root, recursive=True)
    write_quantizer(Quantizer.train(IndexLayout.parse("Flat"), dataset.vectors()), work)
    shards = plan_shards(dataset)
    found = counters(lambda pipeline: pipeline | EncodeShards(dataset, shards, work))
    assert found == {"vectors_encoded": 300}

    vectors = ComparedVectors((dataset,), np.arange(300))
    join = ExactJoin(vectors, 0.9, 3)
    found = counters(lambda pipeline: pipeline | JoinShards(join, work))
    assert found["pairs_compared"] == 300 * 299 // 2 == join.work()[0]
    assert found["pairs_found"] == len(SimilarPairs.from_bytes(work.read("000000.pairs")))

    (tmp_path / "a.jpg").write_bytes(picture(1))
    one = (str(tmp_path / "a.jpg"), hashlib.sha256(picture(1)).hexdigest())
    chunks = [(number, [(one, one)] * 20) for number in range(2)]
    found = counters(lambda pipeline: pipeline | LookAtPairs(chunks, work))
    assert found == {"pairs_looked_at": 40}
