"""A file as it was written: its name, its size, and the checksum it must still have."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Iterable, Iterator
from typing import Final

import numpy as np
import pyarrow as pa
import xxhash
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from index.errors import ArtifactDamaged, OutputMissing
from index.output_folder import OutputFolder

HASHED_BLOCK: Final = 4 << 20  # read at a time
Buffer = bytes | bytearray | memoryview


def bytes_of(array: NDArray[np.generic]) -> memoryview:
    """The bytes of an array that is contiguous, without a copy."""
    return memoryview(array).cast("B") if array.size else memoryview(b"")  # type: ignore[arg-type]


class Record(BaseModel):
    """What is written as JSON: it does not change, and has no fields that are not listed."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class StoredFile(Record):
    """A file as it was written.

    Attributes:
        name: relative to the folder of the manifest that lists it.
        size: in bytes.
        sha256: its checksum, in hexadecimal.
        rows: how many rows or lines it holds, where that has a meaning.
    """

    name: str
    size: int
    sha256: str
    rows: int | None = None

    @classmethod
    def of(cls, name: str, data: bytes | memoryview, *, rows: int | None = None) -> StoredFile:
        """The record of `data`, about to be written as `name`."""
        digest = hashlib.sha256(data).hexdigest()
        return cls(name=name, size=len(data), sha256=digest, rows=rows)

    @classmethod
    def named_by_content(
        cls, stem: str, suffix: str, data: bytes | memoryview, *, rows: int | None = None
    ) -> StoredFile:
        """The record of `data`, about to be written under a name that no other content has."""
        named = cls.of("", data, rows=rows)
        return named.model_copy(update={"name": f"{stem}-{named.sha256[:12]}{suffix}"})

    def check(self, folder: OutputFolder) -> None:
        """Raise ArtifactDamaged unless the file is the one that was written; not all of it in memory."""
        digest = hashlib.sha256()
        with _listed(folder, self.name) as file:
            while block := file.read(HASHED_BLOCK):
                digest.update(block)
        if digest.hexdigest() != self.sha256:
            raise self._damaged(folder, digest.hexdigest())

    def read_from(self, folder: OutputFolder) -> bytes:
        """The file's bytes, refused unless they are the ones that were written."""
        with _listed(folder, self.name) as file:
            data: bytes = file.read()
        found = hashlib.sha256(data).hexdigest()
        if found != self.sha256:
            raise self._damaged(folder, found)
        return data

    def _damaged(self, folder: OutputFolder, found: str) -> ArtifactDamaged:
        return ArtifactDamaged(
            f"{folder.path(self.name)} has sha256 {found[:16]}…, its manifest says "
            f"{self.sha256[:16]}… ({self.size} bytes); restore the file, or make it again"
        )


class MappedFile(Record):
    """A file that is mapped into memory: its checksum is one that is as fast as memory.

    Attributes:
        name: relative to the folder of the manifest that lists it.
        size: in bytes.
        xxh3: its 128-bit XXH3, in hexadecimal: it finds damage, not forgery.
    """

    name: str
    size: int
    xxh3: str

    @classmethod
    def write(cls, folder: OutputFolder, name: str, pieces: Iterable[Buffer]) -> MappedFile:
        """Write a file piece by piece; its record."""
        digest, size = xxhash.xxh3_128(), 0

        def passed() -> Iterator[Buffer]:
            nonlocal size
            for piece in pieces:
                digest.update(piece)
                size += memoryview(piece).nbytes
                yield piece

        folder.write_pieces(name, passed())
        return cls(name=name, size=size, xxh3=digest.hexdigest())

    @classmethod
    def of_standing(cls, folder: OutputFolder, name: str) -> MappedFile:
        """The record of a file that stands there, written by a library."""
        with _listed(folder, name) as file:
            size, digest = file.size(), xxhash.xxh3_128()
            while block := file.read(HASHED_BLOCK):
                digest.update(block)
        return cls(name=name, size=size, xxh3=digest.hexdigest())

    def map(self, folder: OutputFolder) -> pa.Buffer:
        """The checked bytes, mapped: they stay what they are whatever is put in the file's place."""
        with _listed(folder, self.name):  # whatever is no file is told apart first
            buffer = pa.memory_map(folder.path(self.name)).read_buffer()
        self._require(folder, len(buffer), xxhash.xxh3_128_hexdigest(buffer))
        return buffer

    def check(self, folder: OutputFolder) -> None:
        """Raise ArtifactDamaged unless the file is the one that was written."""
        found = self.of_standing(folder, self.name)
        self._require(folder, found.size, found.xxh3)

    def _require(self, folder: OutputFolder, size: int, xxh3: str) -> None:
        found = self.model_copy(update={"size": size, "xxh3": xxh3})
        if found != self:
            raise ArtifactDamaged(
                f"{folder.path(self.name)} has xxh3 {found.xxh3[:16]}… ({found.size} bytes), where its "
                f"manifest says {self.xxh3[:16]}… ({self.size}); restore the file, or make it again"
            )


@contextlib.contextmanager
def _listed(folder: OutputFolder, name: str) -> Iterator[pa.NativeFile]:
    """A file that a manifest lists, opened."""
    try:
        with folder.open(name) as file:
            yield file
    except OutputMissing:
        raise ArtifactDamaged(
            f"{folder.path(name)} is listed in its manifest, but is gone"
        ) from None
    except OSError as error:
        raise ArtifactDamaged(f"{folder.path(name)} cannot be read: {error}") from error
