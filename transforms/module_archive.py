"""A module's archive -> the folder it holds; files -> an archive that is the same every time."""

from __future__ import annotations

import errno
import gzip
import io
import os
import tarfile
import tempfile
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import IO, Final, cast

from index.progress import UNSHOWN, Advance
from transforms.module_files import is_utf8

MOST_BYTES: Final = (
    16 << 30
)  # what an archive may hold; a few bytes of gzip can stand for terabytes
MOST_MEMBERS: Final = 100_000
BLOCK: Final = 1 << 20
SUFFIXES: Final = (".tar", ".tar.gz", ".tgz")
GZIP_START: Final = b"\x1f\x8b"
# Errors of a disk. Any other comes from what an archive asks for, such as a name that is too long.
OF_THE_DISK: Final = frozenset(
    {
        *(errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES, errno.EPERM),
        *(errno.EIO, errno.ESTALE, errno.ENOMEM, errno.EMFILE, errno.ENFILE),
    }
)


@dataclass(frozen=True)
class Packed:
    """A file of an archive.

    Attributes:
        name: in the archive.
        content: its bytes, or where they are.
        modified: when it was changed, as the archive says it.
    """

    name: str
    content: bytes | Path
    modified: datetime


def unpack(archive: Path, target: Path) -> None:
    """Unpack beside the target and rename, so that nobody finds half a module.

    Raises:
        tarfile.TarError, EOFError: it is no archive, a damaged one, or one that cannot be unpacked
            anywhere: it would write outside its folder, hold more than MOST_BYTES, or has names that
            no disk takes.
        OSError: it cannot be read, or the folder not written: the disk is full, or not ours to write.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".unpacking-", dir=target.parent) as scratch:
        try:
            with _open(archive) as tar:
                bounded = _Bounded()
                tar.extractall(Path(scratch) / "module", filter=bounded)
                # A damaged header ends an archive in silence; gzip's checksum stands at the very end.
                while tar.fileobj and (block := tar.fileobj.read(BLOCK)):
                    bounded.count(len(block))
        except OSError as error:  # gzip's of a damaged stream is one, too
            if error.errno in OF_THE_DISK:
                raise
            raise tarfile.ReadError(error.strerror or str(error)) from error
        except (zlib.error, ValueError, OverflowError, RecursionError) as error:
            raise tarfile.ReadError(str(error)) from error
        try:
            (Path(scratch) / "module").rename(target)
        except OSError:
            if not target.is_dir():  # else another process was first
                raise


def _open(archive: Path) -> tarfile.TarFile:
    try:
        return tarfile.open(archive)
    except tarfile.ReadError as error:  # says on many lines what each way to read it made of it
        with archive.open("rb") as stream:
            start = stream.read(24)
        if not start:
            raise tarfile.ReadError("it is empty") from error
        if start.startswith(GZIP_START):
            raise tarfile.ReadError("what is compressed is damaged, or no tar archive") from error
        raise tarfile.ReadError(f"it is no tar archive: it begins with {start!r}") from error


def unwrapped(folder: Path) -> Path:
    """What was packed with the folder around it, without it."""
    inside = list(folder.iterdir())
    is_wrapped = len(inside) == 1 and inside[0].is_dir()
    return inside[0] if is_wrapped else folder


def pack(files: Iterable[Packed], archive: Path, *, advance: Advance = UNSHOWN.advance) -> None:
    """Write files into an archive, compressed unless it is called .tar: the same files, the same bytes.

    It appears whole. Files are written in the order in which they come.

    Args:
        files: what to pack.
        archive: to make.
        advance: told of the bytes that are read from files.

    Raises:
        OSError: a file cannot be read, or the archive not written.
    """
    archive.parent.mkdir(parents=True, exist_ok=True)
    scratch = archive.with_name(f".{archive.name}.{os.getpid()}.tmp")
    try:
        with scratch.open("wb") as stream:
            if archive.name.endswith(".tar"):
                _write_tar(files, stream, advance)
            else:
                # Without the name and the time that gzip would note of itself.
                with gzip.GzipFile("", "wb", compresslevel=6, fileobj=stream, mtime=0) as packed:
                    _write_tar(files, cast(IO[bytes], packed), advance)
        scratch.replace(archive)
    finally:
        scratch.unlink(missing_ok=True)


def _write_tar(files: Iterable[Packed], stream: IO[bytes], advance: Advance) -> None:
    with tarfile.open(fileobj=stream, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for file in files:
            member = tarfile.TarInfo(file.name)  # no owner, mode 0644
            member.mtime = int(file.modified.timestamp())
            if isinstance(file.content, bytes):
                member.size = len(file.content)
                tar.addfile(member, io.BytesIO(file.content))
            else:
                member.size = file.content.stat().st_size
                with file.content.open("rb") as content:
                    tar.addfile(member, _Counted(content, advance))


@dataclass(frozen=True)
class _Counted:
    """A file that tells what was read of it."""

    content: IO[bytes]
    advance: Advance

    def read(self, size: int = -1) -> bytes:
        block = self.content.read(size)
        self.advance(len(block))
        return block


class _Bounded:
    """Python's filter for data, and an end to how much."""

    def __init__(self) -> None:
        self.bytes = self.members = 0

    def __call__(self, member: tarfile.TarInfo, path: str) -> tarfile.TarInfo | None:
        self.members += 1
        self.count(member.size)
        if not is_utf8(member.name):
            raise tarfile.ReadError(f"the name {member.name!r} in it is not UTF-8")
        return tarfile.data_filter(member, path)

    def count(self, size: int) -> None:
        self.bytes += size
        if self.bytes > MOST_BYTES or self.members > MOST_MEMBERS:
            raise tarfile.ReadError(f"it holds more than {MOST_BYTES >> 30} GiB, or too many files")
