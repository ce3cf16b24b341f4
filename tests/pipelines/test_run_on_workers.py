"""What a pipeline's stages are told of their workers, here and on other machines."""

import os

import pytest

from index.errors import PipelineFailed
from index.progress import UNSHOWN
from pipelines import run_on_workers as module
from pipelines.run_on_workers import run_on_workers
from pipelines.start_beam import start_beam
from pipelines.step_count import StepCount
from transforms.progress import send_progress
from transforms.worker_process import WorkerProcess


def told(monkeypatch, *flags: str) -> WorkerProcess:
    """What the stages of a run with these flags of Beam are told."""
    workers: list[WorkerProcess] = []
    monkeypatch.setattr(module, "run_pipeline", lambda options, wire: wire(None))
    wire = lambda pipeline, worker: workers.append(worker)  # noqa: E731
    run_on_workers(start_beam(flags), wire, UNSHOWN, if_it_stops="")
    return workers[0]


def test_workers_of_this_machine_report_and_end_with_their_launcher(monkeypatch):
    worker = told(monkeypatch)
    assert worker.launcher == os.getpid()
    assert worker.progress[0] == "127.0.0.1"
    assert worker.threads >= 1


def test_workers_of_other_machines_report_to_nobody(monkeypatch):
    assert told(monkeypatch, "--runner", "FlinkRunner") == WorkerProcess(None, None, None)


def test_a_run_that_stops_says_what_became_of_the_output_and_keeps_its_count(monkeypatch):
    def stop(options, wire):
        wire(None)
        raise PipelineFailed("the pipeline stopped: x")

    monkeypatch.setattr(module, "run_pipeline", stop)
    step = StepCount("encoding", 9, "vectors")
    with pytest.raises(PipelineFailed, match="stopped: x; no index was published"):
        run_on_workers(
            start_beam(),
            lambda _, worker: send_progress(worker.progress, done=4),
            step,
            if_it_stops="no index was published",
        )
    assert step.done == 4
