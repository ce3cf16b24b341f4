"""TensorFlow's start-up lines, which no log level silences, kept from the user."""

import contextlib
import os
import sys
import tempfile
import warnings
from collections.abc import Iterator


@contextlib.contextmanager
def quiet_import() -> Iterator[None]:
    """Hold back what native code writes to standard error; show it if the import fails.

    TensorFlow logs before its log level is in force, straight to file descriptor 2.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    sys.stderr.flush()
    with tempfile.TemporaryFile() as held, warnings.catch_warnings():
        # tensorflow-hub 0.16 imports pkg_resources, which warns of its own end.
        warnings.simplefilter("ignore")
        stderr = os.dup(2)
        os.dup2(held.fileno(), 2)
        try:
            yield
        except BaseException:
            held.seek(0)
            os.write(stderr, held.read())
            raise
        finally:
            sys.stderr.flush()
            os.dup2(stderr, 2)
            os.close(stderr)
