"""The libraries' own start-up lines, kept from the user unless LOOKALIKE_DEBUG is set."""

import contextlib
import logging
import os
import sys
import tempfile
import threading
import warnings
from collections.abc import Iterator
from typing import Final

DEBUG_VARIABLE: Final = "LOOKALIKE_DEBUG"


def quiet_libraries() -> None:
    """Silence what the libraries log and warn of, for the whole process: it is ours."""
    if os.environ.get(DEBUG_VARIABLE):
        return
    os.environ.setdefault("GRPC_VERBOSITY", "ERROR")
    for name in ("root", "apache_beam", "tensorflow", "absl"):
        logging.getLogger(name).setLevel(logging.CRITICAL)  # what fails is raised, too
    if not sys.warnoptions:
        warnings.simplefilter("ignore")


@contextlib.contextmanager
def held_stderr(*, show_on_error: bool) -> Iterator[None]:
    """Hold back what native code and child processes write to file descriptor 2.

    No log level silences them: TensorFlow logs before its own is in force, and Beam's workers before
    they have read theirs. What Python code prints to `sys.stderr` still reaches the user.

    Args:
        show_on_error: whether an exception that leaves the block brings out what was held back.
    """
    if os.environ.get(DEBUG_VARIABLE):
        yield
        return
    sys.stderr.flush()
    python_stderr, thread_excepthook = sys.stderr, threading.excepthook
    stderr = os.dup(2)
    with tempfile.TemporaryFile() as held, os.fdopen(stderr, "w", closefd=True) as shown:
        with contextlib.suppress(OSError):  # a stand-in for the real one has no descriptor
            if python_stderr.fileno() == 2:
                sys.stderr = shown
        os.dup2(held.fileno(), 2)
        threading.excepthook = lambda _: None  # of Beam's threads; what stops the run is raised
        try:
            yield
        except Exception:
            if show_on_error:
                held.seek(0)
                os.write(stderr, held.read())
            raise
        finally:
            sys.stderr.flush()
            sys.stderr = python_stderr
            threading.excepthook = thread_excepthook
            os.dup2(stderr, 2)


@contextlib.contextmanager
def quiet_import() -> Iterator[None]:
    """Import TensorFlow without its start-up lines; they are shown if the import fails."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    with held_stderr(show_on_error=True), warnings.catch_warnings():
        # tensorflow-hub 0.16 imports pkg_resources, which warns of its own end.
        warnings.simplefilter("ignore")
        yield
