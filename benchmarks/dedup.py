"""Copy detection side by side, on one set: ours, plain cosine, and the tools that are installed.

python -m benchmarks.dedup photos --modules modules

A set of pictures with known copies is made from any folder of photographs (30 transformations, seeded).
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from rich.console import Console

from benchmarks.copy_metrics import CopyFigures, judge
from benchmarks.copy_set import make_copy_set
from benchmarks.dedup_arms import ARMS, NEEDED
from benchmarks.figures import empty_table
from benchmarks.machine import describe_machine
from index.errors import LookalikeError, PipelineFailed
from pipelines.command_line import main as lookalike
from pipelines.job import positive
from transforms.quiet_libraries import quiet_libraries

COLUMNS: Final = (
    "pair precision",
    "recall",
    "group precision",
    "removed",
    "wrongly",
    "seconds",
)


def main(arguments: Sequence[str] | None = None) -> dict[str, Any]:
    """Run the benchmark, print its tables, and give what they hold."""
    options = _parser().parse_args(arguments)
    console = Console(width=130)
    for what, value in describe_machine().items():
        console.print(f"{what:<16}{value}", highlight=False)
    with tempfile.TemporaryDirectory(prefix="lookalike-benchmark-") as name:
        folder = Path(name) / "set"
        made = make_copy_set(
            options.photographs,
            folder / "pictures",
            originals=options.originals,
            copies=options.copies,
            distractors=options.distractors,
            seed=options.seed,
        )
        output = Path(name) / "out"
        flags = ["--modules", options.modules] if options.modules else []
        started = time.perf_counter()
        code = lookalike(
            [
                *("embed", str(folder / "pictures"), "--variants", options.variant),
                *("--output", str(output), *flags),
            ]
        )
        if code:
            raise PipelineFailed(f"lookalike embed ended with {code}")
        embedding_s = time.perf_counter() - started
        photographs = sum(one.transformation is None for one in made)
        title = f"{len(made):,} pictures of {photographs:,} photographs, {options.variant}"
        figures: dict[str, CopyFigures] = {}
        table = empty_table(f"{title}, embedded in {embedding_s:.0f} s", COLUMNS)
        for arm in options.arms:
            if arm in NEEDED and importlib.util.find_spec(NEEDED[arm]) is None:
                console.print(f"{arm} is left out: {NEEDED[arm]} is not installed")
                continue
            one = figures[arm] = judge(ARMS[arm](folder / "pictures", output), made)
            table.add_row(
                arm,
                f"{one.precision:.4f}",
                f"{one.recall:.4f}",
                f"{one.group_precision:.4f}",
                f"{one.removed:,}",
                f"{one.removed_wrongly:,}",
                f"{one.seconds:.1f}",
            )
        console.print(table)
        _print_by_transformation(console, figures)
    results = {
        "machine": describe_machine(),
        "pictures": len(made),
        "embedding_seconds": embedding_s,
        "arms": {name: asdict(one) for name, one in figures.items()},
    }
    if options.json is not None:
        options.json.write_text(json.dumps(results, indent=2))
    return results


def _print_by_transformation(console: Console, figures: dict[str, CopyFigures]) -> None:
    names = sorted({name for one in figures.values() for name in one.with_original})
    table = empty_table("copies in a group with their photograph, by transformation", list(figures))
    for name in names:
        table.add_row(name, *(f"{one.with_original[name]:.2f}" for one in figures.values()))
    console.print(table)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.dedup", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("photographs", type=Path, metavar="PHOTOS", help="a folder of photographs")
    parser.add_argument("--modules", help="a mirror of modules")
    parser.add_argument(
        "--variant", default="mobilenet_v2_100_224", help="to embed with (default: %(default)s)"
    )
    parser.add_argument("--originals", type=positive, default=600, help="(default: %(default)s)")
    parser.add_argument("--copies", type=positive, default=5, help="of each (default: %(default)s)")
    parser.add_argument("--distractors", type=int, default=400, help="(default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="(default: %(default)s)")
    parser.add_argument("--arms", nargs="+", default=list(ARMS), choices=list(ARMS), metavar="ARM")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the figures there")
    return parser


if __name__ == "__main__":
    quiet_libraries()
    try:
        main()
    except (LookalikeError, OSError) as error:
        sys.exit(f"benchmarks.dedup: {error}")
