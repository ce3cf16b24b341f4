"""STAGE embedded chunk -> one Parquet part a variant, renamed into place."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import apache_beam as beam
import pyarrow as pa
from apache_beam.metrics import Metrics

from index.embedding_dataset import encode_part, store_part
from index.manifest import VectorType
from index.output_folder import OutputFolder
from index.publishing import PART
from index.vector_space import VectorSpace
from transforms.elements import EmbeddedChunk, WrittenChunk


def write_parts(
    chunk: EmbeddedChunk,
    folder: OutputFolder,
    spaces: Mapping[str, VectorSpace],
    vector_type: VectorType = "float32",
) -> WrittenChunk:
    """Write the part of each variant; a variant with no vector in this chunk has no part."""
    parts = {}
    for name, embeddings in chunk.embeddings.items():
        if len(embeddings.rows) == 0:
            continue
        pictures = chunk.pictures.take(pa.array(embeddings.rows))
        data = encode_part(pictures, embeddings.vectors, spaces[name], vector_type)
        stem, rows = f"{PART}{chunk.number:05}", len(embeddings.rows)
        parts[name] = store_part(folder, name, stem, data, rows=rows)
    return WrittenChunk(chunk.number, parts, chunk.failures)


@dataclass
class WriteEmbeddings(beam.PTransform):
    """Writes embeddings/variant=<name>/part-<chunk>-<sha256>.parquet below `folder`."""

    folder: OutputFolder
    spaces: tuple[VectorSpace, ...]
    vector_type: VectorType = "float32"

    def expand(self, embedded: beam.PCollection[EmbeddedChunk]) -> beam.PCollection[WrittenChunk]:
        """Wire the stage."""
        return embedded | "Write Parquet parts" >> beam.ParDo(_WriteEmbeddings(self))


class _WriteEmbeddings(beam.DoFn):
    def __init__(self, stage: WriteEmbeddings) -> None:
        self._folder = stage.folder
        self._spaces = {space.variant: space for space in stage.spaces}
        self._vector_type = stage.vector_type
        self._written = Metrics.counter("lookalike", "rows_written")

    def process(self, chunk: EmbeddedChunk) -> Iterator[WrittenChunk]:
        written = write_parts(chunk, self._folder, self._spaces, self._vector_type)
        self._written.inc(sum(part.rows or 0 for part in written.parts.values()))
        yield written
