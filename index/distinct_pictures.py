"""Pictures by their content: each once, in an order that does not depend on where its row stands."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray


@dataclass(frozen=True)
class DistinctPictures:
    """The distinct contents among some pictures, in the order of the URIs that stand for them.

    Attributes:
        leaders: int64 [distinct], the row that stands for each content: the one most worth keeping.
        numbers: int64 [pictures], which content each row has.
    """

    leaders: NDArray[np.int64]
    numbers: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.leaders)

    @classmethod
    def of(
        cls,
        pictures: pa.Table,
        order: NDArray[np.int64],
        sides: NDArray[np.int8] | None = None,
    ) -> DistinctPictures:
        """Tell contents apart by their sha256.

        Args:
            pictures: one row a picture: `uri`, `content_hash`.
            order: int64 [pictures], rows, those most worth keeping first.
            sides: int8 [pictures]; where given, equal contents of two sides are two.
        """
        hashes = pictures.column("content_hash").combine_chunks().dictionary_encode()
        content = hashes.indices.to_numpy(zero_copy_only=False).astype(np.int64)
        if sides is not None:
            content = content * 2 + sides
        _, first, which = np.unique(content[order], return_index=True, return_inverse=True)
        leaders = order[first]
        by_uri = pc.sort_indices(pictures.column("uri").take(pa.array(leaders))).to_numpy()
        place = np.empty(len(leaders), np.int64)
        place[by_uri] = np.arange(len(leaders))
        numbers = np.empty(len(content), np.int64)
        numbers[order] = place[which]
        return cls(leaders[by_uri], numbers)

    def copies(self) -> dict[int, list[int]]:
        """The rows that have the bytes of a leader, by the number of their content."""
        is_leader = np.zeros(len(self.numbers), bool)
        is_leader[self.leaders] = True
        found: dict[int, list[int]] = {}
        for row in np.flatnonzero(~is_leader).tolist():
            found.setdefault(int(self.numbers[row]), []).append(row)
        return found
