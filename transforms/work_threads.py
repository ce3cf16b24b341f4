"""The threads of a process that decode and compute: as many as it may use cores, and no more."""

import os
from concurrent.futures import ThreadPoolExecutor
from functools import cache


def usable_cores() -> int:
    """How many cores this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@cache
def work_threads(count: int) -> ThreadPoolExecutor:
    """The pool of this process: whoever works in it shares these threads."""
    return ThreadPoolExecutor(count, thread_name_prefix="lookalike")
