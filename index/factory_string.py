"""Count, width, memory and recall target -> a FAISS factory string."""

from __future__ import annotations

import math
from typing import Final, Literal

from index.errors import UsageError

EXACT_COUNT: Final = 100_000  # above it one exact query reads more than a second's worth of memory
HNSW_LINKS: Final = 32
TRAINING_PER_LIST: Final = 39  # what FAISS asks for
HNSW_LINK_BYTES: Final = 2 * HNSW_LINKS * 4 + 16
HNSW: Final = f"HNSW{HNSW_LINKS},SQ8"


def choose_factory_string(
    count: int,
    dim: int,
    *,
    max_bytes: int,
    min_recall: float,
    metric: Literal["cosine"] = "cosine",
) -> str:
    """The FAISS index type for `count` vectors of width `dim`.

    Exact search where it fits; HNSW over 8-bit codes above that, the fastest at a given recall;
    inverted lists over 8-bit codes where the HNSW graph does not fit.

    Args:
        count: how many vectors.
        dim: their width.
        max_bytes: memory the index may take.
        min_recall: the recall@10 that is asked for; 1.0 asks for exact search.
        metric: vectors of length one, compared by inner product.

    Raises:
        UsageError: nothing that reaches the recall fits into `max_bytes`.

    >>> choose_factory_string(10_000, 1280, max_bytes=4 << 30, min_recall=0.95)
    'Flat'
    >>> choose_factory_string(1_000_000, 1280, max_bytes=4 << 30, min_recall=0.95)
    'HNSW32,SQ8'
    """
    if not 0 < min_recall <= 1:
        raise UsageError(f"--min-recall is {min_recall}; it must be above 0 and at most 1")
    exact_bytes = index_bytes("Flat", count, dim)
    if exact_bytes <= max_bytes and (count <= EXACT_COUNT or min_recall == 1):
        return "Flat"
    if min_recall < 1:
        if index_bytes(HNSW, count, dim) <= max_bytes:
            return HNSW
        if index_bytes("IVF", count, dim) <= max_bytes:
            wanted = 2 ** round(math.log2(4 * math.sqrt(count)))
            return f"IVF{max(1, min(wanted, count // TRAINING_PER_LIST))},SQ8"
    least = exact_bytes if min_recall == 1 else index_bytes("IVF", count, dim)
    raise UsageError(
        f"{count:,} vectors of width {dim} at recall {min_recall} take at least "
        f"{least / 2**20:,.1f} MiB of memory, --max-memory allows {max_bytes / 2**20:,.1f} MiB"
    )


def index_bytes(factory_string: str, count: int, dim: int) -> int:
    """About how large an index of one of the types above is.

    >>> index_bytes("Flat", 1000, 1280), index_bytes("HNSW32,SQ8", 1000, 1280)
    (5120000, 1552000)
    """
    if factory_string == "Flat":
        return count * dim * 4
    return count * (dim + (HNSW_LINK_BYTES if factory_string == HNSW else 8))
