"""Where things stand in an output folder, and how they are published whole."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath
from urllib.parse import quote, unquote

import pyarrow.fs

from index.errors import ArtifactDamaged, ArtifactError, OutputMissing, UsageError

MANIFEST = "manifest.json"
EMBEDDINGS = "embeddings"
FAILURES = "failures"
INDEX = "index"
DUPLICATES = "duplicates"
LEAKS = "leaks"
APPLIED = "applied"
REPORT = "report.html"  # the page about all of it
ARTIFACTS = (EMBEDDINGS, FAILURES, INDEX, DUPLICATES, LEAKS, APPLIED, MANIFEST)


_PARTITION = "variant="


def variant_partition(variant: str) -> str:
    """The hive partition of a variant; `/` in its name is escaped as hive does.

    >>> variant_partition("mobilenet_v2_100_224/classification")
    'variant=mobilenet_v2_100_224%2Fclassification'
    """
    return f"{_PARTITION}{quote(variant, safe='@')}"


def partition_variant(partition: str) -> str | None:
    """The variant of a hive partition; None for another name.

    >>> partition_variant("variant=a%2Fb"), partition_variant("other")
    ('a/b', None)
    """
    return unquote(partition.removeprefix(_PARTITION)) if partition.startswith(_PARTITION) else None


@dataclass(frozen=True)
class OutputFolder:
    """A folder of artefacts on any filesystem Arrow knows; names inside it are relative to `root`."""

    filesystem: pyarrow.fs.FileSystem
    root: str

    @classmethod
    def at(cls, location: str | os.PathLike[str]) -> OutputFolder:
        """The folder at a local path; it need not exist yet.

        Raises:
            UsageError: an empty path, or a URI: artefacts are written to local folders for now.
        """
        text = os.fspath(location)
        if not text or "://" in text:
            raise UsageError(
                f"{text!r} cannot hold artefacts; it must be the path of a local folder"
            )
        return cls(pyarrow.fs.LocalFileSystem(), os.path.abspath(os.path.expanduser(text)))

    def folder(self, *names: str) -> OutputFolder:
        """The folder `names` below this one."""
        return OutputFolder(self.filesystem, self._path("/".join(names)))

    def path(self, name: str) -> str:
        """Where `name` is, for messages and for readers that take a path."""
        return self._path(name)

    def exists(self, name: str = "") -> bool:
        """Whether a file or folder called `name` is there."""
        info = self.filesystem.get_file_info(self._path(name))
        return bool(info.type != pyarrow.fs.FileType.NotFound)

    def names(self) -> list[str]:
        """The names of what stands directly in this folder, sorted; none where it does not exist."""
        selector = pyarrow.fs.FileSelector(self.root, allow_not_found=True)
        return sorted(info.base_name for info in self.filesystem.get_file_info(selector))

    def read(self, name: str) -> bytes:
        """The bytes of a file."""
        self._require_file(name)
        try:
            with self.filesystem.open_input_stream(self._path(name)) as stream:
                return bytes(stream.read())
        except FileNotFoundError:
            raise OutputMissing(f"{self._path(name)} does not exist") from None
        except OSError as error:
            raise ArtifactDamaged(f"{self._path(name)} cannot be read: {error}") from error

    def open(self, name: str) -> pyarrow.NativeFile:
        """A file to read pieces of."""
        self._require_file(name)
        try:
            return self.filesystem.open_input_file(self._path(name))
        except FileNotFoundError:
            raise OutputMissing(f"{self._path(name)} does not exist") from None

    def write(self, name: str, data: bytes | memoryview) -> None:
        """Write a file whole: under a hidden temporary name, then renamed into place."""
        self.write_pieces(name, [data])

    def write_pieces(self, name: str, pieces: Iterable[bytes | bytearray | memoryview]) -> None:
        """The same for what comes piece by piece, and need not fit into memory.

        Raises:
            ArtifactError: the disk is full, or the folder cannot be written to.
        """
        target = PurePosixPath(self._path(name))
        temporary = str(target.with_name(f".{target.name}.{os.getpid()}.tmp"))
        with _told(f"{target} cannot be written"):
            self.filesystem.create_dir(str(target.parent), recursive=True)
            try:
                with self.filesystem.open_output_stream(temporary) as stream:
                    for piece in pieces:
                        stream.write(piece)
                self.filesystem.move(temporary, str(target))
            except OSError:
                with contextlib.suppress(OSError):
                    self.filesystem.delete_file(temporary)
                raise

    def move(self, source: str, target: str) -> None:
        """Rename a file or folder, replacing what stood at `target`."""
        self.delete(target)
        parent = str(PurePosixPath(self._path(target)).parent)
        with _told(f"{self._path(source)} cannot be moved to {self._path(target)}"):
            self.filesystem.create_dir(parent, recursive=True)
            self.filesystem.move(self._path(source), self._path(target))

    def delete(self, name: str) -> None:
        """Remove a file or a folder of ours with all it holds; nothing happens where it is absent."""
        kind = self.filesystem.get_file_info(self._path(name)).type
        with _told(f"{self._path(name)} cannot be removed"):
            if kind == pyarrow.fs.FileType.Directory:
                self.filesystem.delete_dir(self._path(name))
            elif kind != pyarrow.fs.FileType.NotFound:
                self.filesystem.delete_file(self._path(name))

    def variants(self) -> list[str]:
        """The variants that this folder has partitions of, sorted."""
        return sorted(filter(None, map(partition_variant, self.names())))

    def is_empty(self) -> bool:
        """Whether this is a folder with nothing in it."""
        return self.exists() and not self.names()

    def _require_file(self, name: str) -> None:
        """Raise ArtifactDamaged where something else stands; a pipe would hang its reader."""
        kind = self.filesystem.get_file_info(self._path(name)).type
        if kind not in (pyarrow.fs.FileType.File, pyarrow.fs.FileType.NotFound):
            raise ArtifactDamaged(f"{self._path(name)} cannot be read: it is no file")

    def _path(self, name: str) -> str:
        return f"{self.root}/{name}" if name else self.root


@contextlib.contextmanager
def _told(what: str) -> Iterator[None]:
    """What the system refuses, as an ArtifactError of one line."""
    try:
        yield
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno else str(error)
        raise ArtifactError(f"{what}: {reason}") from error
