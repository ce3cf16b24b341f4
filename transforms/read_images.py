"""STAGE chunk of file references -> chunk of ImageFile."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from typing import Final

import apache_beam as beam
from apache_beam.metrics import Metrics

from transforms.chunk_coder import with_chunk_coder
from transforms.elements import Failure, FileChunk, FileReference, ImageChunk, ImageFile
from transforms.progress import Address, send_progress
from transforms.read_bytes import read_bytes

READERS: Final = 8  # threads that wait for storage


def read_chunk(chunk: FileChunk, readers: Executor) -> ImageChunk:
    """Read the files of a chunk, several at once; those that cannot be read become failures."""
    results = list(readers.map(read_image, chunk.files))
    images = tuple(result for result in results if isinstance(result, ImageFile))
    failures = tuple(result for result in results if isinstance(result, Failure))
    return ImageChunk(chunk.number, images, failures, chunk.variants, chunk.tasks)


@cache
def reading_threads() -> ThreadPoolExecutor:
    """The threads of this process that read."""
    return ThreadPoolExecutor(READERS, thread_name_prefix="read")


def read_image(file: FileReference) -> ImageFile | Failure:
    """A file's bytes and their hash; a Failure where it cannot be read."""
    try:
        data = read_bytes(file.uri)
    except OSError as error:
        kind, size, modified_s = type(error).__name__, file.bytes, file.modified_s
        return Failure(file.uri, "read", kind, _message(error), None, size, modified_s)
    return ImageFile(file.uri, data, hashlib.sha256(data).hexdigest(), file.modified_s)


def content_hashes(uris: Sequence[str]) -> list[str | None]:
    """The sha256 of the bytes of files, in hexadecimal; None for those that cannot be read."""
    return list(reading_threads().map(_content_hash, uris))


def _content_hash(uri: str) -> str | None:
    image = read_image(FileReference(uri))
    return image.content_hash if isinstance(image, ImageFile) else None


def _message(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error) or type(error).__name__


@dataclass
class ReadImages(beam.PTransform):
    """Reads the files of every chunk; those that cannot be read become failures."""

    progress: Address | None = None

    def expand(self, chunks: beam.PCollection[FileChunk]) -> beam.PCollection[ImageChunk]:
        """Wire the stage."""
        images = chunks | "Read files" >> beam.ParDo(_ReadImages(self.progress))
        return with_chunk_coder(images, ImageChunk)


class _ReadImages(beam.DoFn):
    def __init__(self, progress: Address | None) -> None:
        self._address = progress
        self._read = Metrics.counter("lookalike", "files_read")
        self._failed = Metrics.counter("lookalike", "files_unreadable")

    def process(self, chunk: FileChunk) -> Iterator[ImageChunk]:
        images = read_chunk(chunk, reading_threads())
        self._read.inc(len(images.images))
        self._failed.inc(len(images.failures))
        send_progress(self._address, failed=len(images.failures))
        yield images
