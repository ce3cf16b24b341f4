"""STAGE the shards of a dataset -> files of their codes, which its launcher merges."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import apache_beam as beam
from apache_beam.metrics import Metrics

from index.embedding_dataset import EmbeddingDataset
from index.output_folder import OutputFolder
from index.shards import Shard, encode_shard, read_quantizer
from transforms.progress import send_progress
from transforms.worker_process import WorkerProcess


@dataclass
class EncodeShards(beam.PTransform):
    """Every worker encodes whole shards with the one trained quantizer; only their places are shuffled.

    Attributes:
        dataset: whose parts they are.
        shards: all of them.
        work: where the quantizer was left, and the files go.
        worker: as each is to be; None for its threads leaves them to FAISS.
    """

    dataset: EmbeddingDataset
    shards: Sequence[Shard]
    work: OutputFolder
    worker: WorkerProcess = WorkerProcess()

    def expand(self, pipeline: beam.Pipeline) -> beam.PCollection[int]:
        """Wire the stage."""
        places = pipeline | "Places of shards" >> beam.Create(range(len(self.shards)))
        return places | "Encode shards" >> beam.ParDo(_EncodeShards(self))


class _EncodeShards(beam.DoFn):
    def __init__(self, stage: EncodeShards) -> None:
        self._dataset = stage.dataset
        self._shards = tuple(stage.shards)
        self._work = stage.work
        self._worker = stage.worker
        self._encoded = Metrics.counter("lookalike", "vectors_encoded")

    def setup(self) -> None:
        self._worker.begin_searching()
        self._quantizer = read_quantizer(self._work)

    def process(self, place: int) -> Iterator[int]:
        shard = self._shards[place]
        encode_shard(self._dataset, shard, self._quantizer, self._work, self._count)
        yield place

    def _count(self, rows: int) -> None:
        self._encoded.inc(rows)
        send_progress(self._worker.progress, done=rows)
