"""A local folder -> every file below it, links followed; what cannot be listed is a failure."""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Iterable, Iterator
from typing import Final
from urllib.parse import unquote, urlparse

from transforms.elements import Failure, FileReference

UNREADABLE_FOLDER: Final = "UnreadableFolder"


def is_local(uri: str) -> bool:
    """Whether a URI is a path on this machine."""
    return "://" not in uri


def as_path(uri: str) -> str:
    """A file:// URI as the path it means; anything else as it is.

    >>> as_path("file:///photos/a%20b.jpg"), as_path("gs://bucket/a%20b.jpg")
    ('/photos/a b.jpg', 'gs://bucket/a%20b.jpg')
    """
    return unquote(urlparse(uri).path) if uri.startswith("file:///") else uri


FileIdentity = tuple[int, int]  # its device and its number there, by whatever path it is reached


def identities(paths: Iterable[str]) -> frozenset[FileIdentity]:
    """Of those that are there."""
    found = []
    for path in paths:
        with contextlib.suppress(OSError):
            status = os.stat(path)
            found.append((status.st_dev, status.st_ino))
    return frozenset(found)


def local_files_below(
    folder: str,
    *,
    hidden: bool,
    max_depth: int | None = None,
    apart_from: frozenset[FileIdentity] = frozenset(),
) -> Iterator[tuple[str, FileReference | Failure]]:
    """Every entry below a folder that is not a folder, with its path as the system has it.

    Args:
        folder: links in it are followed, except back to a folder that they stand in.
        hidden: whether to take names that begin with a dot.
        max_depth: how many folders deep to go; None for all.
        apart_from: files and folders to pass over.
    """
    waiting: list[tuple[str, frozenset[FileIdentity], int]] = [(folder, frozenset(), 0)]
    while waiting:
        place, above, depth = waiting.pop()
        try:
            status = os.stat(place)
            here = (status.st_dev, status.st_ino)
            if here in above or here in apart_from:
                continue
            with os.scandir(place) as entries:
                ordered = sorted(entries, key=lambda entry: entry.name)
        except OSError as error:
            yield place, _failure(place, UNREADABLE_FOLDER, error)
            continue
        for entry in ordered:
            if not hidden and entry.name.startswith("."):
                continue
            if apart_from and (status.st_dev, entry.inode()) in apart_from:
                continue
            if not _is_folder(entry):
                yield entry.path, local_file(entry.path)
            elif max_depth is None or depth < max_depth:
                waiting.append((entry.path, above | {here}, depth + 1))


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link to itself; as a file it becomes a failure
        return False


def local_file(path: str) -> FileReference | Failure:
    """A file as its folder lists it; a Failure where nothing could read it."""
    try:
        path.encode("utf-8")
    except UnicodeEncodeError:
        return _failure(path, "UndecodableName", "the file's name is not UTF-8; rename it")
    try:
        status = os.stat(path)
    except OSError as error:
        return _failure(path, "DanglingLink" if os.path.islink(path) else "Unlistable", error)
    if not stat.S_ISREG(status.st_mode):
        return _failure(path, "NotAFile", "it is a pipe, a socket or a device")
    return FileReference(path, status.st_size, status.st_mtime)


def _failure(path: str, kind: str, trouble: OSError | str) -> Failure:
    name = path.encode("utf-8", "backslashreplace").decode()
    message = trouble if isinstance(trouble, str) else trouble.strerror or str(trouble)
    return Failure(uri=name, stage="list", error=kind, message=message)
