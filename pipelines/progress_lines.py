"""Steps -> lines, plain for a log or JSON for machines: at the start, now and then, and at the end."""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Literal, Protocol, TextIO

from pipelines.step_count import QUICK_S, StepCount, span

PLAIN_INTERVAL_S: Final = 10.0
JSON_INTERVAL_S: Final = 1.0

Event = Literal["begin", "progress", "end", "stop"]


class LineForm(Protocol):
    """How a line looks."""

    def step_line(self, event: Event, step: StepCount) -> str:
        """What became of a step: it began, is under way, ended, or was stopped."""
        ...

    def told_line(self, text: str) -> str:
        """What somebody said."""
        ...


class PlainLines:
    """For people who read a log."""

    def step_line(self, event: Event, step: StepCount) -> str:
        """For example: "lookalike: encoding: 40 of 100 vectors, 4.0 a second, 15 s left"."""
        parts = [step.amount(of_total=event != "end"), step.speed(), step.time_left()]
        elapsed = span(step.elapsed_s)
        if event in ("end", "stop"):
            parts.append(f"done in {elapsed}" if event == "end" else f"stopped after {elapsed}")
        elif not step.unit:
            parts.append("..." if event == "begin" else f"{elapsed} so far")
        return f"lookalike: {step.name}: {', '.join(filter(None, parts))}"

    def told_line(self, text: str) -> str:
        """With the same start as every line of ours."""
        return f"lookalike: {text}"


class JsonLines:
    """For machines: an object a line."""

    def step_line(self, event: Event, step: StepCount) -> str:
        """Numbers as numbers; times in seconds."""
        return json.dumps(
            {
                "event": event,
                "step": step.name,
                "done": step.done,
                "failed": step.failed,
                "total": step.total,
                "unit": step.unit,
                "seconds": round(step.elapsed_s, 3),
            }
        )

    def told_line(self, text: str) -> str:
        """An event of its own."""
        return json.dumps({"event": "line", "text": text})


@dataclass(frozen=True)
class ProgressLines:
    """Writes lines of progress.

    Attributes:
        stream: where they go.
        form: how they look.
        interval_s: how often a step says how far it is.
        quick_s: a step that ends sooner has one line, at its end, or none where it was a trifle.
    """

    stream: TextIO
    form: LineForm
    interval_s: float = PLAIN_INTERVAL_S
    quick_s: float = QUICK_S

    @contextlib.contextmanager
    def step(self, name: str, total: int | None = None, unit: str = "") -> Iterator[StepCount]:
        """A line when it begins, one every interval, and one when it ends."""
        count = StepCount(name, total, unit)
        ended = threading.Event()

        def say_now_and_then() -> None:
            if self.quick_s and not ended.wait(self.quick_s):
                self._write(self.form.step_line("begin", count))
            while not ended.wait(self.interval_s):
                self._write(self.form.step_line("progress", count))

        thread = threading.Thread(target=say_now_and_then, name="progress", daemon=True)
        event: Event = "stop"
        if not self.quick_s:
            self._write(self.form.step_line("begin", count))
        try:
            thread.start()
            yield count
            event = "end"
        finally:
            ended.set()
            thread.join()
            count.end()
            if not (self.quick_s and event == "end" and count.is_trifle):
                self._write(self.form.step_line(event, count))

    def tell(self, line: str) -> None:
        """A line of its own."""
        self._write(self.form.told_line(line))

    def _write(self, line: str) -> None:
        self.stream.write(f"{line}\n")  # at once: lines of two threads are not mixed
        self.stream.flush()
