"""Indexes side by side in one run: ours, raw FAISS Flat, hnswlib and usearch, at matched recall.

python -m benchmarks.index out/embeddings/variant=mobilenet_v2_100_224

Every arm builds in a process of its own. At each recall an arm gets the fastest setting that reaches it
with one half of the queries; the other half is timed, the arms taking turns. No query is in the index.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import statistics
import sys
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final

import faiss
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset
from numpy.typing import NDArray
from rich.console import Console

from benchmarks.figures import empty_table
from benchmarks.index_arms import ARMS, NEEDED, IndexProcess, K
from benchmarks.machine import describe_machine
from index.embedding_dataset import encode_part, store_part
from index.errors import InvalidInput, LookalikeError
from index.manifest import EmbeddingsManifest, VariantRecord
from index.output_folder import OutputFolder
from index.unit_vectors import unit_vectors
from index.vector_space import VectorSpace
from pipelines.job import above_zero, positive
from transforms.quiet_libraries import quiet_libraries

VARIANT: Final = "vectors"
PART_ROWS: Final = 8192
OURS: Final = "lookalike"


def main(arguments: Sequence[str] | None = None) -> dict[str, Any]:
    """Run the benchmark, print its tables, and give what they hold."""
    options = _parser().parse_args(arguments)
    if options.json is not None:
        options.json.touch()  # rather now than after the last round
    console = Console(width=130)
    for what, value in describe_machine().items():
        console.print(f"{what:<16}{value}", highlight=False)
    options.counts = [max(count, 4 * K) for count in options.counts]
    most = max(options.counts)
    vectors = read_vectors(options.vectors, options.column, most + options.queries)
    held_out = max(2, min(options.queries, len(vectors) // 5))
    drawn = np.random.default_rng(0).permutation(len(vectors))
    vectors = vectors[drawn]
    queries, base = vectors[:held_out], vectors[held_out:]
    results: dict[str, Any] = {"machine": describe_machine(), "counts": {}}
    for count in sorted({min(count, len(base)) for count in options.counts}):
        with tempfile.TemporaryDirectory(prefix="lookalike-benchmark-") as name:
            scratch = Path(name)
            _share(scratch, base[:count], queries)
            peers = count <= options.peers_to
            results["counts"][count] = _compare(console, scratch, base[:count], options, peers)
    if options.json is not None:
        options.json.write_text(json.dumps(results, indent=2))
    return results


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.index", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("vectors", type=Path, metavar="PARQUET", help="a file, or a folder of them")
    parser.add_argument(
        "--column", default="embedding", help="of lists of floats (default: %(default)s)"
    )
    parser.add_argument("--counts", nargs="+", type=positive, default=[10_000, 100_000, 1_000_000])
    parser.add_argument(
        "--recalls", nargs="+", type=above_zero, default=[0.9, 0.95, 0.99], metavar="R"
    )
    parser.add_argument("--arms", nargs="+", default=list(ARMS), choices=list(ARMS), metavar="ARM")
    parser.add_argument(
        "--peers-to",
        type=positive,
        default=100_000,
        metavar="N",
        help="above so many vectors only ours is built (default: %(default)s)",
    )
    parser.add_argument("--queries", type=positive, default=2000, help="(default: %(default)s)")
    parser.add_argument("--singles", type=positive, default=200, help="(default: %(default)s)")
    parser.add_argument("--rounds", type=positive, default=5, help="(default: %(default)s)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the figures there")
    return parser


def read_vectors(place: Path, column: str, count: int) -> NDArray[np.float32]:
    """The first `count` vectors of a Parquet file or folder: float32 [rows, dim], of length one."""
    try:
        rows = pyarrow.dataset.dataset(place, format="parquet").head(count, columns=[column])
    except (pa.ArrowException, OSError) as error:
        raise InvalidInput(f"{place} is no Parquet with a column {column!r}: {error}") from error
    lists = rows.column(column).combine_chunks().drop_null()
    kinds = (pa.types.is_list, pa.types.is_large_list, pa.types.is_fixed_size_list)
    if not any(kind(lists.type) for kind in kinds) or not pa.types.is_floating(
        lists.type.value_type
    ):
        raise InvalidInput(f"{place}: {column!r} is of type {lists.type}, no lists of floats")
    lengths = pc.unique(pc.list_value_length(lists)).to_pylist()
    if len(lists) < 100 or len(lengths) != 1 or lengths[0] == 0:
        raise InvalidInput(
            f"{place} holds {len(lists)} lists of {len(lengths)} lengths in {column!r}, no 100 vectors"
        )
    vectors = lists.flatten().to_numpy(zero_copy_only=False).astype(np.float32)
    vectors = vectors.reshape(len(lists), -1)
    usable = np.isfinite(vectors).all(axis=1) & vectors.any(axis=1)
    if not usable.all():
        raise InvalidInput(
            f"{place}: {(~usable).sum()} vectors are zero, or hold NaN, infinity or null"
        )
    return unit_vectors(vectors)


def _share(scratch: Path, base: NDArray[np.float32], queries: NDArray[np.float32]) -> None:
    """What all arms read: the vectors, as an array and as an output of ours; queries and the truth."""
    np.save(scratch / "base.npy", base)
    np.save(scratch / "queries.npy", queries)
    np.save(scratch / "true.npy", faiss.knn(queries, base, K, metric=faiss.METRIC_INNER_PRODUCT)[1])
    space = VectorSpace(
        variant=VARIANT,
        handle="any",
        fingerprint="any",
        signature="any",
        recipe="any",
        input_size=(1, 1),
        num_features=base.shape[1],
    )
    output = OutputFolder.at(scratch)
    parts = []
    for number, start in enumerate(range(0, len(base), PART_ROWS)):
        piece = base[start : start + PART_ROWS]
        names = [f"{row:010}" for row in range(start, start + len(piece))]
        numbers = [1] * len(piece)
        table = pa.table(
            {
                "uri": names,
                "content_hash": names,
                "bytes": pa.array(numbers, pa.int64()),
                "modified": pa.nulls(len(piece), pa.timestamp("us", tz="UTC")),
                "width": pa.array(numbers, pa.int32()),
                "height": pa.array(numbers, pa.int32()),
                "format": ["none"] * len(piece),
            }
        )
        data = encode_part(table, piece, space)
        parts.append(store_part(output, VARIANT, f"part-{number:05}", data, rows=len(piece)))
    record = VariantRecord(space=space, engine="any", rows=len(base), parts=tuple(parts))
    EmbeddingsManifest(
        inputs=(),
        pictures=len(base),
        failures=0,
        failure_files=(),
        variants={VARIANT: record},
    ).write(output)


def _compare(
    console: Console,
    scratch: Path,
    base: NDArray[np.float32],
    options: argparse.Namespace,
    with_peers: bool,
) -> dict[str, Any]:
    """All arms on the same vectors: what building took, then a table a recall."""
    count, dim = base.shape
    names = [name for name in options.arms if with_peers or name == OURS]
    for name in [name for name in names if not _is_installed(name)]:
        console.print(f"{name} is left out: {NEEDED[name]} is not installed")
        names.remove(name)
    title = f"{count:,} vectors of width {dim}"
    found: dict[str, Any] = {}
    with ExitStack() as stack:
        processes: dict[tuple[str, float], IndexProcess] = {}
        for name in names:
            for recall in options.recalls:  # ours is built for each; the others once
                first = (name, options.recalls[0])
                processes[name, recall] = (
                    stack.enter_context(IndexProcess(name, scratch, recall))
                    if name == OURS or first not in processes
                    else processes[first]
                )
        for recall in options.recalls:
            arms = {name: processes[name, recall] for name in names}
            figures = _at_recall(arms, recall, options)
            found[str(recall)] = figures
            table = empty_table(
                f"{title}, recall@10 of at least {recall}",
                (
                    "build s",
                    "peak MiB",
                    "bytes a vector",
                    "recall",
                    "queries/s batch",
                    "single",
                    "setting",
                ),
            )
            for name, one in figures.items():
                built = arms[name].built
                one.update(build_seconds=built["seconds"], peak_bytes=built["peak"])
                one["bytes_a_vector"] = built["bytes"] / count
                reached = one["setting"] is not None or name == "FAISS Flat"
                table.add_row(
                    name,
                    f"{built['seconds']:.1f}",
                    f"{built['peak'] / 2**20:,.0f}",
                    f"{one['bytes_a_vector']:,.0f}",
                    f"{one['recall']:.4f}" if reached else "not reached",
                    f"{one['batch']:,.0f}" if reached else "",
                    f"{one['single']:,.0f}" if reached else "",
                    "" if one["setting"] is None else str(one["setting"]),
                )
            console.print(table)
    return found


def _at_recall(
    arms: dict[str, IndexProcess], recall: float, options: argparse.Namespace
) -> dict[str, dict[str, Any]]:
    """Every arm at its fastest setting that reaches the recall, timed in turns."""
    figures: dict[str, dict[str, Any]] = {}
    for name, arm in arms.items():
        reached = arm.ask("reach", recall=recall)
        figures[name] = reached or {"setting": None, "recall": 0.0}
        figures[name].update(reached=reached is not None, batches=[], singles=[])
    order = [name for name in arms if figures[name]["reached"]]
    for number in range(options.rounds):
        for name in order if number % 2 == 0 else reversed(order):
            one, setting = figures[name], figures[name]["setting"]
            one["batches"].append(arms[name].ask("batch", setting=setting))
            one["singles"].append(
                arms[name].ask("single", setting=setting, singles=options.singles)
            )
    for one in figures.values():
        one["batch"] = statistics.median(one.pop("batches") or [0.0])
        one["single"] = statistics.median(one.pop("singles") or [0.0])
    return figures


def _is_installed(name: str) -> bool:
    return name not in NEEDED or importlib.util.find_spec(NEEDED[name]) is not None


if __name__ == "__main__":
    quiet_libraries()
    try:
        main()
    except (LookalikeError, OSError) as error:
        sys.exit(f"benchmarks.index: {error}")
