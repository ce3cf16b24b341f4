"""STAGE chunks of pairs of pictures -> files of what looking at them shows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import apache_beam as beam
from apache_beam.metrics import Metrics

from index.copy_evidence import encode_looks
from index.copy_task import PicturePair
from index.output_folder import OutputFolder
from transforms.compared_pictures import PictureComparer
from transforms.launcher_watch import end_with
from transforms.read_bytes import read_bytes
from transforms.work_threads import usable_cores, work_threads

PairChunk = tuple[int, Sequence[PicturePair]]


@dataclass
class LookAtPairs(beam.PTransform):
    """Only URIs are shuffled; every worker reads the pictures itself.

    Attributes:
        chunks: pairs, with the number of each chunk.
        work: where what each chunk showed goes.
        threads: of a process; None for as many as it may use cores.
        launcher: the process that workers are to end with; None where they are on other machines.
    """

    chunks: Sequence[PairChunk]
    work: OutputFolder
    threads: int | None = None
    launcher: int | None = None

    def expand(self, pipeline: beam.Pipeline) -> beam.PCollection[int]:
        """Wire the stage."""
        chunks = pipeline | "Chunks of pairs" >> beam.Create(list(self.chunks))
        return chunks | "Spread" >> beam.Reshuffle() | "Look" >> beam.ParDo(_Look(self))


class _Look(beam.DoFn):
    def __init__(self, stage: LookAtPairs) -> None:
        self._work = stage.work
        self._threads = stage.threads
        self._launcher = stage.launcher
        self._looked = Metrics.counter("lookalike", "pairs_looked_at")

    def setup(self) -> None:
        if self._launcher is not None:
            end_with(self._launcher)
        self._comparer = PictureComparer(read_bytes, work_threads(self._threads or usable_cores()))

    def process(self, chunk: PairChunk) -> Iterator[int]:
        number, pairs = chunk
        looks = self._comparer.looks(pairs)
        self._work.write(f"{number:06}.looks", encode_looks(looks))
        self._looked.inc(len(looks))
        yield len(looks)
