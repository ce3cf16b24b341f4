"""A listing, minus what is finished -> deterministic chunks of file references."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from itertools import compress
from typing import Final

import numpy as np
from numpy.typing import NDArray

from transforms.elements import FileChunk, FileReference

CHUNK_FILES: Final = 256
CHUNK_BYTES: Final = 64 << 20
UNLISTED_BYTES: Final = 256 << 10  # what a file of unknown size counts as


def ordered_files(files: Iterable[FileReference]) -> list[FileReference]:
    """Files in the order of their URIs, each once."""
    by_uri = {file.uri: file for file in files}
    return [by_uri[uri] for uri in sorted(by_uri)]


def plan_embedding(
    files: Sequence[FileReference],
    variants: Sequence[str],
    done: NDArray[np.bool_] | None = None,
    tasks: Iterable[tuple[str, int, Sequence[str]]] = (),
) -> tuple[FileChunk, ...]:
    """Chunks of at most CHUNK_FILES files and, above one file, CHUNK_BYTES bytes.

    All files are cut into chunks, and those that are done then taken out: a picture is in the chunk of
    the same number, with the same neighbors, whatever is done already, however many workers there are,
    and in whatever order the files were listed. Where the pictures of one chunk lack rows of different
    variants, it becomes a chunk for each such set of variants.

    Args:
        files: in the order of their URIs, each once; see `ordered_files`.
        variants: the names of those to compute.
        done: bool [files, variants], where nothing is left to compute; None for nowhere.
        tasks: done by an earlier attempt whose chunk is not complete: the name, the position of the
            first file, and the variants of each.
    """
    if done is None:
        done = np.zeros((len(files), len(variants)), bool)
    starts = _starts(files)
    # The number of a chunk says which, and which variants nothing is lacking of, as bits.
    weights = [1 << column for column in range(len(variants))]
    planned: dict[int, tuple[list[FileReference], list[str]]] = defaultdict(lambda: ([], []))
    lacking = np.flatnonzero(~done.all(axis=1))
    patterns, pattern_of = np.unique(done[lacking], axis=0, return_inverse=True)
    first = [len(starts) * sum(compress(weights, pattern)) for pattern in patterns.tolist()]
    chunk_of = np.searchsorted(starts, lacking, side="right") - 1
    for position, chunk, pattern in zip(
        lacking.tolist(), chunk_of.tolist(), pattern_of.reshape(-1).tolist(), strict=True
    ):
        planned[first[pattern] + chunk][0].append(files[position])
    for name, position, computed in tasks:
        chunk = int(np.searchsorted(starts, position, side="right")) - 1
        bits = sum(
            weight for one, weight in zip(variants, weights, strict=True) if one not in computed
        )
        planned[bits * len(starts) + chunk][1].append(name)
    chunks = []
    for number, (chunk_files, chunk_tasks) in sorted(planned.items()):
        bits = number // len(starts)
        missing = (
            name for name, weight in zip(variants, weights, strict=True) if not bits & weight
        )
        chunks.append(
            FileChunk(number, tuple(chunk_files), tuple(missing), tuple(sorted(chunk_tasks)))
        )
    return tuple(chunks)


def _starts(files: Sequence[FileReference]) -> list[int]:
    """The positions at which chunks begin."""
    starts = [0]
    size = 0
    for position, file in enumerate(files):
        file_bytes = UNLISTED_BYTES if file.bytes is None else file.bytes
        held = position - starts[-1]
        if held and (held == CHUNK_FILES or size + file_bytes > CHUNK_BYTES):
            starts.append(position)
            size = 0
        size += file_bytes
    return starts
