"""What became of a few pictures: the unit of work that is not lost once it is done."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from pydantic import TypeAdapter

from index.embedding_dataset import PICTURE_SCHEMA, vector_column, vectors_of
from transforms.elements import EmbeddedChunk, Embeddings, Failure, ImageChunk

FAILURES_KEY: Final = b"lookalike.failures"
FAILURES: Final = TypeAdapter(tuple[Failure, ...])


@dataclass(frozen=True)
class EmbeddedTask:
    """Some pictures of a chunk.

    Attributes:
        pictures: PICTURE_SCHEMA: those that could be decoded.
        vectors: [pictures, dim] in the stored type, by the variant's name; NaN where there is none.
        failures: of decoding and computing.
    """

    pictures: pa.Table
    vectors: Mapping[str, NDArray[np.floating]]
    failures: tuple[Failure, ...]

    def encode(self) -> pa.Buffer:
        """The task as an Arrow IPC file: a row a picture, a column a variant."""
        table = self.pictures
        for name, vectors in self.vectors.items():
            table = table.append_column(name, vector_column(vectors))
        table = table.replace_schema_metadata({FAILURES_KEY: FAILURES.dump_json(self.failures)})
        sink = pa.BufferOutputStream()
        with pa.ipc.new_file(sink, table.schema) as writer:
            writer.write_table(table)
        return sink.getvalue()

    @classmethod
    def decode(cls, data: bytes) -> EmbeddedTask:
        """The task that was encoded."""
        table = pa.ipc.open_file(data).read_all()
        names = table.schema.names[len(PICTURE_SCHEMA.names) :]
        return cls(
            pictures=table.select(PICTURE_SCHEMA.names).replace_schema_metadata(None),
            vectors={name: vectors_of(table.column(name)) for name in names},
            failures=FAILURES.validate_json(table.schema.metadata[FAILURES_KEY]),
        )


def join_tasks(chunk: ImageChunk, tasks: Sequence[EmbeddedTask]) -> EmbeddedChunk:
    """The tasks of a chunk as one, in the order of the pictures' URIs, whoever computed them when."""
    pictures = pa.concat_tables([PICTURE_SCHEMA.empty_table(), *(task.pictures for task in tasks)])
    order = pc.sort_indices(pictures, [("uri", "ascending")])
    embeddings = {}
    for name in chunk.variants:
        vectors = [task.vectors[name] for task in tasks]
        if vectors:
            joined = np.concatenate(vectors)[order]
            finite = is_finite(joined)
            embeddings[name] = Embeddings(np.flatnonzero(finite), joined[finite])
    failures = (*chunk.failures, *(failure for task in tasks for failure in task.failures))
    ordered = sorted(failures, key=lambda failure: (failure.uri, failure.variant or ""))
    return EmbeddedChunk(chunk.number, pictures.take(order), embeddings, tuple(ordered))


def is_finite(vectors: NDArray[np.floating]) -> NDArray[np.bool_]:
    """Which vectors hold neither NaN nor infinity: [n, dim] -> bool [n]."""
    finite: NDArray[np.bool_] = np.asarray(np.isfinite(vectors).all(axis=1))
    return finite
