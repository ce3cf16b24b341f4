"""STAGE the plan of a run -> its chunks of file references, spread over the workers."""

from dataclasses import dataclass

import apache_beam as beam

from transforms.elements import FileChunk
from transforms.embedding_plan import EmbeddingPlan


@dataclass
class PlanChunks(beam.PTransform):
    """The chunks of a plan; only file references cross the shuffle."""

    plan: EmbeddingPlan

    def expand(self, pipeline: beam.Pipeline) -> beam.PCollection[FileChunk]:
        """Wire the stage."""
        return (
            pipeline
            | "Planned chunks" >> beam.Create(self.plan.chunks, reshuffle=False)
            | "Spread over workers" >> beam.Reshuffle()
        )
