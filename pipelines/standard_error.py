"""Standard error as progress writes to it: whatever becomes of it, the job goes on."""

from __future__ import annotations

import contextlib
import io
import os
import sys
from collections.abc import Callable, Iterator
from typing import TextIO, cast


class LastingStream(io.TextIOBase):
    """Writes to a stream until that cannot be written to, and nowhere from then on."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._is_gone = False

    @property
    def encoding(self) -> str:  # type: ignore[override]  # of a stream it is no more than read
        """Of the stream."""
        return self._stream.encoding or "utf-8"

    def isatty(self) -> bool:
        """Whether somebody watches."""
        return self._stream.isatty()

    def fileno(self) -> int:
        """Of the stream."""
        return self._stream.fileno()

    def write(self, text: str) -> int:
        """Write, if that can be."""
        self._try(lambda: self._stream.write(text))
        return len(text)

    def flush(self) -> None:
        """Flush, if that can be."""
        self._try(self._stream.flush)

    def _try(self, action: Callable[[], object]) -> None:
        if self._is_gone:
            return
        try:
            action()
        except (OSError, ValueError):  # a pipe whose reader has gone, a full disk, a closed file
            self._is_gone = True


@contextlib.contextmanager
def standard_error() -> Iterator[TextIO]:
    """Standard error by a descriptor of its own: while Beam runs, descriptor 2 points elsewhere."""
    try:
        is_real = sys.stderr.fileno() == 2
    except (OSError, ValueError):  # a stand-in for the real one has no descriptor
        is_real = False
    if not is_real:
        yield cast(TextIO, LastingStream(sys.stderr))
        return
    sys.stderr.flush()
    own = os.fdopen(os.dup(2), "w", encoding=sys.stderr.encoding, errors="backslashreplace")
    try:
        yield cast(TextIO, LastingStream(own))
    finally:
        with contextlib.suppress(OSError):  # what could not be written
            own.close()
