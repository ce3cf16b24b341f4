"""An arm in a process of its own, so that its threads, memory and settings are nobody else's."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import resource
import sys
import time
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.arms import Task, load_arm
from benchmarks.line_process import LineProcess, peak_bytes


@dataclasses.dataclass(frozen=True)
class Pass:
    """One run of an arm over all pictures.

    Attributes:
        seconds: on the clock.
        cpu_seconds: of the arm's process, all threads.
        peak_bytes: the most memory the process has held so far.
        note: how the arm was set.
    """

    seconds: float
    cpu_seconds: float
    peak_bytes: int
    note: str


class ArmProcess(LineProcess):
    """Starts an arm, which loads and runs once to warm up, and runs it again when it is told to."""

    def __init__(self, name: str, task: Task) -> None:
        super().__init__(name, "benchmarks.arm_process")
        self._scratch = Path(task.scratch)
        self.say({"name": name, "task": dataclasses.asdict(task)})
        self.hear()

    def run(self) -> Pass:
        """One pass."""
        self.say("run")
        return Pass(**self.hear())

    def vectors(self) -> NDArray[np.float32] | None:
        """What the first pass gave, [files, dim]; None where the arm gives none."""
        file = self._scratch / "vectors.npy"
        return np.load(file) if file.exists() else None


def main() -> None:
    """The arm's side: a request a line in, an answer a line out."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # whatever libraries print is no answer
    from transforms.quiet_libraries import quiet_libraries

    quiet_libraries()
    request = json.loads(sys.stdin.readline())
    task = Task(**{**request["task"], "files": tuple(request["task"]["files"])})
    arm = load_arm(request["name"], task)
    arm.run()
    vectors = arm.vectors()
    if vectors is not None:
        np.save(Path(task.scratch) / "vectors.npy", vectors)
    print(json.dumps("ready"), file=answers, flush=True)
    for _ in sys.stdin:
        start, before = time.perf_counter(), _cpu_seconds()
        with contextlib.redirect_stdout(sys.stderr):
            arm.run()
        done = Pass(
            seconds=time.perf_counter() - start,
            cpu_seconds=_cpu_seconds() - before,
            peak_bytes=peak_bytes(),
            note=arm.note,
        )
        print(json.dumps(dataclasses.asdict(done)), file=answers, flush=True)


def _cpu_seconds() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


if __name__ == "__main__":
    main()
