"""One variant of an output, opened: its index, its groups, and what embeds queries for it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from index.errors import InvalidInput
from index.exact_scores import Query, nearest_pictures
from index.row_filter import matching_rows
from index.vector_index import VectorIndex
from pipelines.service.remembered import Remembered
from pipelines.service.served_groups import ServedGroups
from transforms.image_embedder import ImageEmbedder

FILTER_TIMEOUT_S: Final = 5.0
REMEMBERED_FILTER_BYTES: Final = 64 << 20
VERSION_DIGITS: Final = 16
PICTURE_COLUMNS: Final = ("id", "uri", "width", "height", "format", "bytes")

Mask = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class ServedVariant:
    """What answers questions about one variant; another one takes its place when its files change.

    Attributes:
        index: opened.
        embedder: of query pictures; None where its module cannot be had.
        groups: copies within the set, and across its sides, by "duplicates" and "leaks", as found.
        behind: whether the output has other embeddings by now.
    """

    index: VectorIndex
    embedder: ImageEmbedder | None
    groups: Mapping[str, ServedGroups | None]
    behind: bool
    _masks: Remembered[Mask] = field(
        default_factory=lambda: Remembered(REMEMBERED_FILTER_BYTES, lambda mask: mask.nbytes),
        repr=False,
    )

    @property
    def name(self) -> str:
        """What it is called."""
        return self.index.space.variant

    def matching(self, expression: str) -> Mask:
        """The rows that a filter is true of: bool [rows]."""
        mask = matching_rows(self.index.rows, expression, timeout_s=FILTER_TIMEOUT_S)
        return self._masks.put(expression, mask)

    def matched_before(self, expression: str) -> Mask | None:
        """The same where it is known already."""
        return self._masks.get(expression)

    def picture(self, id: int) -> dict[str, Any]:
        """The facts of a picture of the set; InvalidInput where no picture has this id."""
        return self.pictures(np.array([id], np.int64))[0]

    def pictures(self, ids: NDArray[np.int64]) -> list[dict[str, Any]]:
        """The same of some of them."""
        if len(ids) and ids.min() < 0:
            raise InvalidInput(f"{int(ids.min())} is no id of this index")
        rows = self.index.stored_rows.rows_of(ids)
        found: list[dict[str, Any]] = self._facts.take(pa.array(rows)).to_pylist()
        return found

    def named(self, uris: Sequence[str]) -> dict[str, dict[str, Any]]:
        """`id` and `version` of the pictures at some URIs; None where the index does not hold one."""
        stored = self._facts.select(["uri", "id", "version"])
        found = stored.filter(pc.is_in(stored.column("uri"), pa.array(uris, pa.string())))
        unknown: dict[str, dict[str, Any]] = {uri: {"id": None, "version": None} for uri in uris}
        return unknown | {one.pop("uri"): one for one in found.to_pylist()}

    def stored_query(self, id: int) -> Query:
        """A picture of the set as a query."""
        vector = self.index.vectors(np.array([id], np.int64))[0]
        return Query(str(id), vector, id)

    def search(
        self, queries: Sequence[Query], k: int, among: Mask | None
    ) -> list[list[dict[str, Any]]]:
        """The neighbors of each query, best first: rank, score, and the facts of the picture."""
        found = nearest_pictures(self.index, None, list(queries), k, among)
        facts = iter(self.pictures(np.concatenate([one.ids for one in found])))
        return [
            [
                {"rank": rank, "score": round(score, 6), **next(facts)}
                for rank, score in enumerate(one.scores.tolist(), start=1)
            ]
            for one in found
        ]

    def warm_up(self) -> None:
        """Read what a first question would wait for."""
        self.search([self.stored_query(int(self.index.ids[0]))], 1, None)

    @cached_property
    def _facts(self) -> pa.Table:
        """PICTURE_COLUMNS, and `version`: the beginning of the content's sha256."""
        rows = self.index.rows
        version = pc.utf8_slice_codeunits(rows.column("content_hash"), 0, VERSION_DIGITS)
        return rows.select(PICTURE_COLUMNS).append_column("version", version).combine_chunks()
