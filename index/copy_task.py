"""What a search for copies is given: the pictures to compare, and who does the heavy work."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from index.copy_evidence import Look
from index.embedding_dataset import EmbeddingDataset
from index.keep_policy import PictureTraits
from index.pair_join import PairJoin
from index.progress import Progress, Step
from index.similar_pairs import SimilarPairs

PictureId = tuple[str, str]  # its URI, and the sha256 that its bytes had when it was embedded
PicturePair = tuple[PictureId, PictureId]


@dataclass(frozen=True)
class ComparedPictures:
    """What is compared.

    Attributes:
        pictures: one row a picture, of one or two data sets.
        datasets: that have them.
        rows: int64 [pictures], the row of each among those of the data sets.
        sides: int8 [pictures], 0 (kept) or 1, where copies across two sides are looked for.
        preferred: int8 [pictures], the lower the sooner one is kept; None for all alike.
        between: what the two sides are called.
    """

    pictures: pa.Table
    datasets: tuple[EmbeddingDataset, ...]
    rows: NDArray[np.int64]
    sides: NDArray[np.int8] | None
    preferred: NDArray[np.int8] | None
    between: tuple[str, ...] = ()

    def own_uris(self) -> pa.ChunkedArray:
        """Those of the last data set: where there are two, the first is somebody else's."""
        uris = self.pictures.column("uri")
        if len(self.datasets) == 1:
            return uris
        return uris.filter(pa.array(self.rows >= len(self.datasets[0])))


class CopyWork(Protocol):
    """Who does the heavy work.

    Attributes:
        progress: who shows how far it is.
    """

    progress: Progress

    def join(self, join: PairJoin, most: int) -> SimilarPairs:
        """All pairs that a join finds, the `most` best of every picture."""
        ...

    def look(self, pairs: Sequence[PicturePair], step: Step) -> Sequence[Look]:
        """What laying pictures on each other shows; the step counts the pairs."""
        ...

    def traits(self, pictures: Sequence[PictureId], step: Step) -> Sequence[PictureTraits | None]:
        """What can be seen of pictures one by one; None for those that cannot be read."""
        ...

    def looking_s(self, pictures: Sequence[PictureId], pairs: int) -> float:
        """About how long looking at so many pairs of some pictures takes, in seconds."""
        ...
