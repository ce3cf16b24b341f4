"""STAGE the plan of a run -> its chunks of file references, spread over the workers."""

from collections.abc import Iterator
from dataclasses import dataclass

import apache_beam as beam

from index.output_folder import OutputFolder
from transforms.elements import FileChunk
from transforms.plan_file import PlanFile


@dataclass
class PlanChunks(beam.PTransform):
    """The chunks of a plan; only their places in it cross the shuffle.

    Attributes:
        folder: where the plan was written.
        count: how many chunks there are.
        workers: how many processes share the chunks; None where the runner decides. One needs no
            shuffle, which is a third of what Beam takes to start.
    """

    folder: OutputFolder
    count: int
    workers: int | None = None

    def expand(self, pipeline: beam.Pipeline) -> beam.PCollection[FileChunk]:
        """Wire the stage."""
        places = pipeline | "Places in the plan" >> beam.Create(range(self.count), reshuffle=False)
        if self.workers != 1:
            places |= "Spread over workers" >> beam.Reshuffle()
        return places | "Planned chunks" >> beam.ParDo(_ReadPlan(self.folder))


class _ReadPlan(beam.DoFn):
    def __init__(self, folder: OutputFolder) -> None:
        self._folder = folder

    def setup(self) -> None:
        self._plan = PlanFile(self._folder)

    def process(self, place: int) -> Iterator[FileChunk]:
        yield self._plan.chunk(place)
