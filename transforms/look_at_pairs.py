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
from transforms.progress import send_progress
from transforms.read_bytes import read_bytes
from transforms.work_threads import usable_cores, work_threads
from transforms.worker_process import WorkerProcess

PairChunk = tuple[int, Sequence[PicturePair]]


@dataclass
class LookAtPairs(beam.PTransform):
    """Only URIs are shuffled; every worker reads the pictures itself.

    Attributes:
        chunks: pairs, with the number of each chunk.
        work: where what each chunk showed goes.
        worker: as each is to be.
    """

    chunks: Sequence[PairChunk]
    work: OutputFolder
    worker: WorkerProcess = WorkerProcess()

    def expand(self, pipeline: beam.Pipeline) -> beam.PCollection[int]:
        """Wire the stage."""
        chunks = pipeline | "Chunks of pairs" >> beam.Create(list(self.chunks))
        return chunks | "Spread" >> beam.Reshuffle() | "Look" >> beam.ParDo(_Look(self))


class _Look(beam.DoFn):
    def __init__(self, stage: LookAtPairs) -> None:
        self._work = stage.work
        self._worker = stage.worker
        self._looked = Metrics.counter("lookalike", "pairs_looked_at")

    def setup(self) -> None:
        self._worker.begin()
        threads = work_threads(self._worker.threads or usable_cores())
        self._comparer = PictureComparer(read_bytes, threads)

    def process(self, chunk: PairChunk) -> Iterator[int]:
        number, pairs = chunk
        looks = self._comparer.looks(pairs, self._count)
        self._work.write(f"{number:06}.looks", encode_looks(looks))
        yield len(looks)

    def _count(self, looks: int) -> None:
        self._looked.inc(looks)
        send_progress(self._worker.progress, done=looks)
