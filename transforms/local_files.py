"""A local folder -> every file below it, links followed; what cannot be listed is a failure."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator

from transforms.elements import Failure, FileReference


def is_local(uri: str) -> bool:
    """Whether a URI is a path on this machine."""
    return "://" not in uri


def local_files_below(folder: str) -> Iterator[tuple[str, FileReference | Failure]]:
    """Every entry below a folder that is not a folder, with its path as the system has it.

    Links are followed, and a folder that is reached twice, as in a loop, is walked once.
    """
    seen: set[tuple[int, int]] = set()
    waiting = [folder]
    while waiting:
        place = waiting.pop()
        try:
            status = os.stat(place)
            if (status.st_dev, status.st_ino) in seen:
                continue
            seen.add((status.st_dev, status.st_ino))
            with os.scandir(place) as entries:
                ordered = sorted(entries, key=lambda entry: entry.name)
        except OSError as error:
            yield place, _failure(place, "UnreadableFolder", error.strerror or str(error))
            continue
        for entry in ordered:
            if entry.is_dir():
                waiting.append(entry.path)
            else:
                yield entry.path, local_file(entry.path)


def local_file(path: str) -> FileReference | Failure:
    """A file as its folder lists it; a Failure where nothing could read it."""
    try:
        path.encode("utf-8")
    except UnicodeEncodeError:
        return _failure(path, "UndecodableName", "the file's name is not UTF-8; rename it")
    try:
        status = os.stat(path)
    except OSError as error:
        reason = "DanglingLink" if os.path.islink(path) else type(error).__name__
        return _failure(path, reason, error.strerror or str(error))
    if not stat.S_ISREG(status.st_mode):
        return _failure(path, "NotAFile", "it is a pipe, a socket or a device")
    return FileReference(path, status.st_size, status.st_mtime)


def _failure(path: str, error: str, message: str) -> Failure:
    name = path.encode("utf-8", "backslashreplace").decode()
    return Failure(uri=name, stage="list", error=error, message=message)
