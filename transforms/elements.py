"""What flows between the stages.

Every element is a chunk, planned by the launcher and carried whole from file references to a
completion record; the failures of its pictures travel with it, so that what became of a chunk is
known in one place.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from index.stored_file import StoredFile

FailedStage = Literal["list", "read", "decode", "compute"]


@dataclass(frozen=True)
class FileReference:
    """A file to read.

    Attributes:
        uri: its absolute path, or its gs:// or s3:// URI.
        bytes: its size as listed; None where it was not listed.
        modified_s: when it was last changed, seconds since 1970 UTC; None where not known.
        content_hash: sha256 of its bytes where that is known without reading them.
    """

    uri: str
    bytes: int | None = None
    modified_s: float | None = None
    content_hash: str | None = None


@dataclass(frozen=True)
class Failure:
    """A picture that could not be used: one line of a dead-letter file.

    Attributes:
        uri: of the picture.
        stage: where it failed.
        error: the kind of trouble, one word.
        message: what happened, for a person.
        variant: that it could not be used for; None for all.
        bytes: the file's size when it was tried; None where not known.
        modified_s: when the file was last changed, seconds since 1970 UTC; None where not known.
        content_hash: sha256 of the file's bytes, in hexadecimal; None where they could not be read.
    """

    uri: str
    stage: FailedStage
    error: str
    message: str
    variant: str | None = None
    bytes: int | None = None
    modified_s: float | None = None
    content_hash: str | None = None


@dataclass(frozen=True)
class Listing:
    """What the inputs of a job name: files to read, and entries that no reader could open."""

    files: tuple[FileReference, ...]
    failures: tuple[Failure, ...]


@dataclass(frozen=True)
class FileChunk:
    """The files of one chunk, planned.

    Attributes:
        number: of the chunk, its own in the plan.
        files: to read.
        variants: the names of those to compute.
        tasks: journal entries of an earlier attempt that hold the rest of the chunk; see Attempt.
    """

    number: int
    files: tuple[FileReference, ...]
    variants: tuple[str, ...]
    tasks: tuple[str, ...] = ()


@dataclass(frozen=True)
class ImageFile:
    """A file's bytes, not yet decoded; `content_hash` is their sha256 in hexadecimal."""

    uri: str
    data: bytes
    content_hash: str
    modified_s: float | None


@dataclass(frozen=True)
class ImageChunk:
    """The files of a FileChunk that could be read."""

    number: int
    images: tuple[ImageFile, ...]
    failures: tuple[Failure, ...]
    variants: tuple[str, ...]
    tasks: tuple[str, ...] = ()

    @property
    def nbytes(self) -> int:
        """Of the files."""
        return sum(len(image.data) for image in self.images)


@dataclass(frozen=True)
class Embeddings:
    """The vectors of one variant for the pictures of a chunk.

    Attributes:
        rows: int64 [n], the rows of the chunk's pictures that have a vector; ascending.
        vectors: [n, dim], in the type they are stored in.
    """

    rows: NDArray[np.int64]
    vectors: NDArray[np.floating]


@dataclass(frozen=True)
class EmbeddedChunk:
    """The pictures of one chunk and their vectors, by the variant's name."""

    number: int
    pictures: pa.Table
    embeddings: Mapping[str, Embeddings]
    failures: tuple[Failure, ...]

    @property
    def nbytes(self) -> int:
        """Of the rows and the vectors."""
        vectors = sum(one.vectors.nbytes for one in self.embeddings.values())
        return int(self.pictures.nbytes) + vectors


@dataclass(frozen=True)
class WrittenChunk:
    """The Parquet parts of one chunk, by the variant's name; its failures are still to be written."""

    number: int
    parts: Mapping[str, StoredFile]
    failures: tuple[Failure, ...]
