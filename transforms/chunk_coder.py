"""How Beam takes a chunk to another process, should it have to, and how large it thinks it is."""

from __future__ import annotations

import pickle
from typing import TypeVar

import apache_beam as beam

from transforms.elements import EmbeddedChunk, ImageChunk

Chunk = TypeVar("Chunk", ImageChunk, EmbeddedChunk)


class ChunkCoder(beam.coders.Coder):
    """Pickles a chunk, but does not do so to find out its size.

    The stages of a run are fused and hand chunks to each other by reference. Even so Beam asks for the
    encoded size of many of them, for its statistics, and its own coder then pickles 64 MiB of file
    bytes while every thread that needs the interpreter waits.
    """

    def encode(self, value: ImageChunk | EmbeddedChunk) -> bytes:
        """The pickled chunk."""
        return pickle.dumps(value, pickle.HIGHEST_PROTOCOL)

    def decode(self, encoded: bytes) -> ImageChunk | EmbeddedChunk:
        """The chunk again."""
        chunk: ImageChunk | EmbeddedChunk = pickle.loads(encoded)
        return chunk

    def estimate_size(self, value: ImageChunk | EmbeddedChunk) -> int:
        """About how many bytes `encode` would give."""
        return value.nbytes

    def is_deterministic(self) -> bool:
        """Pickles of equal chunks may differ: no chunk is ever a key."""
        return False


def with_chunk_coder(chunks: beam.PCollection[Chunk], kind: type[Chunk]) -> beam.PCollection[Chunk]:
    """The same chunks, known to Beam as what they are and coded so.

    Beam infers types only where it checks them, which `start_beam` turns off.
    """
    beam.coders.registry.register_coder(kind, ChunkCoder)
    chunks.element_type = kind
    return chunks
