"""Embedding pictures: ours against what an expert would write instead, side by side in one run.

python -m benchmarks.embed photos --modules modules

Every arm runs in a process of its own, loaded and warm; the arms take turns, round after round, on
the same pictures and the same module. Ratios are taken within a round, and their median is shown.
Ours lists, runs Beam and writes Parquet; what it is compared with only computes the vectors.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import statistics
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final, cast

import numpy as np
from numpy.typing import NDArray
from rich.console import Console

from benchmarks.arm_process import ArmProcess, Pass
from benchmarks.arms import PEERS, Task
from benchmarks.figures import arm_figures, cells, cosine_to, empty_table, median_ratio
from benchmarks.machine import describe_machine
from benchmarks.pictures import gather_pictures, parse_or_author
from index.errors import LookalikeError
from pipelines.job import positive
from transforms.engines.engine import (
    AUTO,
    ENGINES,
    PRECISIONS,
    EngineSettings,
    Precision,
    load_engine,
)
from transforms.module_store import ModuleStore
from transforms.quiet_libraries import quiet_libraries
from transforms.variants import parse_variants

YARDSTICK: Final = "tf.data loop"
SIZES: Final = (96, 128, 160, 192, 224)
RUNS: Final = (
    "mobilenet_v2_035_96",
    "mobilenet_v2_100_224",
    "mobilenet_v2_140_224",
    ",".join(f"mobilenet_v2_035_{size}" for size in SIZES),
    ",".join(f"mobilenet_v2_100_{size}" for size in SIZES),
)
PROFILED_PICTURES: Final = 64


def main(arguments: Sequence[str] | None = None) -> dict[str, Any]:
    """Run the benchmark, print its tables, and give what they hold."""
    options = _parser().parse_args(arguments)
    if options.json is not None:
        options.json.touch()  # rather now than after the last round
    console = Console(width=120)
    with tempfile.TemporaryDirectory(prefix="lookalike-benchmark-") as name:
        scratch = Path(name)
        os.environ["XDG_CACHE_HOME"] = str(scratch / "cache")  # of this process and the arms
        pictures = gather_pictures(
            options.pictures, options.count, scratch / "pictures", options.megapixels
        )
        machine = describe_machine()
        for what, value in machine.items():
            console.print(f"{what:<16}{value}", highlight=False)
        sizes = [path.stat().st_size for path in pictures]
        console.print(
            f"{'pictures':<16}{len(pictures)}, {statistics.mean(sizes) / 1e3:.0f} kB each\n"
        )
        runs: dict[str, Any] = {}
        for run in options.variants:
            variants = parse_or_author(run, options.modules, scratch, pictures)
            _prepare(variants, options)
            files = tuple(str(path) for path in pictures)
            measure = _several_at_once if "," in variants else _one_variant
            runs[run] = measure(console, variants, files, options, scratch)
        results = {"machine": machine, "runs": runs}
    if options.json is not None:
        options.json.write_text(json.dumps(results, indent=2))
    return results


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.embed", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("pictures", type=Path, metavar="FOLDER", help="of JPEGs")
    parser.add_argument("--modules", metavar="DIR", help="a folder that mirrors modules")
    parser.add_argument(
        "--variants",
        nargs="+",
        default=list(RUNS),
        metavar="NAMES",
        help="each is one run: names or name=path, several with commas between them in one pass",
    )
    parser.add_argument(
        "--engines",
        nargs="+",
        default=["auto:float32", "tensorflow:float32"],
        type=_engine,
        metavar="ENGINE",
        help="ours, as auto, litert, openvino, openvino:bfloat16 or tensorflow (default: %(default)s)",
    )
    parser.add_argument(
        "--peers",
        nargs="*",
        default=list(PEERS),
        choices=list(PEERS),
        metavar="PEER",
        help=f"of {', '.join(map(repr, PEERS))}",
    )
    parser.add_argument(
        "--count", type=positive, default=512, help="pictures (default: %(default)s)"
    )
    parser.add_argument("--rounds", type=positive, default=5, help="(default: %(default)s)")
    parser.add_argument("--megapixels", type=positive, help="enlarge every picture to this size")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the figures there")
    return parser


def _one_variant(
    console: Console,
    variants: str,
    files: tuple[str, ...],
    options: argparse.Namespace,
    scratch: Path,
) -> dict[str, Any]:
    """Every arm on one module: a table of ratios, then where our time goes."""
    ours = [f"pipeline:{engine}" for engine in options.engines]
    plain = ours[0].replace("pipeline", "plain", 1)
    names = [*ours, plain, *options.peers]
    jobs = {name: (name, _task(files, variants, options, scratch)) for name in names}
    passes, vectors = _take_turns(jobs, options.rounds)
    yardstick = YARDSTICK if YARDSTICK in passes else names[-1]
    table = empty_table(
        variants.partition("=")[0],
        (f"/ {yardstick}", "pictures/s", "CPU ms a picture", "peak MiB", "cosine (mean, worst)"),
    )
    figures: dict[str, Any] = {}
    for name, one in passes.items():
        shown = ", ".join(filter(None, (_title(name), one[0].note)))
        figures[name] = arm_figures(one, passes[yardstick], len(files))
        figures[name]["cosine"] = cosine_to(vectors.get(name), vectors.get(YARDSTICK))
        table.add_row(shown, *cells(figures[name]))
    console.print(table)
    share = 1 - median_ratio(passes[plain], passes[ours[0]])
    whole = statistics.median(one.seconds for one in passes[ours[0]])
    console.print(f"Beam's share of {_title(ours[0])}: {share:.1%} of {whole:.2f} s")
    figures["beam_share"] = share
    figures["profile_ms"] = _profile(console, options.engines[0], variants, files, options.modules)
    return figures


def _prepare(variants: str, options: argparse.Namespace) -> None:
    """Convert the modules here, so that no arm holds TensorFlow for it, and try every engine."""
    store = ModuleStore(options.modules)
    for variant in parse_variants(variants):
        for engine in options.engines:
            load_engine(store.locate(variant), _settings(engine))


def _several_at_once(
    console: Console,
    variants: str,
    files: tuple[str, ...],
    options: argparse.Namespace,
    scratch: Path,
) -> dict[str, Any]:
    """Several variants in one pass against a run of each."""
    arm = f"pipeline:{options.engines[0]}"
    named = {"one pass": variants, **{one.partition("=")[0]: one for one in variants.split(",")}}
    jobs = {name: (arm, _task(files, one, options, scratch)) for name, one in named.items()}
    passes, _ = _take_turns(jobs, options.rounds)
    apart = [
        sum(passes[name][number].seconds for name in jobs if name != "one pass")
        for number in range(options.rounds)
    ]
    ratios = [
        one.seconds / together for one, together in zip(passes["one pass"], apart, strict=True)
    ]
    ratio = statistics.median(ratios)
    title = f"{len(jobs) - 1} variants in one pass"
    table = empty_table(title, ("pictures/s", "CPU ms a picture", "peak MiB"))
    figures: dict[str, Any] = {"ratio": ratio}
    for name, one in passes.items():
        figures[name] = arm_figures(one, one, len(files))
        table.add_row(name, *cells(figures[name])[1:4])
    console.print(table)
    console.print(f"one pass / the sum of {len(jobs) - 1} runs: {ratio:.2f}\n")
    return figures


def _take_turns(
    jobs: Mapping[str, tuple[str, Task]], rounds: int
) -> tuple[dict[str, list[Pass]], dict[str, NDArray[np.float32]]]:
    """The passes of each job (an arm and its task), and its vectors; there and back again."""
    passes: dict[str, list[Pass]] = {name: [] for name in jobs}
    with contextlib.ExitStack() as stack:
        arms = {name: stack.enter_context(ArmProcess(*job)) for name, job in jobs.items()}
        order = list(jobs)
        for number in range(rounds):
            for name in order if number % 2 == 0 else reversed(order):
                passes[name].append(arms[name].run())
        vectors = {name: found for name in jobs if (found := arms[name].vectors()) is not None}
    return passes, vectors


def _task(
    files: tuple[str, ...], variants: str, options: argparse.Namespace, scratch: Path
) -> Task:
    return Task(files, variants, options.modules, tempfile.mkdtemp(dir=scratch))


def _settings(engine: str) -> EngineSettings:
    name, _, precision = engine.partition(":")
    return EngineSettings(name, cast(Precision, precision))


def _engine(text: str) -> str:
    """ENGINE or ENGINE:PRECISION -> ENGINE:PRECISION."""
    name, _, precision = text.partition(":")
    precision = precision or "float32"
    if name not in (AUTO, *ENGINES) or precision not in PRECISIONS:
        raise argparse.ArgumentTypeError(
            f"{text!r} must be one of {', '.join((AUTO, *ENGINES))}, and may have a precision: "
            f"{' or '.join(PRECISIONS)}, as in openvino:bfloat16"
        )
    return f"{name}:{precision}"


def _title(arm: str) -> str:
    kind, _, engine = arm.partition(":")
    titles = {"pipeline": "lookalike", "plain": "its plain loop"}
    return f"{titles[kind]} {engine.partition(':')[0]}" if kind in titles else arm


def _profile(
    console: Console, engine: str, variants: str, files: Sequence[str], modules: str | None
) -> dict[str, float]:
    """Where our CPU time goes, measured on one thread."""
    from benchmarks.step_profile import profile_steps

    store = ModuleStore(modules)
    engines = {
        variant.name: load_engine(store.locate(variant), _settings(engine))
        for variant in parse_variants(variants)
    }
    steps = profile_steps(files[:PROFILED_PICTURES], engines)
    total = sum(steps.values())
    parts = [f"{step} {spent:.2f} ({spent / total:.0%})" for step, spent in steps.items()]
    console.print(f"CPU ms a picture on one thread: {', '.join(parts)}\n", highlight=False)
    return steps


if __name__ == "__main__":
    quiet_libraries()
    try:
        main()
    except (LookalikeError, OSError) as error:
        sys.exit(f"benchmarks.embed: {error}")
