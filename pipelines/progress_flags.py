"""The flags that say what a job shows while it works, and what it says at its end."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from index.progress import SILENT
from pipelines.job import flag
from pipelines.standard_error import standard_error

if TYPE_CHECKING:
    from index.progress import Progress

DUMB_TERMINALS: Final = ("dumb", "unknown")


@dataclass(frozen=True, kw_only=True)
class ProgressFlags:
    """Fields of the jobs that take long."""

    quiet: bool = flag("say nothing but errors: no progress, no figures", default=False)
    json: bool = flag(
        "for machines: progress as JSON lines on standard error, then one JSON object, the result or "
        "the error, on standard output; with --quiet that object alone",
        default=False,
    )

    @contextlib.contextmanager
    def show_progress(self) -> Iterator[Progress]:
        """Who shows how far it is: bars on a terminal, lines in a log or for machines, or nobody."""
        if self.quiet:
            yield SILENT
            return
        with standard_error() as stream:
            if self.json:
                from pipelines.progress_lines import JSON_INTERVAL_S, JsonLines, ProgressLines

                yield ProgressLines(stream, JsonLines(), JSON_INTERVAL_S, quick_s=0)
            elif stream.isatty() and os.environ.get("TERM") not in DUMB_TERMINALS:
                from pipelines.progress_bars import ProgressBars

                with contextlib.closing(ProgressBars(stream)) as bars:
                    yield bars
            else:
                from pipelines.progress_lines import PlainLines, ProgressLines

                yield ProgressLines(stream, PlainLines())
