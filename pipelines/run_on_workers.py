"""A pipeline whose workers say how far they are: quiet, with their counts on a step of progress."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable

import apache_beam as beam
from apache_beam.options.pipeline_options import PipelineOptions

from index.errors import PipelineFailed
from index.progress import Step
from pipelines.run_pipeline import run_pipeline
from pipelines.start_beam import threads_of_a_worker, worker_processes
from transforms.progress import heard
from transforms.quiet_libraries import held_stderr
from transforms.worker_process import WorkerProcess

Wire = Callable[[beam.Pipeline, WorkerProcess], object]


def run_on_workers(options: PipelineOptions, wire: Wire, step: Step, *, if_it_stops: str) -> None:
    """Run a pipeline to its end.

    Args:
        options: of the runner.
        wire: is given the pipeline, and what its stages are to tell their workers.
        step: that the workers advance, where they are on this machine; elsewhere nobody could hear them,
            and their counters say how far they are.
        if_it_stops: what to add to the error then.

    Raises:
        PipelineFailed: a stage raised something, or a worker process ended.
    """
    is_here = worker_processes(options) is not None
    with heard(step) if is_here else contextlib.nullcontext() as address:
        worker = WorkerProcess(
            threads_of_a_worker(options), os.getpid() if is_here else None, address
        )
        try:
            with held_stderr(show_on_error=False):
                run_pipeline(options, lambda pipeline: wire(pipeline, worker))
        except PipelineFailed as error:
            raise PipelineFailed(f"{error}; {if_it_stops}") from error
