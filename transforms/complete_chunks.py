"""STAGE written chunk -> its completion record, with the failures of its pictures."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import apache_beam as beam

from transforms.attempt import Attempt, ChunkRecord
from transforms.elements import WrittenChunk


def complete_chunk(chunk: WrittenChunk, attempt: Attempt) -> ChunkRecord:
    """Write that a chunk is complete: after this, no later attempt computes it again."""
    record = ChunkRecord(number=chunk.number, parts=dict(chunk.parts), failures=chunk.failures)
    attempt.write_record(record)
    return record


@dataclass
class CompleteChunks(beam.PTransform):
    """Writes chunks/<chunk>.json in the folder of an attempt."""

    attempt: Attempt

    def expand(self, written: beam.PCollection[WrittenChunk]) -> beam.PCollection[ChunkRecord]:
        """Wire the stage."""
        return written | "Write completion records" >> beam.ParDo(_CompleteChunks(self.attempt))


class _CompleteChunks(beam.DoFn):
    def __init__(self, attempt: Attempt) -> None:
        self._attempt = attempt

    def process(self, chunk: WrittenChunk) -> Iterator[ChunkRecord]:
        yield complete_chunk(chunk, self._attempt)
