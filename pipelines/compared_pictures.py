"""Outputs and patterns -> the pictures to compare, and their two sides where there are such."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from index.copy_search import ComparedPictures
from index.dataset_rows import rows_of_pictures
from index.embedding_dataset import EmbeddingDataset
from index.errors import UsageError


def compare_within(
    dataset: EmbeddingDataset, between: Sequence[str], prefer: Sequence[str]
) -> ComparedPictures:
    """The pictures of one data set; with two patterns, those of the one with those of the other.

    Raises:
        UsageError: not two patterns, one that no picture matches, or a picture that both match.
    """
    pictures = dataset.pictures()
    rows = rows_of_pictures(dataset, pictures)
    if not between:
        preferred = _preferred(pictures, prefer)
        return ComparedPictures(pictures, (dataset,), rows, None, preferred)
    if len(between) != 2:
        raise UsageError(f"--between has {len(between)} patterns; it takes two, after OUT")
    first, second = (_matches(pictures, pattern) for pattern in between)
    for pattern, found in zip(between, (first, second), strict=True):
        if not found.any():
            raise UsageError(f"--between {pattern!r} matches none of {len(pictures):,} pictures")
    if (first & second).any():
        uri = pictures.column("uri")[int(np.flatnonzero(first & second)[0])]
        raise UsageError(f"--between: both patterns match {uri}; a picture is on one side")
    chosen = np.flatnonzero(first | second)
    some = pictures.take(pa.array(chosen))
    sides = second[chosen].astype(np.int8)
    preferred = _preferred(some, prefer)
    return ComparedPictures(some, (dataset,), rows[chosen], sides, preferred, tuple(between))


def compare_across(
    other: EmbeddingDataset, dataset: EmbeddingDataset, prefer: Sequence[str]
) -> ComparedPictures:
    """The pictures of two data sets, those of the first being kept.

    Raises:
        SpaceMismatch: their vectors are of two spaces.
    """
    other.space.require_same(dataset.space)
    tables = [one.pictures() for one in (other, dataset)]
    rows = [
        rows_of_pictures(one, table) for one, table in zip((other, dataset), tables, strict=True)
    ]
    pictures = pa.concat_tables(tables)
    sides = np.repeat(np.array([0, 1], np.int8), [len(table) for table in tables])
    return ComparedPictures(
        pictures,
        (other, dataset),
        np.concatenate([rows[0], rows[1] + len(other)]),
        sides,
        _preferred(pictures, prefer),
        (other.folder.root, dataset.folder.root),
    )


def _preferred(pictures: pa.Table, patterns: Sequence[str]) -> NDArray[np.int8] | None:
    if not patterns:
        return None
    preferred = np.full(len(pictures), len(patterns), np.int8)
    for place, pattern in reversed(list(enumerate(patterns))):
        preferred[_matches(pictures, pattern)] = place
    return preferred


def _matches(pictures: pa.Table, pattern: str) -> NDArray[np.bool_]:
    """Which pictures a pattern stands for: bool [pictures]."""
    from transforms.path_patterns import compile_below_any

    expressions = compile_below_any(pattern)
    uris = pictures.column("uri").to_pylist()
    return np.array([any(one.match(uri) for one in expressions) for uri in uris], bool)
