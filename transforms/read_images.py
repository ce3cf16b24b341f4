"""STAGE chunk of file references -> chunk of ImageFile."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import apache_beam as beam
from apache_beam.io.filesystem import BeamIOError, CompressionTypes
from apache_beam.io.filesystems import FileSystems
from apache_beam.metrics import Metrics

from transforms.elements import Failure, FileChunk, FileReference, ImageChunk, ImageFile
from transforms.progress import Address, send_progress

MAX_FILE_BYTES: Final = 256 << 20


def read_bytes(uri: str) -> bytes:
    """The bytes of a file on any filesystem Beam knows, as they are: `x.jpg.gz` is not unpacked.

    Raises:
        OSError: the file cannot be read, or has more than MAX_FILE_BYTES.
    """
    try:
        with FileSystems.open(uri, compression_type=CompressionTypes.UNCOMPRESSED) as stream:
            data: bytes = stream.read(MAX_FILE_BYTES + 1)
    except BeamIOError as error:
        raise OSError(f"cannot be read: {error}") from error
    if len(data) > MAX_FILE_BYTES:
        raise OSError(f"the file has more than {MAX_FILE_BYTES:,} bytes; no larger one is read")
    return data


def read_image(file: FileReference) -> ImageFile | Failure:
    """A file's bytes and their hash; a Failure where it cannot be read."""
    try:
        data = read_bytes(file.uri)
    except (OSError, ValueError) as error:  # ValueError: a name no filesystem takes, such as a NUL
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
