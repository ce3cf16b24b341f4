"""STAGE the plan of a run -> its chunks of file references, spread over the workers."""

from dataclasses import dataclass

import apache_beam as beam

from transforms.elements import FileChunk
from transforms.embedding_plan import EmbeddingPlan


@dataclass
class PlanChunks(beam.PTransform):
    """The chunks of a plan; only file references cross the shuffle.

    Attributes:
        plan: of the run.
        workers: how many processes share the chunks; None where the runner decides. One needs no
            shuffle, which is a third of what Beam takes to start.
    """

    plan: EmbeddingPlan
    workers: int | None = None

    def expand(self, pipeline: beam.Pipeline) -> beam.PCollection[FileChunk]:
        """Wire the stage."""
        chunks = pipeline | "Planned chunks" >> beam.Create(self.plan.chunks, reshuffle=False)
        return chunks if self.workers == 1 else chunks | "Spread over workers" >> beam.Reshuffle()
