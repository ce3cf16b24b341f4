"""What a command came to -> one object for machines; its errors -> that, or a line for people."""

from __future__ import annotations

import contextlib
import json
import os
import sys
from collections.abc import Mapping, Sequence

from pipelines.job import Job
from pipelines.progress_flags import ProgressFlags
from transforms.quiet_libraries import DEBUG_VARIABLE


def explain(error: BaseException, code: int, arguments: Sequence[str], job: Job | None) -> int:
    """One line for the user, or the whole story where it is asked for; the exit code."""
    message = str(error) or "interrupted"
    is_told = tell_machines(error, message, code, arguments, job)
    if os.environ.get(DEBUG_VARIABLE):
        raise error
    if not is_told:
        _say(message)
    return code


def tell_machines(
    error: BaseException, message: str, code: int, arguments: Sequence[str], job: Job | None
) -> bool:
    """The error as the one object, where a machine reads; whether it could be written."""
    if not (isinstance(job, ProgressFlags) and job.json):
        return False
    try:
        print_json(arguments[0], code, error_figures(type(error).__name__, message))
    except OSError as trouble:
        drop_standard_output()
        _say(f"standard output cannot be written to ({trouble.strerror or trouble})")
        return False
    return True


def error_figures(kind: str, message: str) -> dict[str, object]:
    """An error, as it stands in the object."""
    return {"error": {"type": kind, "message": message}}


def print_json(command: str, code: int, figures: Mapping[str, object]) -> None:
    """One object on one line; ASCII, so that a path in whatever bytes can be printed."""
    print(json.dumps({"command": command, "exit_code": code, **figures}), flush=True)


def drop_standard_output() -> None:
    """Send what could not be written nowhere, so that Python does not try again at its end."""
    with contextlib.suppress(OSError, ValueError):  # of a stand-in without a descriptor
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _say(message: str) -> None:
    with contextlib.suppress(OSError):  # of a stream that nobody reads
        print(f"lookalike: {message}", file=sys.stderr)
