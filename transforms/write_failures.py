"""STAGE failures of a chunk -> a dead-letter file, and the chunk's completion record."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import apache_beam as beam
from pydantic import BaseModel, ConfigDict

from index.manifest import StoredFile
from index.output_folder import FAILURES, OutputFolder
from transforms.elements import WrittenChunk

CHUNKS: Final = "chunks"


class ChunkRecord(BaseModel):
    """What one chunk came to: the last thing written of it, so what it names is complete.

    Attributes:
        number: of the chunk.
        parts: its Parquet parts, by the variant's name.
        failed_pictures: how many pictures could not be used for at least one variant.
        failure_file: its dead letters; None where it has none.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    number: int
    parts: dict[str, StoredFile]
    failed_pictures: int
    failure_file: StoredFile | None


def write_failures(chunk: WrittenChunk, folder: OutputFolder) -> ChunkRecord:
    """Write failures/part-<chunk>.jsonl where there are any, then chunks/<chunk>.json."""
    failure_file = None
    if chunk.failures:
        lines = [json.dumps(dataclasses.asdict(one), ensure_ascii=False) for one in chunk.failures]
        data = "".join(f"{line}\n" for line in lines).encode()
        failure_file = StoredFile.of(f"part-{chunk.number:05}.jsonl", data, rows=len(lines))
        folder.folder(FAILURES).write(failure_file.name, data)
    record = ChunkRecord(
        number=chunk.number,
        parts=dict(chunk.parts),
        failed_pictures=len({failure.uri for failure in chunk.failures}),
        failure_file=failure_file,
    )
    folder.folder(CHUNKS).write(f"{chunk.number:05}.json", record.model_dump_json().encode())
    return record


def read_chunk_records(folder: OutputFolder) -> list[ChunkRecord]:
    """The records of the chunks that are complete, by their numbers."""
    records = folder.folder(CHUNKS)
    names = [name for name in records.names() if not name.startswith(".")]
    read = [ChunkRecord.model_validate_json(records.read(name)) for name in names]
    return sorted(read, key=lambda record: record.number)


@dataclass
class WriteFailures(beam.PTransform):
    """Writes failures/part-<chunk>.jsonl, and that the chunk is complete, below `folder`."""

    folder: OutputFolder

    def expand(self, written: beam.PCollection[WrittenChunk]) -> beam.PCollection[ChunkRecord]:
        """Wire the stage."""
        return written | "Write dead letters" >> beam.ParDo(_WriteFailures(self.folder))


class _WriteFailures(beam.DoFn):
    def __init__(self, folder: OutputFolder) -> None:
        self._folder = folder

    def process(self, chunk: WrittenChunk) -> Iterator[ChunkRecord]:
        yield write_failures(chunk, self._folder)
