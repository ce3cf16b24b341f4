"""Vectors -> the codes an index holds of them; trained once on a sample, the same for every shard."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, Self

import faiss
import numpy as np
import scipy.linalg
from numpy.typing import NDArray

from index.factory_string import Candidates, IndexLayout, Stored

SEED: Final = 1234
SUMMED_ROWS: Final = 4096
LIST_BITS: Final = 4  # of one product code
_STORED_TYPES: Final[dict[Stored, int]] = {
    "SQ8": faiss.ScalarQuantizer.QT_8bit,
    "SQfp16": faiss.ScalarQuantizer.QT_fp16,
}


@dataclass(frozen=True)
class Codes:
    """What an index holds of some rows.

    Attributes:
        stored: uint8 [rows, bytes], the vectors to be scored.
        candidates: uint8 [rows, bytes], the list and the product codes; None without a first pass.
    """

    stored: NDArray[np.uint8]
    candidates: NDArray[np.uint8] | None


@dataclass(frozen=True)
class Quantizer:
    """Two trained FAISS indexes without vectors.

    Attributes:
        stored: a flat index of the vectors to be scored.
        candidates: a projection and inverted lists; None where there is no first pass.
    """

    stored: Any
    candidates: Any | None

    @classmethod
    def train(cls, layout: IndexLayout, sample: NDArray[np.float32]) -> Self:
        """The codes for a layout, learnt from unit vectors float32 [rows, dim]."""
        dim = sample.shape[1]
        if layout.stored == "Flat":
            stored: Any = faiss.IndexFlatIP(dim)
        else:
            kind = _STORED_TYPES[layout.stored]
            stored = faiss.IndexScalarQuantizer(dim, kind, faiss.METRIC_INNER_PRODUCT)
            stored.train(sample)
        if layout.candidates is None:
            return cls(stored, None)
        return cls(stored, _train_candidates(layout.candidates, sample))

    def encode(self, vectors: NDArray[np.float32]) -> Codes:
        """The codes of unit vectors float32 [rows, dim]."""
        if isinstance(self.stored, faiss.IndexFlat):
            stored = vectors.view(np.uint8)
        else:
            stored = self.stored.sa_encode(vectors)
        return Codes(stored, self.candidates and self.candidates.sa_encode(vectors))

    @property
    def code_sizes(self) -> tuple[int, int]:
        """Bytes a row of stored vectors, and of candidates."""
        return self.stored.sa_code_size(), self.candidates.sa_code_size() if self.candidates else 0

    def to_bytes(self) -> tuple[bytes, bytes]:
        """Both indexes as FAISS writes them; the second empty where there is no first pass."""
        second = faiss.serialize_index(self.candidates).tobytes() if self.candidates else b""
        return faiss.serialize_index(self.stored).tobytes(), second

    @classmethod
    def from_bytes(cls, stored: bytes, candidates: bytes) -> Self:
        """What `to_bytes` gave."""
        both = [np.frombuffer(data, np.uint8) for data in (stored, candidates)]
        return cls(
            faiss.deserialize_index(both[0]),
            faiss.deserialize_index(both[1]) if candidates else None,
        )


def _train_candidates(layout: Candidates, sample: NDArray[np.float32]) -> Any:
    """A projection to rotated principal components, then lists of product codes of them."""
    dim = sample.shape[1]
    projection = faiss.LinearTransform(dim, layout.width, False)
    faiss.copy_array_to_vector(_rotated_components(sample, layout.width).ravel(), projection.A)
    projection.is_trained = True
    coarse = faiss.IndexFlatIP(layout.width)
    lists = faiss.IndexIVFPQ(
        coarse, layout.width, layout.lists, layout.codes, LIST_BITS, faiss.METRIC_INNER_PRODUCT
    )
    # Of inner products, codes of the vectors themselves tell more than codes of their residuals.
    lists.by_residual = False
    lists.cp.min_points_per_centroid = 1  # the choice of the type has seen to it
    lists.train(projection.apply(sample))
    whole = faiss.IndexPreTransform(projection, lists)
    return faiss.deserialize_index(faiss.serialize_index(whole))  # which owns all it holds


def _rotated_components(sample: NDArray[np.float32], width: int) -> NDArray[np.float32]:
    """The leading principal directions, turned at random among themselves: float32 [width, dim].

    Nothing is subtracted from a vector: it would change the order of inner products. The turn spreads
    what the first components hold over all codes.
    """
    dim = sample.shape[1]
    products = np.zeros((dim, dim))
    for start in range(0, len(sample), SUMMED_ROWS):
        block = sample[start : start + SUMMED_ROWS]
        products += block.T @ block
    mean = sample.mean(axis=0, dtype=np.float64)
    covariance = products / len(sample) - np.outer(mean, mean)
    _, directions = scipy.linalg.eigh(covariance, subset_by_index=[dim - width, dim - 1])
    drawn = np.random.default_rng(SEED).standard_normal((width, width))
    turn, _ = np.linalg.qr(drawn)
    return np.ascontiguousarray(turn @ directions.T, np.float32)
