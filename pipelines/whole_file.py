"""Bytes -> a file that the user named, whole or not at all."""

from __future__ import annotations

import contextlib
import os

from index.errors import LookalikeError


def write_whole(path: str, data: bytes | memoryview) -> None:
    """Write under a temporary name, then rename: what stands there stays until this is whole.

    Raises:
        LookalikeError: it cannot be written.
    """
    unfinished = f"{path}.{os.getpid()}.tmp"
    try:
        with open(unfinished, "wb") as file:
            file.write(data)
        os.replace(unfinished, path)
    except OSError as error:
        with contextlib.suppress(OSError):
            os.remove(unfinished)
        raise LookalikeError(f"{path!r} cannot be written: {error.strerror or error}") from error
