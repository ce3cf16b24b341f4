"""rows.parquet of an opened index -> what its ids and places stand for, read when it is asked for."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from index.errors import InvalidInput

TAIL: Final = (
    8  # hexadecimal digits of a hash that are compared first: as many as a number has bytes
)


@dataclass(frozen=True)
class StoredRows:
    """The rows of an index, in the order of their places in it.

    Attributes:
        file: the checked bytes of rows.parquet, mapped.
        count: how many rows there are.
        places: how many places the index has; more than rows where it holds tombstones.
        in_order: whether row, place and id are one number, as they are until the first update.
    """

    file: pa.Buffer = field(repr=False)
    count: int
    places: int
    in_order: bool

    @cached_property
    def table(self) -> pa.Table:
        """`id`, `position` (the place), the picture's columns, `part` and `row` of the embeddings."""
        return self._read()

    @cached_property
    def ids(self) -> NDArray[np.int64]:
        """The id of each row: int64 [rows]."""
        return np.arange(self.count) if self.in_order else self._numbers("id")

    @cached_property
    def positions(self) -> NDArray[np.int64]:
        """The place of each row: int64 [rows]."""
        return np.arange(self.count) if self.in_order else self._numbers("position")

    @cached_property
    def id_at(self) -> NDArray[np.int64]:
        """The id at each place, -1 where no row is: int64 [places]."""
        if self.in_order:
            return self.ids
        every = np.full(self.places, -1, np.int64)
        every[self.positions] = self.ids
        return every

    def rows_of(self, ids: NDArray[np.int64]) -> NDArray[np.int64]:
        """The rows of some ids, int64 [ids]; row 0 for -1.

        Raises:
            InvalidInput: an id that no row has, or none any more.
        """
        asked = np.maximum(ids, 0)
        rows = np.minimum(asked, self.count - 1)
        if not self.in_order:
            found = np.searchsorted(self.ids, asked, sorter=self._order)
            rows = self._order[np.minimum(found, self.count - 1)]
        unknown = (ids >= 0) & (self.ids[rows] != asked)
        if unknown.any():
            raise InvalidInput(f"{int(ids[unknown][0])} is no id of this index, or no longer")
        return np.where(ids < 0, 0, rows)

    def find(self, uri: str) -> int | None:
        """The id of the picture at `uri`; None where there is none."""
        row = pc.index(self.table.column("uri"), uri).as_py()
        return None if row < 0 else int(self.ids[row])

    def with_content(self, content_hash: str) -> NDArray[np.int64]:
        """The ids of the pictures whose bytes have this sha256: int64 [pictures]."""
        tail = np.frombuffer(content_hash[-TAIL:].encode(), np.uint64)
        rows = np.flatnonzero(self._content_tails == tail)
        hashes = self.table.column("content_hash")
        same = [row for row in rows.tolist() if hashes[row].as_py() == content_hash]
        return self.ids[np.array(same, np.int64)]

    @cached_property
    def _content_tails(self) -> NDArray[np.uint64]:
        """The end of each row's content hash: many are compared at once."""
        return _tails(self.table.column("content_hash"))

    @cached_property
    def _order(self) -> NDArray[np.int64]:
        return np.argsort(self.ids)

    def _numbers(self, column: str) -> NDArray[np.int64]:
        numbers: NDArray[np.int64] = self._read([column]).column(column).to_numpy()
        return numbers

    def _read(self, columns: list[str] | None = None) -> pa.Table:
        return pq.ParquetFile(pa.BufferReader(self.file)).read(columns)


def _tails(hashes: pa.ChunkedArray) -> NDArray[np.uint64]:
    """The last digits of each of some hashes, as a number that tells them apart: uint64 [hashes]."""
    chunks = pc.cast(pc.utf8_slice_codeunits(hashes, -TAIL), pa.binary(TAIL)).chunks
    found = [np.frombuffer(one.buffers()[1], np.uint64)[one.offset :][: len(one)] for one in chunks]
    return np.concatenate([np.empty(0, np.uint64), *found])
