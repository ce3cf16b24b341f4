"""Outputs and patterns -> the pictures to compare, and their two sides where there are such."""

from __future__ import annotations

from collections.abc import Hashable, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from index.copy_task import ComparedPictures
from index.dataset_rows import rows_of_pictures
from index.duplicate_groups import DuplicateGroup
from index.embedding_dataset import EmbeddingDataset
from index.errors import UsageError


def compare_within(
    dataset: EmbeddingDataset, between: Sequence[str] = (), prefer: Sequence[str] = ()
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
    # A picture that stands in both is no copy of itself.
    is_known = pc.is_in(tables[1].column("uri"), tables[0].column("uri"))
    tables[1] = tables[1].filter(pc.invert(is_known))
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
        tuple(one.folder.root.rpartition("/embeddings/")[0] for one in (other, dataset)),
    )


def member_identities(
    groups: Sequence[DuplicateGroup], pictures: pa.Table
) -> dict[int, Hashable | None]:
    """What is the same for all names of a file, by the rows of members; None where it was changed."""
    from transforms.present_files import file_identity
    from transforms.work_threads import usable_cores, work_threads

    rows = [row for one in groups for row in (one.keep, *(twin.picture for twin in one.duplicates))]
    some = pictures.select(["uri", "bytes", "modified", "content_hash"]).take(
        pa.array(rows, pa.int64())
    )
    modified = some.column("modified").cast(pa.int64())
    columns = some.set_column(2, "modified", modified).columns
    found = work_threads(usable_cores()).map(file_identity, *(one.to_pylist() for one in columns))
    return dict(zip(rows, found, strict=True))


def _preferred(pictures: pa.Table, patterns: Sequence[str]) -> NDArray[np.int8] | None:
    if not patterns:
        return None
    preferred = np.full(len(pictures), len(patterns), np.int8)
    for place, pattern in reversed(list(enumerate(patterns))):
        matched = _matches(pictures, pattern)
        if not matched.any():
            raise UsageError(f"--prefer {pattern!r} matches none of {len(pictures):,} pictures")
        preferred[matched] = place
    return preferred


def _matches(pictures: pa.Table, pattern: str) -> NDArray[np.bool_]:
    """Which pictures a pattern stands for: bool [pictures]."""
    from transforms.path_patterns import compile_below_any

    expressions = compile_below_any(pattern)
    uris = pictures.column("uri").to_pylist()
    return np.array([any(one.match(uri) for one in expressions) for uri in uris], bool)
