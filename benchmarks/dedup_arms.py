"""The ways to find copies that are compared: ours, and those of others that are installed."""

from __future__ import annotations

import contextlib
import io
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Final

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray
from PIL import Image
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from benchmarks.copy_metrics import FoundGroups
from index.embedding_dataset import EmbeddingDataset
from index.output_folder import DUPLICATES, variant_partition
from index.unit_vectors import unit_vectors
from pipelines.command_line import main as lookalike

Arm = Callable[[Path, Path], FoundGroups]  # the pictures, and an output with their embeddings

NEEDED: Final = MappingProxyType(
    {
        "imagededup PHash": "imagededup",
        "imagehash pHash <= 4": "imagehash",
        "PDQ <= 31": "pdqhash",
    }
)


def ours(*flags: str) -> Arm:
    """`lookalike dedup` with some flags; embedding is not in its seconds."""

    def run(_pictures: Path, output: Path) -> FoundGroups:
        started = time.perf_counter()
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            code = lookalike(["dedup", str(output), "--overwrite", *flags])
        if code:
            raise RuntimeError(f"lookalike dedup ended with {code}")
        seconds = time.perf_counter() - started
        variant = EmbeddingDataset.open(str(output)).space.variant
        place = output / DUPLICATES / variant_partition(variant) / "groups.parquet"
        groups: dict[int, list[str]] = {}
        kept: dict[int, str] = {}
        removed: dict[str, str] = {}
        for row in pq.ParquetFile(place).read().to_pylist():
            name = Path(row["uri"]).name
            groups.setdefault(row["group"], []).append(name)
            if row["keep"]:
                kept[row["group"]] = name
            elif row["remove"]:
                removed[name] = kept[row["group"]]
        return FoundGroups(list(groups.values()), removed, seconds)

    return run


def cosine(threshold: float) -> Arm:
    """Plain cosine of the same embeddings, and what is connected by it."""

    def run(_pictures: Path, output: Path) -> FoundGroups:
        started = time.perf_counter()
        dataset = EmbeddingDataset.open(str(output))
        names = [Path(uri).name for uri in dataset.pictures().column("uri").to_pylist()]
        units = unit_vectors(dataset.vectors())
        first, second = np.nonzero(np.triu(units @ units.T >= threshold, 1))
        return _connected(names, first, second, started)

    return run


def imagededup(pictures: Path, _output: Path) -> FoundGroups:
    """Its PHash, as it is by default."""
    from imagededup.methods import PHash

    started = time.perf_counter()
    with contextlib.redirect_stderr(io.StringIO()), contextlib.redirect_stdout(io.StringIO()):
        found: Mapping[str, Sequence[str]] = PHash(verbose=False).find_duplicates(
            image_dir=str(pictures)
        )
    names = sorted(found)
    place = {name: number for number, name in enumerate(names)}
    pairs = [(place[name], place[other]) for name, others in found.items() for other in others]
    first, second = np.array(pairs, np.int64).reshape(-1, 2).T
    return _connected(names, first, second, started)


def imagehash(pictures: Path, _output: Path) -> FoundGroups:
    """pHash of 64 bits, at most 4 of them different."""
    from imagehash import phash

    def bits(path: Path) -> NDArray[np.bool_]:
        with Image.open(path) as image:
            hashed: NDArray[np.bool_] = phash(image).hash.ravel()
        return hashed

    return _by_bits(pictures, bits, 4)


def pdq(pictures: Path, _output: Path) -> FoundGroups:
    """PDQ of 256 bits, at most 31 of them different, as its authors say."""
    import pdqhash

    def bits(path: Path) -> NDArray[np.bool_]:
        with Image.open(path) as image:
            hashed: NDArray[np.bool_] = pdqhash.compute(np.asarray(image.convert("RGB")))[0] > 0
        return hashed

    return _by_bits(pictures, bits, 31)


def _by_bits(pictures: Path, bits: Callable[[Path], NDArray[np.bool_]], most: int) -> FoundGroups:
    started = time.perf_counter()
    paths = sorted(path for path in pictures.iterdir() if path.is_file())
    hashes = np.stack([bits(path) for path in paths]).astype(np.float32)
    differing = hashes @ (1 - hashes.T) + (1 - hashes) @ hashes.T
    first, second = np.nonzero(np.triu(differing <= most, 1))
    return _connected([path.name for path in paths], first, second, started)


def _connected(
    names: Sequence[str], first: NDArray[np.int64], second: NDArray[np.int64], started: float
) -> FoundGroups:
    """What is connected by pairs; the first by name is kept."""
    graph = coo_array((np.ones(len(first), np.int8), (first, second)), shape=(len(names),) * 2)
    labels: Iterable[int] = connected_components(graph, directed=False)[1].tolist()
    sets: dict[int, list[str]] = {}
    for name, label in zip(names, labels, strict=True):
        sets.setdefault(label, []).append(name)
    groups = [sorted(group) for group in sets.values() if len(group) > 1]
    removed = {name: group[0] for group in groups for name in group[1:]}
    return FoundGroups(groups, removed, time.perf_counter() - started)


ARMS: Final[Mapping[str, Arm]] = MappingProxyType(
    {
        "lookalike": ours(),
        "lookalike --thorough": ours("--thorough"),
        "lookalike --by-score": ours("--by-score"),
        "cosine >= 0.9": cosine(0.9),
        "cosine >= 0.8": cosine(0.8),
        "imagededup PHash": imagededup,
        "imagehash pHash <= 4": imagehash,
        "PDQ <= 31": pdq,
    }
)
