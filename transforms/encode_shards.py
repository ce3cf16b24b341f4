"""STAGE the shards of a dataset -> files of their codes, which its launcher merges."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import apache_beam as beam
from apache_beam.metrics import Metrics

from index.embedding_dataset import EmbeddingDataset
from index.output_folder import OutputFolder
from index.shards import Shard, encode_shard, read_quantizer
from transforms.launcher_watch import end_with


@dataclass
class EncodeShards(beam.PTransform):
    """Every worker encodes whole shards with the one trained quantizer; only their places are shuffled.

    Attributes:
        dataset: whose parts they are.
        shards: all of them.
        work: where the quantizer was left, and the files go.
        threads: of a process; None for FAISS's own choice.
        launcher: the process that workers are to end with; None where they are on other machines.
    """

    dataset: EmbeddingDataset
    shards: Sequence[Shard]
    work: OutputFolder
    threads: int | None = None
    launcher: int | None = None

    def expand(self, pipeline: beam.Pipeline) -> beam.PCollection[int]:
        """Wire the stage."""
        places = pipeline | "Places of shards" >> beam.Create(range(len(self.shards)))
        return places | "Encode shards" >> beam.ParDo(_EncodeShards(self))


class _EncodeShards(beam.DoFn):
    def __init__(self, stage: EncodeShards) -> None:
        self._dataset = stage.dataset
        self._shards = tuple(stage.shards)
        self._work = stage.work
        self._threads = stage.threads
        self._launcher = stage.launcher
        self._encoded = Metrics.counter("lookalike", "vectors_encoded")

    def setup(self) -> None:
        import faiss

        if self._launcher is not None:
            end_with(self._launcher)
        if self._threads is not None:
            faiss.omp_set_num_threads(self._threads)
        self._quantizer = read_quantizer(self._work)

    def process(self, place: int) -> Iterator[int]:
        rows = encode_shard(self._dataset, self._shards[place], self._quantizer, self._work)
        self._encoded.inc(rows)
        yield rows
