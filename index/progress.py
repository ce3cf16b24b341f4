"""What long work says of itself while it goes on, to whoever shows it; nobody, unless one is given."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator, Sized
from contextlib import AbstractContextManager
from typing import Final, Protocol, TypeVar

Advance = Callable[[int], None]
Piece = TypeVar("Piece", bound=Sized)


class Step(Protocol):
    """A piece of work that is under way."""

    def advance(self, done: int = 1, *, failed: int = 0) -> None:
        """So many more are done, and so many more have failed; below zero takes back.

        Any thread may say so. Say it for a batch rather than for each of many rows.
        """
        ...

    def expect(self, total: int | None) -> None:
        """How many there are to do, where that is known, or known better, only after the begin."""
        ...


class Progress(Protocol):
    """Who shows how far work is."""

    def step(
        self, name: str, total: int | None = None, unit: str = ""
    ) -> AbstractContextManager[Step]:
        """A piece of work, from the start of the block to its end.

        Args:
            name: what is done, such as "encoding".
            total: how many there are to do; None where that is not known.
            unit: what is counted, such as "pictures"; "bytes" are shown as sizes. "" where nothing is.
        """
        ...

    def tell(self, line: str) -> None:
        """Say something to whoever waits."""
        ...


class _Unshown:
    def advance(self, done: int = 1, *, failed: int = 0) -> None:
        pass

    def expect(self, total: int | None) -> None:
        pass

    def step(
        self, name: str, total: int | None = None, unit: str = ""
    ) -> AbstractContextManager[Step]:
        return contextlib.nullcontext(self)

    def tell(self, line: str) -> None:
        pass


_UNSHOWN: Final = _Unshown()
SILENT: Final[Progress] = _UNSHOWN
UNSHOWN: Final[Step] = _UNSHOWN


def counted(pieces: Iterable[Piece], advance: Advance) -> Iterator[Piece]:
    """The same pieces; each counts, by its length, once the next one is asked for.

    >>> seen = []
    >>> [len(piece) for piece in counted(["abc", "de"], seen.append)], seen
    ([3, 2], [3, 2])
    """
    for piece in pieces:
        yield piece
        advance(len(piece))
