"""Some parts of a dataset -> files of their codes; a shard is the same whoever encodes it."""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from index.embedding_dataset import EmbeddingDataset
from index.factory_string import BATCH_ROWS
from index.output_folder import OutputFolder
from index.progress import UNSHOWN, Advance, Step, counted
from index.quantizer import Quantizer
from index.stored_file import bytes_of
from index.unit_vectors import unit_vectors

SHARD_ROWS: Final = 32_768
TRAINED: Final = ("trained.stored", "trained.candidates")


@dataclass(frozen=True)
class Shard:
    """Parts that follow each other in a dataset, encoded together.

    Attributes:
        number: its place among the shards.
        parts: the numbers of its parts.
    """

    number: int
    parts: tuple[int, ...]


EncodeShards = Callable[[EmbeddingDataset, Sequence[Shard], OutputFolder, Step], None]


def plan_shards(dataset: EmbeddingDataset) -> list[Shard]:
    """All parts of a dataset in shards of at least SHARD_ROWS rows, whatever will encode them."""
    shards: list[Shard] = []
    parts: list[int] = []
    rows = 0
    for number, part in enumerate(dataset.record.parts):
        parts.append(number)
        rows += part.rows or 0
        if rows >= SHARD_ROWS or number == len(dataset.record.parts) - 1:
            shards.append(Shard(len(shards), tuple(parts)))
            parts, rows = [], 0
    return shards


def encode_shards(
    dataset: EmbeddingDataset, shards: Sequence[Shard], work: OutputFolder, step: Step = UNSHOWN
) -> None:
    """Encode shards one after the other in this process."""
    quantizer = read_quantizer(work)
    for shard in shards:
        encode_shard(dataset, shard, quantizer, work, step.advance)


def write_quantizer(quantizer: Quantizer, work: OutputFolder) -> None:
    """Leave a trained quantizer for whoever encodes."""
    for name, data in zip(TRAINED, quantizer.to_bytes(), strict=True):
        work.write(name, data)


def read_quantizer(work: OutputFolder) -> Quantizer:
    """The quantizer that was left."""
    return Quantizer.from_bytes(*(work.read(name) for name in TRAINED))


def encode_shard(
    dataset: EmbeddingDataset,
    shard: Shard,
    quantizer: Quantizer,
    work: OutputFolder,
    advance: Advance = UNSHOWN.advance,
) -> None:
    """Write the codes of a shard's rows below `work`, and tell of each batch."""
    batches = counted(dataset.batches(BATCH_ROWS, parts=shard.parts), advance)
    encode_batches((batch.vectors for batch in batches), shard, quantizer, work)


def encode_batches(
    batches: Iterable[NDArray[np.float32]], shard: Shard, quantizer: Quantizer, work: OutputFolder
) -> None:
    """The same for vectors that come in batches, float32 [rows, dim], never more of them in memory.

    A shard that two workers encode at a time, as runners may have it, is whole whoever is last.
    """
    finished = [work.path(name) for name in _names(shard)]
    unfinished = [f"{path}.{uuid.uuid4().hex[:8]}.tmp" for path in finished]
    with open(unfinished[0], "wb") as stored, open(unfinished[1], "wb") as candidates:
        for vectors in batches:
            codes = quantizer.encode(unit_vectors(vectors))
            stored.write(bytes_of(codes.stored))
            if codes.candidates is not None:
                candidates.write(bytes_of(codes.candidates))
    for made, path in zip(unfinished, finished, strict=True):
        os.replace(made, path)


def stored_codes(
    shards: Sequence[Shard], quantizer: Quantizer, work: OutputFolder
) -> Iterator[NDArray[np.uint8]]:
    """The encoded vectors of each shard in turn, mapped: uint8 [rows, bytes]."""
    for shard in shards:
        yield _mapped(work.path(_names(shard)[0]), quantizer.code_sizes[0])


def candidate_codes(
    shards: Sequence[Shard], quantizer: Quantizer, work: OutputFolder
) -> Iterator[NDArray[np.uint8]]:
    """The codes for candidates of each shard in turn, mapped: uint8 [rows, bytes]."""
    for shard in shards:
        yield _mapped(work.path(_names(shard)[1]), quantizer.code_sizes[1])


def _names(shard: Shard) -> tuple[str, str]:
    return f"{shard.number:05}.stored", f"{shard.number:05}.candidates"


def _mapped(path: str, code_size: int) -> NDArray[np.uint8]:
    if not os.path.getsize(path):
        return np.empty((0, code_size), np.uint8)
    return np.memmap(path, np.uint8, "r").reshape(-1, code_size)
