"""Damaged pictures and artefacts by the thousand: each is used, or refused by name; nothing crashes.

python -m tests.fuzz --pictures 100000 --artifacts 5000 --seed 1
"""

from __future__ import annotations

import argparse
import contextlib
import random
import resource
import tempfile
import time
import warnings
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from index.builder import IndexOptions, build_index
from index.embedding_dataset import EmbeddingDataset
from index.errors import ArtifactError
from index.output_folder import INDEX, OutputFolder, variant_partition
from index.vector_index import VectorIndex
from tests.conftest import random_vectors, write_dataset
from tests.mutations import mutated, mutated_pictures
from transforms.pixels import prepare_picture
from transforms.unreadable_picture import UnreadablePicture

MOST_SECONDS = 10.0


@dataclass
class Tally:
    """What became of damaged files.

    Attributes:
        outcomes: how many were used, and how many refused for which reason.
        slowest_s: the longest that one of them took.
    """

    outcomes: Counter[str] = field(default_factory=Counter)
    slowest_s: float = 0.0

    @contextlib.contextmanager
    def timed(self, name: str) -> Iterator[None]:
        """Time one file; too long is an error."""
        started = time.perf_counter()
        yield
        seconds = time.perf_counter() - started
        self.slowest_s = max(self.slowest_s, seconds)
        assert seconds < MOST_SECONDS, f"{name} took {seconds:.1f} s"


def fuzz_pictures(count: int, seed: int) -> Tally:
    """Decode damaged pictures; anything but UnreadablePicture, or a crash, ends it."""
    tally = Tally()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow's, of oddities
        for name, data in mutated_pictures(count, seed):
            with tally.timed(name):
                try:
                    prepare_picture(data, [(32, 32)])
                    tally.outcomes["used"] += 1
                except UnreadablePicture as trouble:
                    tally.outcomes[trouble.reason] += 1
    return tally


def fuzz_artifacts(count: int, seed: int, folder: Path) -> Tally:
    """Damage a file of a dataset and its index; every reader must refuse it before it parses it."""
    write_dataset(folder, random_vectors(300, 8), part_rows=100)
    output = OutputFolder.at(folder)
    index = output.folder(INDEX, variant_partition("tiny"))
    build_index(EmbeddingDataset.open(output), index, IndexOptions())
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    whole = {path: path.read_bytes() for path in files}
    rng, tally = random.Random(seed), Tally()
    for number in range(count):
        path = files[number % len(files)]
        data = mutated(whole[path], rng) if rng.random() < 0.9 else whole[rng.choice(files)]
        if data == whole[path]:
            continue
        path.write_bytes(data)
        with tally.timed(f"{path.name} {number}"):
            try:
                is_index = Path(index.root) in path.parents
                _read_index(index) if is_index else _read_dataset(output)
            except ArtifactError as error:
                named = type(error).__name__ if str(path) in str(error) else f"unnamed: {error}"
                tally.outcomes[named] += 1
            else:
                raise AssertionError(f"{path}, damaged ({number}), was read")
        path.write_bytes(whole[path])
    return tally


def _read_dataset(output: OutputFolder) -> None:
    for _ in EmbeddingDataset.open(output).batches():
        pass


def _read_index(folder: OutputFolder) -> None:
    VectorIndex.open(folder).search(np.ones((1, 8), np.float32), k=5)


def main() -> None:
    """Fuzz, and say what came of it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pictures", type=int, default=100_000)
    parser.add_argument("--artifacts", type=int, default=5_000)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        tallies = {
            "pictures": fuzz_pictures(asked.pictures, asked.seed),
            "artifacts": fuzz_artifacts(asked.artifacts, asked.seed, Path(scratch) / "out"),
        }
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    for name, tally in tallies.items():
        outcomes = ", ".join(f"{count:,} {what}" for what, count in tally.outcomes.most_common())
        print(f"{name} (seed {asked.seed}): {outcomes}; the slowest took {tally.slowest_s:.2f} s")
    print(f"peak memory: {peak:,.0f} MiB")


if __name__ == "__main__":
    main()
