"""Steps -> a terminal: a bar for each that is under way, and a line for each that has ended."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from typing import Final, TextIO

from rich.console import Console, ConsoleDimensions, RenderableType
from rich.progress import Progress, ProgressColumn, SpinnerColumn, Task, TextColumn
from rich.progress_bar import ProgressBar
from rich.table import Column
from rich.text import Text

from pipelines.step_count import StepCount, span

BAR_WIDTH: Final = 24
REFRESHED_A_SECOND: Final = 8


class ProgressBars:
    """Draws on a terminal.

    A step only counts; what is drawn is read from it, some times a second, by a thread of rich's.
    """

    def __init__(self, stream: TextIO) -> None:
        self._console = _Terminal(file=stream, force_terminal=True, highlight=False)
        self._is_plain = not self._console.encoding.startswith("utf")
        # No stream is redirected: while Beam runs, others swap standard error and put it back.
        self._bars = Progress(
            SpinnerColumn("line" if self._is_plain else "dots"),
            TextColumn("{task.description}"),
            _Bar(),
            _Counts(Column(no_wrap=True)),
            console=self._console,
            refresh_per_second=REFRESHED_A_SECOND,
            transient=True,
            redirect_stdout=False,
            redirect_stderr=False,
        )
        self._under_way = 0

    @contextlib.contextmanager
    def step(self, name: str, total: int | None = None, unit: str = "") -> Iterator[StepCount]:
        """A bar, and then a line."""
        count = StepCount(name, total, unit)
        task = self._bars.add_task(name, total=None, count=count)
        self._under_way += 1
        is_done = False
        try:  # from before anything is drawn: an interrupt may come at any moment
            self._bars.start()
            yield count
            is_done = True
        finally:
            count.end()
            self._bars.remove_task(task)
            self._under_way -= 1
            if not self._under_way:
                self._bars.stop()  # between steps the terminal is whoever's that writes to it
            if not (is_done and count.is_trifle):
                self._console.print(self._ended(count, is_done=is_done), soft_wrap=True)

    def close(self) -> None:
        """Leave the terminal as it was, whatever was under way."""
        self._bars.stop()

    def tell(self, line: str) -> None:
        """A line above the bars."""
        self._console.print(Text(line), soft_wrap=True)

    def _ended(self, count: StepCount, *, is_done: bool) -> Text:
        mark = ("+" if is_done else "-") if self._is_plain else ("✓" if is_done else "✗")
        line = Text.assemble((mark, "green" if is_done else "red"), f" {count.name}")
        facts = filter(
            None, (count.amount(of_total=not is_done), count.speed(), span(count.elapsed_s))
        )
        return line.append(f": {', '.join(facts)}", style="dim")


class _Terminal(Console):
    @property  # type: ignore[misc]  # nobody sets it
    def size(self) -> ConsoleDimensions:
        """Of this terminal; rich looks at the first three descriptors, which may be others."""
        with contextlib.suppress(OSError, ValueError):
            columns, lines = os.get_terminal_size(self.file.fileno())
            if columns and lines:  # some terminals, as on a serial line, do not know
                return ConsoleDimensions(columns, lines)
        return super().size


class _Bar(ProgressColumn):
    """Filled as far as the step is; it pulses where nobody knows how far that is."""

    def render(self, task: Task) -> RenderableType:
        count: StepCount = task.fields["count"]
        return ProgressBar(
            total=count.total or 1,
            completed=min(count.seen, count.total or 1),
            width=BAR_WIDTH,
            pulse=not count.total,
        )


class _Counts(ProgressColumn):
    """What is done, how fast, and how long the rest takes."""

    def render(self, task: Task) -> Text:
        count: StepCount = task.fields["count"]
        if not count.unit:
            return Text(span(count.elapsed_s))
        text = Text(count.amount())
        for more in (count.speed(), count.time_left()):
            if more:
                text.append(f", {more}", style="dim")
        return text
