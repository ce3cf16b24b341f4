"""A live line on a terminal, plain lines in a log: how far a run is."""

from __future__ import annotations

import contextlib
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Final

from transforms.progress import Address, ProgressListener

PLAIN_INTERVAL_S: Final = 10.0
LIVE_INTERVAL_S: Final = 0.2


@contextlib.contextmanager
def show_progress(total: int) -> Iterator[Address]:
    """Show on standard error how many of `total` pictures are done, until the block ends.

    Yields:
        Where the stages are to send their counts.
    """
    listener = ProgressListener()
    stop = threading.Event()
    show = _show_live if sys.stderr.isatty() else _show_plain
    thread = threading.Thread(target=show, args=(total, listener, stop), name="progress")
    thread.start()
    try:
        yield listener.address
    finally:
        stop.set()
        listener.wake()
        thread.join()
        listener.close()


def progress_text(done: int, failed: int, total: int, elapsed_s: float) -> str:
    """A plain line.

    >>> progress_text(512, 3, 2000, 10.0)
    '515 of 2,000 pictures, 3 failed, 51.5 a second, 29 s left'
    """
    seen = done + failed
    rate = seen / elapsed_s if elapsed_s > 0 else 0.0
    left = f", {(total - seen) / rate:.0f} s left" if rate and seen < total else ""
    return f"{seen:,} of {total:,} pictures, {failed:,} failed, {rate:.1f} a second{left}"


def _watch(listener: ProgressListener, stop: threading.Event, each: Callable[[], None]) -> None:
    while not stop.is_set():
        listener.receive(LIVE_INTERVAL_S)
        each()
    listener.receive(0.001)
    each()


def _show_plain(total: int, listener: ProgressListener, stop: threading.Event) -> None:
    started = time.monotonic()
    shown = started

    def line() -> None:
        nonlocal shown
        now = time.monotonic()
        if now - shown >= PLAIN_INTERVAL_S:
            shown = now
            text = progress_text(listener.done, listener.failed, total, now - started)
            print(text, file=sys.stderr, flush=True)

    _watch(listener, stop, line)


def _show_live(total: int, listener: ProgressListener, stop: threading.Event) -> None:
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

    columns = (
        TextColumn("pictures"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[failed]:,} failed"),
        TextColumn("{task.fields[rate]:.1f} a second"),
        TimeRemainingColumn(),
    )
    started = time.monotonic()
    with Progress(*columns, console=Console(stderr=True)) as progress:
        task = progress.add_task("", total=total, failed=0, rate=0.0)

        def update() -> None:
            seen = listener.done + listener.failed
            rate = seen / max(time.monotonic() - started, 1e-9)
            progress.update(task, completed=seen, failed=listener.failed, rate=rate)

        _watch(listener, stop, update)
