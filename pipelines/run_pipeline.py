"""A pipeline, run to its end; where Beam would wait for ever for a worker that is gone, it is told."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future, InvalidStateError

import apache_beam as beam
from apache_beam.options.pipeline_options import PipelineOptions

from index.errors import PipelineFailed, last_line
from transforms.work_threads import drop_waiting_work

WORKER_THREAD = (
    "run_worker"  # Beam's name for the thread that waits for the end of a worker process
)


def run_pipeline(options: PipelineOptions, wire: Callable[[beam.Pipeline], object]) -> None:
    """Wire a pipeline and wait until it has ended, in a thread of its own.

    So an interrupt reaches the caller at once, and so does the end of a worker process, which Beam's
    runner of several processes does not notice. What is left of the pipeline ends with this process.

    Raises:
        PipelineFailed: a stage raised something, or a worker process ended.
    """
    ended: Future[None] = Future()

    def run() -> None:
        try:
            with beam.Pipeline(options=options) as pipeline:
                wire(pipeline)
        except BaseException as error:
            _settle(ended, error)
        else:
            _settle(ended, None)

    def watch(thread_end: threading.ExceptHookArgs) -> None:
        if thread_end.thread and thread_end.thread.name == WORKER_THREAD:
            _settle(ended, RuntimeError("a worker process was killed; perhaps memory ran out"))
        else:
            excepthook(thread_end)

    excepthook, threading.excepthook = threading.excepthook, watch
    try:
        threading.Thread(target=run, name="pipeline", daemon=True).start()
        ended.result()
    except (Exception, KeyboardInterrupt) as error:
        drop_waiting_work()
        if isinstance(error, KeyboardInterrupt) or "KeyboardInterrupt" in str(error):
            raise KeyboardInterrupt from error  # also one that a runner wrapped in an error of its own
        reason, _, _ = last_line(error).partition(" [while running")  # what Beam adds
        raise PipelineFailed(f"the pipeline stopped: {reason}") from error
    finally:
        threading.excepthook = excepthook


def _settle(ended: Future[None], error: BaseException | None) -> None:
    """Say how it ended, if nobody has."""
    try:
        if error is None:
            ended.set_result(None)
        else:
            ended.set_exception(error)
    except InvalidStateError:
        pass
