"""The chunks of a plan in one file, read one by one: a million files are too many for Beam's graph."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, Final

import pyarrow as pa

from index.output_folder import OutputFolder
from transforms.elements import FileChunk, FileReference

PLAN: Final = "plan.arrow"
FACTS_KEY: Final = b"lookalike.chunk"
FILE_SCHEMA: Final = pa.schema(
    [
        pa.field("uri", pa.string(), nullable=False),
        pa.field("bytes", pa.int64()),
        pa.field("modified_s", pa.float64()),
    ]
)


def write_plan(folder: OutputFolder, chunks: Sequence[FileChunk]) -> None:
    """Write the chunks into `folder`, a record batch each."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_file(sink, FILE_SCHEMA) as writer:
        for chunk in chunks:
            facts = {"number": chunk.number, "variants": chunk.variants, "tasks": chunk.tasks}
            columns = [
                pa.array([getattr(file, field.name) for file in chunk.files], field.type)
                for field in FILE_SCHEMA
            ]
            batch = pa.record_batch(columns, schema=FILE_SCHEMA)
            writer.write_batch(batch, custom_metadata={FACTS_KEY: json.dumps(facts)})
    folder.write(PLAN, sink.getvalue())


class PlanFile:
    """A plan that was written into a folder.

    Raises:
        OutputMissing: the folder is gone.
    """

    def __init__(self, folder: OutputFolder) -> None:
        self._reader: Any = pa.ipc.open_file(folder.open(PLAN))

    def chunk(self, position: int) -> FileChunk:
        """The chunk that was written at this position, from 0."""
        batch, metadata = self._reader.get_batch_with_custom_metadata(position)
        facts = json.loads(metadata[FACTS_KEY])
        columns = (column.to_pylist() for column in batch.columns)
        files = tuple(FileReference(*row) for row in zip(*columns, strict=True))
        return FileChunk(facts["number"], files, tuple(facts["variants"]), tuple(facts["tasks"]))
