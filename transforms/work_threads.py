"""The threads of a process that decode and compute: as many as it may use cores, and no more."""

import os
from concurrent.futures import ThreadPoolExecutor
from functools import cache


def usable_cores() -> int:
    """How many cores this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


_pools: list[ThreadPoolExecutor] = []


@cache
def work_threads(count: int) -> ThreadPoolExecutor:
    """The pool of this process: whoever works in it shares these threads."""
    _pools.append(ThreadPoolExecutor(count, thread_name_prefix="lookalike"))
    return _pools[-1]


def drop_waiting_work() -> None:
    """Begin nothing that has not begun, and wait for what has: the process is to end."""
    work_threads.cache_clear()
    while _pools:
        _pools.pop().shutdown(wait=True, cancel_futures=True)
