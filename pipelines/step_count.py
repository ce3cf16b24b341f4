"""A piece of work under way -> how far it is, in words and in numbers."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field
from typing import Final

BYTES: Final = "bytes"
QUICK_S: Final = 1.0


@dataclass
class StepCount:
    """What is counted of a step; see index.progress.Step.

    Attributes:
        name: what is done.
        total: how many there are to do; None where that is not known.
        unit: what is counted; "" where nothing is.
        done: so far, without those that failed.
        failed: so far.
        seconds: that it took; None as long as it is under way.
    """

    name: str
    total: int | None = None
    unit: str = ""
    done: int = 0
    failed: int = 0
    seconds: float | None = None
    _began: float = field(default_factory=time.monotonic)
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def advance(self, done: int = 1, *, failed: int = 0) -> None:
        """So many more; any thread may say so."""
        with self._lock:
            self.done += done
            self.failed += failed

    def expect(self, total: int | None) -> None:
        """How many there are to do, once that is known."""
        self.total = total

    def end(self) -> None:
        """Stop the clock."""
        self.seconds = self.elapsed_s

    @property
    def seen(self) -> int:
        """All that are dealt with."""
        return self.done + self.failed

    @property
    def elapsed_s(self) -> float:
        """How long it has taken."""
        return time.monotonic() - self._began if self.seconds is None else self.seconds

    @property
    def is_trifle(self) -> bool:
        """Whether there is nothing to say of it to people: it counted nothing, and took no time."""
        return not self.seen and self.elapsed_s < QUICK_S

    @property
    def rate(self) -> float:
        """How many a second, since it began."""
        elapsed_s = self.elapsed_s
        return self.seen / elapsed_s if elapsed_s > 0 else 0.0

    @property
    def left_s(self) -> float | None:
        """How long the rest takes at this rate; None where nobody can say."""
        if self.total is None or self.seconds is not None or not self.rate:
            return None
        return max(0, self.total - self.seen) / self.rate

    def amount(self, *, of_total: bool = True) -> str:
        """How much is done, of how much.

        >>> StepCount("embedding", 2000, "pictures", done=512, failed=3).amount()
        '515 of 2,000 pictures, 3 failed'
        >>> StepCount("pulling", 3 << 20, "bytes", done=1 << 20).amount()
        '1.0 MiB of 3.0 MiB'
        >>> StepCount("training").amount()
        ''
        """
        if not self.unit:
            return ""
        total = self.total if of_total else None
        if self.unit == BYTES:
            text = size(self.seen) if total is None else f"{size(self.seen)} of {size(total)}"
        else:
            of = "" if total is None else f" of {total:,}"
            text = f"{self.seen:,}{of} {self.unit}"
        return f"{text}, {self.failed:,} failed" if self.failed else text

    def speed(self) -> str:
        """How many a second; "" where nothing is done yet, or it is too soon to say.

        >>> StepCount("embedding", 2000, "pictures", done=515, seconds=10.0).speed()
        '51.5 a second'
        """
        if not self.unit or not self.seen or self.elapsed_s < QUICK_S:
            return ""
        if self.unit == BYTES:
            return f"{size(self.rate)} a second"
        return f"{self.rate:,.0f} a second" if self.rate >= 100 else f"{self.rate:.1f} a second"

    def time_left(self) -> str:
        """How long the rest takes; "" where nobody can say."""
        return "" if self.left_s is None else f"{span(self.left_s)} left"


def size(count: float) -> str:
    """Bytes for a person.

    >>> size(700), size(1_500_000), size(4_000_000_000)
    ('0.7 KiB', '1.4 MiB', '3.7 GiB')
    """
    for unit, factor in (("TiB", 1 << 40), ("GiB", 1 << 30), ("MiB", 1 << 20)):
        if count >= factor:
            return f"{count / factor:,.1f} {unit}"
    return f"{count / 1024:,.1f} KiB"


def span(seconds: float) -> str:
    """A time for a person.

    >>> span(1.234), span(75), span(600), span(9000)
    ('1.2 s', '75 s', '10 min', '2.5 h')
    """
    if seconds < 120:
        return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"
