"""STAGE chunk of file references -> chunk of ImageFile."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass

import apache_beam as beam
from apache_beam.metrics import Metrics

from transforms.elements import Failure, FileChunk, FileReference, ImageChunk, ImageFile
from transforms.progress import Address, send_progress
from transforms.read_bytes import read_bytes


def read_image(file: FileReference) -> ImageFile | Failure:
    """A file's bytes and their hash; a Failure where it cannot be read."""
    try:
        data = read_bytes(file.uri)
    except OSError as error:
        return Failure(file.uri, "read", type(error).__name__, _message(error))
    return ImageFile(file.uri, data, hashlib.sha256(data).hexdigest(), file.modified_s)


def _message(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error) or type(error).__name__


@dataclass
class ReadImages(beam.PTransform):
    """Reads the files of every chunk; those that cannot be read become failures."""

    progress: Address | None = None

    def expand(self, chunks: beam.PCollection[FileChunk]) -> beam.PCollection[ImageChunk]:
        """Wire the stage."""
        return chunks | "Read files" >> beam.ParDo(_ReadImages(self.progress))


class _ReadImages(beam.DoFn):
    def __init__(self, progress: Address | None) -> None:
        self._address = progress
        self._read = Metrics.counter("lookalike", "files_read")
        self._failed = Metrics.counter("lookalike", "files_unreadable")

    def process(self, chunk: FileChunk) -> Iterator[ImageChunk]:
        results = [read_image(file) for file in chunk.files]
        images = tuple(result for result in results if isinstance(result, ImageFile))
        failures = tuple(result for result in results if isinstance(result, Failure))
        self._read.inc(len(images))
        self._failed.inc(len(failures))
        send_progress(self._address, failed=len(failures) + len(chunk.failures))
        yield ImageChunk(chunk.number, images, chunk.failures + failures)
