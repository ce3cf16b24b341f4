"""Near neighbors -> groups that cannot drift; which member to keep."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from index.errors import UsageError
from index.unit_vectors import unit_vectors
from index.vector_space import VectorSpace

KeepPolicy = Literal["largest", "oldest", "first"]
BLOCK: Final = 256  # rows compared at a time: 256 x 200,000 scores are 200 MB

_ORDERS: Final[dict[KeepPolicy, list[tuple[str, str]]]] = {
    "largest": [("pixels", "descending"), ("bytes", "descending"), ("uri", "ascending")],
    "oldest": [("modified", "ascending"), ("uri", "ascending")],
    "first": [("uri", "ascending")],
}
KEEP_POLICIES: Final = tuple(_ORDERS)


@dataclass(frozen=True)
class Duplicate:
    """A member of a group beside the kept one.

    Attributes:
        picture: its row in the table of pictures.
        score: its cosine to the kept picture.
        kind: "exact" for the very same bytes, else "near".
    """

    picture: int
    score: float
    kind: Literal["exact", "near"]


@dataclass(frozen=True)
class DuplicateGroup:
    """A picture to keep, and its duplicates, the most alike first."""

    keep: int
    duplicates: tuple[Duplicate, ...]


def find_duplicate_groups(
    pictures: pa.Table,
    vectors: NDArray[np.float32],
    *,
    threshold: float,
    keep: KeepPolicy = "largest",
) -> list[DuplicateGroup]:
    """Groups of exact and near duplicates, every member directly close to the one that is kept.

    Pictures are visited in the policy's order. One that is close to no kept picture is kept; any
    other joins the kept picture it is closest to. So no chain of small steps can join strangers,
    and no two kept pictures are duplicates of each other.

    Args:
        pictures: one row a picture: `uri`, `content_hash`, `bytes`, `modified`, `width`, `height`.
        vectors: float32 [pictures, dim], in the same order.
        threshold: the least cosine between a member and the kept picture.
        keep: which picture of a group to keep: the most pixels, the earliest modified, or the
            first by URI.

    Returns:
        Groups of two or more, in the order of their kept pictures' rows.
    """
    if not 0 < threshold <= 1:
        raise UsageError(f"--threshold is {threshold}; it must be above 0 and at most 1")
    order = _keeping_order(pictures, keep)
    leaders, copies = _same_content(pictures, order)
    kept, scores = _nearest_kept(unit_vectors(vectors[leaders]), threshold)

    members: dict[int, list[Duplicate]] = {}
    for place, leader in enumerate(leaders):
        keeper = int(leaders[kept[place]])
        if keeper != leader:
            score = float(scores[place])
            members.setdefault(keeper, []).append(Duplicate(int(leader), score, "near"))
        for copy in copies.get(int(leader), ()):
            exact = keeper == leader
            score = 1.0 if exact else float(scores[place])
            duplicate = Duplicate(copy, score, "exact" if exact else "near")
            members.setdefault(keeper, []).append(duplicate)
    return [
        DuplicateGroup(keeper, tuple(sorted(found, key=lambda one: (-one.score, one.picture))))
        for keeper, found in sorted(members.items())
    ]


def _keeping_order(pictures: pa.Table, keep: KeepPolicy) -> NDArray[np.int64]:
    """The rows of `pictures`, those most worth keeping first: int64 [pictures]."""
    if keep not in _ORDERS:
        raise UsageError(f"--keep is {keep!r}; it must be one of {', '.join(KEEP_POLICIES)}")
    width, height = (pc.cast(pictures.column(name), pa.int64()) for name in ("width", "height"))
    table = pictures.append_column("pixels", pc.multiply(width, height))
    # A picture of unknown age comes last: nulls are placed at the end.
    order: NDArray[np.uint64] = pc.sort_indices(table, sort_keys=_ORDERS[keep]).to_numpy()
    return order.astype(np.int64)


def _same_content(
    pictures: pa.Table, order: NDArray[np.int64]
) -> tuple[NDArray[np.int64], dict[int, list[int]]]:
    """The first row of each distinct content, in `order`; and the rows that copy it, by that row."""
    leader_of: dict[str, int] = {}
    copies: dict[int, list[int]] = {}
    hashes = pictures.column("content_hash").to_pylist()
    for row in order.tolist():
        leader = leader_of.setdefault(hashes[row], row)
        if leader != row:
            copies.setdefault(leader, []).append(row)
    return np.fromiter(leader_of.values(), np.int64, len(leader_of)), copies


def _nearest_kept(
    units: NDArray[np.float32], threshold: float
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """The kept row each row belongs to, and its cosine to it; a kept row belongs to itself.

    Args:
        units: float32 [n, dim] of length one, those most worth keeping first.
        threshold: the least cosine.
    """
    count = len(units)
    kept = np.arange(count)
    best = np.full(count, -np.inf, np.float32)
    for start in range(0, count, BLOCK):
        block = units[start : start + BLOCK] @ units[start:].T
        for row, scores in enumerate(block, start=start):
            if kept[row] != row:
                continue
            later = scores[row - start + 1 :]
            close = row + 1 + np.flatnonzero((later >= threshold) & (later > best[row + 1 :]))
            kept[close] = row
            best[close] = scores[close - start]
    return kept, np.minimum(best, np.float32(1))


def groups_table(
    groups: list[DuplicateGroup], pictures: pa.Table, space: VectorSpace, *, threshold: float
) -> pa.Table:
    """groups.parquet: one row a member, the kept one first in each group.

    Columns: `group` int64, `uri`, `keep` bool, `score` float32 (cosine to the kept picture),
    `kind` ("kept", "exact" or "near"), `content_hash`, `bytes`, `modified`, `width`, `height`.
    """
    rows: list[int] = []
    numbers: list[int] = []
    scores: list[float] = []
    kinds: list[str] = []
    for number, group in enumerate(groups):
        kept = (group.keep, 1.0, "kept")
        others = [(one.picture, one.score, one.kind) for one in group.duplicates]
        for row, score, kind in (kept, *others):
            numbers.append(number)
            rows.append(row)
            scores.append(score)
            kinds.append(kind)
    facts = ["content_hash", "bytes", "modified", "width", "height"]
    chosen = pictures.take(pa.array(rows, pa.int64()))
    columns = {
        "group": pa.array(numbers, pa.int64()),
        "uri": chosen.column("uri"),
        "keep": pa.array([kind == "kept" for kind in kinds], pa.bool_()),
        "score": pa.array(scores, pa.float32()),
        "kind": pa.array(kinds, pa.string()),
        **{name: chosen.column(name) for name in facts},
    }
    metadata = {
        "lookalike.vector_space": space.model_dump_json(),
        "lookalike.threshold": repr(threshold),
    }
    return pa.table(columns).replace_schema_metadata(metadata)


def encode_groups(table: pa.Table) -> pa.Buffer:
    """The bytes of groups.parquet."""
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, compression="zstd")
    return sink.getvalue()
