"""The join of dedup against its limit: the matrix products alone, shard by shard in the same run.

python -m benchmarks.join --count 200000

The vectors are made: of photographs' width, a tenth of them near copies of others.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from rich.console import Console

from benchmarks.line_process import peak_bytes
from benchmarks.machine import describe_machine
from index.errors import LookalikeError
from index.pair_join import SHARD_ROWS
from index.similar_pairs import COLUMN_BLOCK, exact_pairs, join_pairs
from index.unit_vectors import unit_vectors
from pipelines.job import positive
from transforms.quiet_libraries import quiet_libraries

NEIGHBORS: Final = 8
SAMPLED: Final = 512
COPIES: Final = 0.1


def main(arguments: Sequence[str] | None = None) -> dict[str, Any]:
    """Run the benchmark, print what it came to, and give it."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.join", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--count", type=positive, default=200_000, help="(default: %(default)s)")
    parser.add_argument("--dim", type=positive, default=1280, help="(default: %(default)s)")
    options = parser.parse_args(arguments)
    console = Console(width=110)
    for what, value in describe_machine().items():
        console.print(f"{what:<16}{value}", highlight=False)
    units = _made_vectors(options.count, options.dim)
    least_score = _least_score(units)
    joining_s = products_s = 0.0
    pieces = []
    for start in range(0, len(units), SHARD_ROWS):
        rows = range(start, min(start + SHARD_ROWS, len(units)))
        began = time.perf_counter()
        pieces.append(join_pairs(exact_pairs(units, rows, least_score, NEIGHBORS), NEIGHBORS))
        joined = time.perf_counter()
        _multiply(units, rows)
        joining_s += joined - began
        products_s += time.perf_counter() - joined
    began = time.perf_counter()
    pairs = join_pairs(pieces, NEIGHBORS)
    joining_s += time.perf_counter() - began
    result = {
        "vectors": len(units),
        "pairs": len(pairs),
        "least_score": least_score,
        "join_seconds": joining_s,
        "product_seconds": products_s,
        "ratio": joining_s / products_s,
        "peak_bytes": peak_bytes(),
    }
    console.print(
        f"{len(units):,} vectors of width {options.dim}: joined in {joining_s:.1f} s, "
        f"{len(pairs):,} pairs from a cosine of {least_score:.3f} on; the products alone take "
        f"{products_s:.1f} s: {result['ratio']:.2f} times as long; peak {peak_bytes() / 2**20:,.0f} MiB",
        highlight=False,
    )
    return result


def _made_vectors(count: int, dim: int) -> NDArray[np.float32]:
    """float32 [count, dim] of length one, in any order."""
    rng = np.random.default_rng(0)
    vectors = np.maximum(rng.standard_normal((count, dim), np.float32), 0)
    copies = int(count * COPIES)
    noise = rng.standard_normal((copies, dim), np.float32) * np.float32(0.3)
    vectors[count - copies :] = vectors[:copies] + noise
    rng.shuffle(vectors)
    return unit_vectors(vectors)


def _least_score(units: NDArray[np.float32]) -> float:
    """The score from which on a vector has a few times the neighbors that are kept."""
    sampled = np.random.default_rng(1).choice(len(units), min(SAMPLED, len(units)), replace=False)
    scores = units[sampled] @ units.T
    return float(np.quantile(scores, max(0.0, 1 - 4 * NEIGHBORS / len(units))))


def _multiply(units: NDArray[np.float32], rows: range) -> None:
    """The products of some rows with all after them, in blocks as large as serve them best."""
    block = np.empty((COLUMN_BLOCK, COLUMN_BLOCK), np.float32)
    for top in range(rows.start, rows.stop, COLUMN_BLOCK):
        one = units[top : min(top + COLUMN_BLOCK, rows.stop)]
        for left in range(top, len(units), COLUMN_BLOCK):
            other = units[left : left + COLUMN_BLOCK]
            np.matmul(one, other.T, out=block[: len(one), : len(other)])


if __name__ == "__main__":
    quiet_libraries()
    try:
        main()
    except (LookalikeError, OSError) as error:
        sys.exit(f"benchmarks.join: {error}")
