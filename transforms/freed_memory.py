"""Freed memory stays with the process, to be used again; after something large it goes back."""

import ctypes
from functools import cache
from typing import Final

LARGEST_KEPT_BYTES: Final = 32 << 20  # the most that glibc takes
KEPT_BYTES: Final = 64 << 20
# mallopt's parameters, from glibc's malloc.h
_TRIM_THRESHOLD: Final = -1
_MMAP_THRESHOLD: Final = -3


@cache
def keep_freed_memory() -> None:
    """Tell the C library not to give freed arrays back to the system.

    By default glibc maps every array of some hundred kilobytes anew and unmaps it when it is freed:
    each picture then faults the pages of all its arrays in again, which can take longer than
    resizing it. Other C libraries are left as they are.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_MMAP_THRESHOLD, LARGEST_KEPT_BYTES)
        mallopt(_TRIM_THRESHOLD, KEPT_BYTES)


def give_back_freed_memory() -> None:
    """Give back to the system what all threads have freed, as after a picture of half a gigabyte."""
    malloc_trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if malloc_trim is not None:
        malloc_trim(0)
