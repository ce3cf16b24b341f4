"""STAGE the shards of a join -> files of the pairs that each of them finds."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import apache_beam as beam
from apache_beam.metrics import Metrics

from index.output_folder import OutputFolder
from index.pair_join import PairJoin
from transforms.launcher_watch import end_with


@dataclass
class JoinShards(beam.PTransform):
    """Every worker reads the vectors, or maps the index, once; only places of shards are shuffled.

    Attributes:
        join: how pairs are found.
        work: where the pairs of each shard go.
        threads: of a process for searching an index; None for FAISS's own choice.
        launcher: the process that workers are to end with; None where they are on other machines.
    """

    join: PairJoin
    work: OutputFolder
    threads: int | None = None
    launcher: int | None = None

    def expand(self, pipeline: beam.Pipeline) -> beam.PCollection[int]:
        """Wire the stage."""
        places = pipeline | "Places of shards" >> beam.Create(range(len(self.join.shards())))
        return places | "Spread" >> beam.Reshuffle() | "Join shards" >> beam.ParDo(_Join(self))


class _Join(beam.DoFn):
    def __init__(self, stage: JoinShards) -> None:
        self._join = stage.join
        self._work = stage.work
        self._threads = stage.threads
        self._launcher = stage.launcher
        self._found = Metrics.counter("lookalike", "pairs_found")

    def setup(self) -> None:
        import faiss

        if self._launcher is not None:
            end_with(self._launcher)
        if self._threads is not None:
            faiss.omp_set_num_threads(self._threads)
        self._find = self._join.open()

    def process(self, place: int) -> Iterator[int]:
        pairs = self._find(self._join.shards()[place])
        self._work.write(f"{place:06}.pairs", pairs.to_bytes())
        self._found.inc(len(pairs))
        yield len(pairs)
