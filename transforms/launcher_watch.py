"""A worker process ends with the launcher that started it on the same machine."""

from __future__ import annotations

import os
import threading
import time
from functools import cache
from typing import Final

INTERVAL_S: Final = 0.5


@cache
def end_with(launcher: int) -> None:
    """End this process when the process of that number has ended; nothing happens in that process.

    Beam's workers outlive a launcher that is killed: they would work on for a run that is carried on
    by others already.
    """
    if launcher != os.getpid():
        threading.Thread(target=_watch, args=(launcher,), daemon=True, name="launcher").start()


def _watch(launcher: int) -> None:
    while True:
        try:
            os.kill(launcher, 0)
        except ProcessLookupError:
            os._exit(1)
        time.sleep(INTERVAL_S)
