"""Recall@k of an index against exact search."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import faiss
import numpy as np
from numpy.typing import NDArray

from index.embedding_dataset import EmbeddingDataset
from index.unit_vectors import unit_vectors

TIE: Final = 1e-5  # scores nearer than this are the same neighbor's for recall

Search = Callable[[NDArray[np.float32], int], NDArray[np.int64]]


@dataclass(frozen=True)
class RecallQueries:
    """Vectors of a dataset that serve as queries.

    Attributes:
        ids: int64 [queries], the row of each in the dataset; sorted.
        vectors: float32 [queries, dim], of length one.
    """

    ids: NDArray[np.int64]
    vectors: NDArray[np.float32]


def sample_queries(dataset: EmbeddingDataset, count: int = 256, seed: int = 0) -> RecallQueries:
    """A seeded sample of the dataset's own vectors."""
    chosen = np.random.default_rng(seed).choice(
        len(dataset), min(count, len(dataset)), replace=False
    )
    ids = np.sort(chosen).astype(np.int64)
    vectors = np.empty((len(ids), dataset.space.num_features), np.float32)
    start = 0
    for batch in dataset.batches():
        mine = (ids >= start) & (ids < start + len(batch))
        vectors[mine] = unit_vectors(batch.vectors[ids[mine] - start])
        start += len(batch)
    return RecallQueries(ids, vectors)


def measure_recall(
    searches: Sequence[Search], dataset: EmbeddingDataset, queries: RecallQueries, *, k: int = 10
) -> list[float]:
    """The recall@k of each search, by one pass of exact search over the dataset.

    A query's own row does not count. A found row counts when its exact score is no worse than the
    true k-th best: rows that tie, such as copies of one picture, are as good as each other.

    Args:
        searches: each takes float32 [queries, dim] of length one and k, gives ids int64 [queries, k].
        dataset: at least two vectors.
        queries: from `sample_queries`.
        k: neighbors asked for.
    """
    k = min(k, len(dataset) - 1)
    found = [_without_own(search(queries.vectors, k + 1), queries.ids, k) for search in searches]
    found_scores = np.full((len(searches), len(queries.ids), k), -np.inf, np.float32)
    best = faiss.ResultHeap(len(queries.ids), k + 1, keep_max=True)
    start = 0
    for batch in dataset.batches():
        scores = queries.vectors @ unit_vectors(batch.vectors).T
        for number, ids in enumerate(found):
            query, place = np.nonzero((ids >= start) & (ids < start + len(batch)))
            found_scores[number, query, place] = scores[query, ids[query, place] - start]
        own = (queries.ids >= start) & (queries.ids < start + len(batch))
        scores[own, queries.ids[own] - start] = -np.inf
        top = np.argpartition(-scores, min(k, len(batch) - 1), axis=1)[:, : k + 1]
        best.add_result(np.take_along_axis(scores, top, axis=1), top + start)
        start += len(batch)
    best.finalize()
    kth_best = best.D[:, k - 1]
    return [float((scores >= kth_best[:, None] - TIE).mean()) for scores in found_scores]


def _without_own(ids: NDArray[np.int64], own: NDArray[np.int64], k: int) -> NDArray[np.int64]:
    """The first k of each query's ids that are not the query's own: int64 [queries, k]."""
    is_own = ids == own[:, None]
    order = np.argsort(is_own, axis=1, kind="stable")[:, :k]
    return np.take_along_axis(ids, order, axis=1)
