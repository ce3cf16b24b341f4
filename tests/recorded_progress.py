"""Progress that remembers what it was told."""

import contextlib
from collections.abc import Iterator

from pipelines.step_count import StepCount


class RecordedProgress:
    def __init__(self) -> None:
        self.steps: list[StepCount] = []
        self.lines: list[str] = []

    @contextlib.contextmanager
    def step(self, name: str, total: int | None = None, unit: str = "") -> Iterator[StepCount]:
        self.steps.append(StepCount(name, total, unit))
        yield self.steps[-1]
        self.steps[-1].end()

    def tell(self, line: str) -> None:
        self.lines.append(line)

    def named(self, name: str) -> StepCount:
        [step] = [step for step in self.steps if step.name == name]
        return step

    def require_complete(self) -> None:
        """Every step has ended, and has done all that it said there was."""
        for step in self.steps:
            assert step.seconds is not None, step
            assert step.total is None or (step.unit and step.seen == step.total), step
