"""STAGE the shards of a join -> files of the pairs that each of them finds."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import apache_beam as beam
from apache_beam.metrics import Metrics

from index.output_folder import OutputFolder
from index.pair_join import PairJoin
from transforms.progress import send_progress
from transforms.worker_process import WorkerProcess


@dataclass
class JoinShards(beam.PTransform):
    """Every worker reads the vectors, or maps the index, once; only places of shards are shuffled.

    Attributes:
        join: how pairs are found.
        work: where the pairs of each shard go.
        worker: as each is to be; None for its threads leaves them to FAISS.
    """

    join: PairJoin
    work: OutputFolder
    worker: WorkerProcess = WorkerProcess()

    def expand(self, pipeline: beam.Pipeline) -> beam.PCollection[int]:
        """Wire the stage."""
        places = pipeline | "Places of shards" >> beam.Create(range(len(self.join.shards())))
        return places | "Spread" >> beam.Reshuffle() | "Join shards" >> beam.ParDo(_Join(self))


class _Join(beam.DoFn):
    def __init__(self, stage: JoinShards) -> None:
        self._join = stage.join
        self._work = stage.work
        self._worker = stage.worker
        self._compared = Metrics.counter("lookalike", f"{stage.join.work()[1]}_compared")
        self._found = Metrics.counter("lookalike", "pairs_found")

    def setup(self) -> None:
        self._worker.begin_searching()
        self._find = self._join.open()

    def process(self, place: int) -> Iterator[int]:
        pairs = self._find(self._join.shards()[place], self._count)
        self._work.write(f"{place:06}.pairs", pairs.to_bytes())
        self._found.inc(len(pairs))
        yield len(pairs)

    def _count(self, compared: int) -> None:
        self._compared.inc(compared)
        send_progress(self._worker.progress, done=compared)
