"""Processes that are killed: the run is carried on by the same command."""

import contextlib
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from index.embedding_dataset import EmbeddingDataset
from pipelines.command_line import main
from tests.killed_run import PLACES
from tests.pipelines.conftest import MANY, files

THREADS = 2
CHUNK, TASK = 8, 2  # smaller than usual, so that few pictures have many moments
MOST_CALLS = {
    "listing": 30,
    "loading": 1,
    "planning": 1,
    "writing": 2,
    "completing": 1,
    "deciding": 1,
}


class Run:
    """A command, in a process of its own that may be told to kill itself."""

    def __init__(self, folder: Path, photos: Path, out: Path, variants: str, *flags: str) -> None:
        self.out, self._decoded = out, folder / f"{out.name}.decoded"
        self._arguments = [
            *("embed", str(photos), "--output", str(out), "--variants", variants),
            *("--threads", str(THREADS), "--max-failure-rate", "1", *flags),
        ]

    @property
    def decoded(self) -> int:
        return self._decoded.stat().st_size if self._decoded.exists() else 0

    def __call__(self, place: str = "listing", calls: int = 0) -> int:
        how = map(str, (self._decoded, place, calls, CHUNK, TASK))
        driver = [sys.executable, "-m", "tests.killed_run", *how]
        root = Path(__file__).resolve().parents[2]
        done = subprocess.run(
            [*driver, *self._arguments], cwd=root, capture_output=True, text=True, timeout=120
        )
        assert done.returncode in (0, -signal.SIGKILL), done.stderr
        return done.returncode


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2])
def test_killed_at_any_moment_a_run_ends_as_if_it_had_not_been(
    many, tiny_tf2, tiny_hub, tmp_path, seed
):
    variants = f"v={tiny_tf2},w={tiny_hub}"
    undisturbed = Run(tmp_path, many, tmp_path / "undisturbed", variants)
    assert undisturbed() == 0
    run = Run(tmp_path, many, tmp_path / "killed", variants)
    rng = random.Random(seed)
    expected, allowed, kills = files(undisturbed.out), undisturbed.decoded, 0
    for place in PLACES:
        code = run(place, rng.randint(1, MOST_CALLS.get(place, 5)))
        if code == 0:  # it ended before it came to that
            assert files(run.out) == expected
            shutil.rmtree(run.out)
            allowed += undisturbed.decoded
        kills += code != 0
    assert kills >= 10
    if not (run.out / "manifest.json").exists() or (run.out / ".unfinished").exists():
        assert run() == 0
    assert files(run.out) == expected
    assert run.decoded <= allowed + kills * THREADS * TASK


def _workers_of(launcher: int) -> list[int]:
    """Beam's worker processes: the grandchildren of a process that runs them."""
    parents = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            parents[int(stat.parent.name)] = int(stat.read_text().rpartition(")")[2].split()[1])
    return [pid for pid, parent in parents.items() if launcher in (parent, parents.get(parent))]


@pytest.mark.slow
@pytest.mark.skipif(
    not Path("/proc/self/stat").exists(), reason="worker processes are found in /proc"
)
def test_a_worker_that_is_killed_ends_the_run_and_loses_nothing(many, tiny_tf2, tmp_path):
    arguments = [
        *("embed", str(many), "--output", str(tmp_path / "out"), "--variants", f"v={tiny_tf2}"),
        *("--max-failure-rate", "1"),
    ]
    processes = ["--direct_num_workers", "2", "--direct_running_mode", "multi_processing"]
    code = "import sys; from pipelines.command_line import main; sys.exit(main(sys.argv[1:]))"
    launcher = subprocess.Popen(
        [sys.executable, "-c", code, *arguments, *processes],
        cwd=Path(__file__).resolve().parents[2],
        stderr=subprocess.PIPE,
        text=True,
    )
    deadline = time.monotonic() + 60
    while launcher.poll() is None and not (workers := _workers_of(launcher.pid)):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    for worker in workers:
        with contextlib.suppress(ProcessLookupError):
            os.kill(worker, signal.SIGKILL)
    _, shown = launcher.communicate(timeout=60)
    assert launcher.returncode == 1
    assert "a worker process was killed" in shown
    assert "the same command carries on" in shown
    assert main(arguments) == 0
    assert len(EmbeddingDataset.open(str(tmp_path / "out"))) == MANY
