"""An index and the dataset as it is now -> which of its rows are kept, gone and new."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from index.embedding_dataset import EmbeddingDataset
from index.index_rows import IndexRows
from index.vector_index import VectorIndex


@dataclass(frozen=True)
class IndexChanges:
    """What became of the rows of an index.

    Attributes:
        kept: int64 [kept], its rows whose pictures are there still, in their order.
        standing: those pictures as the dataset has them now, in the form of `EmbeddingDataset.pictures`.
        new: the pictures that are new, in the same form.
        gone: how many of its rows are gone.
    """

    kept: NDArray[np.int64]
    standing: pa.Table
    new: pa.Table
    gone: int

    @classmethod
    def between(cls, index: VectorIndex, dataset: EmbeddingDataset) -> IndexChanges:
        """Compare an index with a dataset; a picture is the same with the same URI and content."""
        number_of = {part.sha256: number for number, part in enumerate(dataset.record.parts)}
        now = np.array([number_of.get(part, -1) for part in index.manifest.parts], np.int32)
        then = set(index.manifest.parts)
        other = [number for part, number in number_of.items() if part not in then]
        pictures = dataset.pictures(other)  # what stands in the same parts has not changed

        rows = index.rows.select(pictures.column_names)
        parts = now[rows.column("part").to_numpy()]
        in_other = np.flatnonzero(parts < 0)
        found = pc.index_in(_keys(rows.take(pa.array(in_other))), value_set=_keys(pictures))
        again = np.flatnonzero(found.is_valid().to_numpy(zero_copy_only=False))
        targets = found.take(pa.array(again)).to_numpy(zero_copy_only=False).astype(np.int64)

        source = np.where(parts >= 0, np.arange(len(parts)), -1)
        source[in_other[again]] = len(parts) + targets
        is_new = np.ones(pictures.num_rows, np.bool_)
        is_new[targets] = False
        place = rows.schema.get_field_index("part")
        rows = rows.set_column(place, pictures.schema.field("part"), pa.array(parts))
        kept = np.flatnonzero(source >= 0)
        return cls(
            kept=kept,
            standing=pa.concat_tables([rows, pictures]).take(pa.array(source[kept])),
            new=pictures.filter(pa.array(is_new)),
            gone=len(parts) - len(kept),
        )

    def rows(self, index: VectorIndex) -> IndexRows:
        """The kept rows in their order, then the new ones with the next ids."""
        next_id = index.manifest.next_id + self.new.num_rows
        ids = [index.ids[self.kept], np.arange(index.manifest.next_id, next_id)]
        pictures = pa.concat_tables([self.standing, self.new])
        return IndexRows.of(pictures, np.concatenate(ids), next_id, index.manifest.updates + 1)


def _keys(pictures: pa.Table) -> pa.Array:
    """What says which picture a row is, one text a row."""
    both = pc.binary_join_element_wise(pictures.column("content_hash"), pictures.column("uri"), " ")
    return both.combine_chunks() if isinstance(both, pa.ChunkedArray) else both
