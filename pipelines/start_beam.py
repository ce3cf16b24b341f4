"""Beam's flags -> checked options, with filesystems that are ready to list and read."""

import contextlib
import io
from collections.abc import Sequence
from typing import Final

from apache_beam.io.filesystems import FileSystems
from apache_beam.options.pipeline_options import (
    DirectOptions,
    PipelineOptions,
    StandardOptions,
    TypeOptions,
    WorkerOptions,
)
from apache_beam.runners.runner import create_runner

from index.errors import UsageError
from transforms.work_threads import usable_cores

LOCAL_RUNNER: Final = "FnApiRunner"


def start_beam(beam_args: Sequence[str] = ()) -> PipelineOptions:
    """The options of a run; the in-process runner where none, or DirectRunner, is named.

    DirectRunner first tries a runner that it downloads: on a network that drops packets it hangs.

    Raises:
        UsageError: a value or a runner that Beam does not take.
    """
    said = io.StringIO()
    try:
        with contextlib.redirect_stderr(said):
            options = PipelineOptions(list(beam_args))
            options.get_all_options()  # parses them all now, rather than one class at a time later
    except SystemExit:
        reason = said.getvalue().strip().rpartition("error: ")[2]
        raise UsageError(f"Apache Beam does not take {' '.join(beam_args)!r}: {reason}") from None
    standard = options.view_as(StandardOptions)
    if standard.runner in (None, "DirectRunner"):
        standard.runner = LOCAL_RUNNER
    try:
        create_runner(standard.runner)
    except (ValueError, ImportError, AttributeError) as error:
        raise UsageError(
            f"--runner {standard.runner!r} is none that Apache Beam has: {error}"
        ) from error
    worker = options.view_as(WorkerOptions)
    if worker.default_sdk_harness_log_level is None:
        worker.default_sdk_harness_log_level = "ERROR"
    # The types of our own graph are checked by our tests; at every start it takes a tenth of a second.
    options.view_as(TypeOptions).pipeline_type_check = False
    FileSystems.set_options(options)
    return options


def worker_processes(options: PipelineOptions) -> int | None:
    """How many worker processes a run has on this machine; None where the runner decides elsewhere."""
    if options.view_as(StandardOptions).runner != LOCAL_RUNNER:
        return None
    direct = options.view_as(DirectOptions)
    if direct.direct_running_mode != "multi_processing":
        return 1
    return direct.direct_num_workers or usable_cores()


def threads_of_a_worker(options: PipelineOptions) -> int | None:
    """How many threads a worker process computes with where it shares this machine's cores.

    None on other machines: there a worker has the cores it finds.
    """
    workers = worker_processes(options)
    return None if workers is None else max(1, usable_cores() // workers)
