"""A listing -> deterministic chunks of file references."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from transforms.elements import Failure, FileChunk, FileReference

CHUNK_FILES: Final = 256
CHUNK_BYTES: Final = 64 << 20
UNLISTED_BYTES: Final = 256 << 10  # what a file of unknown size counts as


@dataclass(frozen=True)
class EmbeddingPlan:
    """The work of one run.

    Attributes:
        chunks: numbered from 0; every file is in exactly one.
        pictures: how many files were listed, unusable names included.
    """

    chunks: tuple[FileChunk, ...]
    pictures: int


def plan_embedding(
    files: Iterable[FileReference], failures: Iterable[Failure] = ()
) -> EmbeddingPlan:
    """Chunks of at most CHUNK_FILES files and, above one file, CHUNK_BYTES bytes, in URI order.

    The same set of files gives the same chunks, whatever the order of the listing.

    Args:
        files: a URI that comes twice is taken once.
        failures: of files that cannot be read by the names they have; the first chunk carries them.
    """
    by_uri = {file.uri: file for file in files}
    ordered = [by_uri[uri] for uri in sorted(by_uri)]
    unusable = tuple(failures)
    groups = list(_split(ordered)) or ([()] if unusable else [])
    chunks = tuple(
        FileChunk(number, group, unusable if number == 0 else ())
        for number, group in enumerate(groups)
    )
    return EmbeddingPlan(chunks, len(ordered) + len(unusable))


def _split(files: list[FileReference]) -> Iterator[tuple[FileReference, ...]]:
    chunk: list[FileReference] = []
    size = 0
    for file in files:
        file_bytes = UNLISTED_BYTES if file.bytes is None else file.bytes
        if chunk and (len(chunk) == CHUNK_FILES or size + file_bytes > CHUNK_BYTES):
            yield tuple(chunk)
            chunk, size = [], 0
        chunk.append(file)
        size += file_bytes
    if chunk:
        yield tuple(chunk)
