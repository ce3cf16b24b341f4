"""Recall@k of an index against exact search."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import faiss
import numpy as np
from numpy.typing import NDArray

from index.dataset_rows import rows_of_pictures, sample_rows, unit_vectors_of
from index.embedding_dataset import EmbeddingDataset
from index.progress import SILENT, Progress
from index.search_parameters import TUNED_K
from index.unit_vectors import unit_vectors

if TYPE_CHECKING:
    from index.vector_index import VectorIndex

TIE: Final = 1e-5  # scores nearer than this are the same neighbor's for recall
QUERIES: Final = 1024
MOST_TIES: Final = 1 << 25
DEPTH: Final = 64  # true neighbors that are kept of each query


@dataclass(frozen=True)
class RecallQueries:
    """Vectors of a dataset that serve as queries.

    Attributes:
        ids: int64 [queries], the row of each in the dataset; sorted.
        vectors: float32 [queries, dim], of length one.
    """

    ids: NDArray[np.int64]
    vectors: NDArray[np.float32]


@dataclass(frozen=True)
class ExactNeighbors:
    """The true neighbors of queries, best first, each query's own row left out.

    Attributes:
        queries: whose they are.
        ids: int64 [queries, depth], rows of the dataset.
        scores: float32 [queries, depth], cosines.
        ties: int64, sorted: of the queries whose neighbors all tie, every row that ties with them, as
            number of the query * count + row.
        count: rows of the dataset.
    """

    queries: RecallQueries
    ids: NDArray[np.int64]
    scores: NDArray[np.float32]
    ties: NDArray[np.int64]
    count: int

    def recalls(self, ids: NDArray[np.int64], k: int) -> NDArray[np.float64]:
        """The share of each query's k nearest that a search found: float64 [queries].

        A found row counts when it is no worse than the true k-th best: rows that tie, such as copies of
        one picture, are as good as each other.

        Args:
            ids: int64 [queries, at least k + 1], rows of the dataset as a search gave them, best first;
                -1 where it found fewer.
            k: neighbors asked for.
        """
        k = min(k, self.ids.shape[1])
        is_own = ids == self.queries.ids[:, None]
        first = np.argsort(is_own, axis=1, kind="stable")[:, :k]
        ids = np.take_along_axis(ids, first, 1)
        kth_best = self.scores[:, k - 1 : k]
        good = np.where(self.scores >= kth_best - TIE, self.ids, -2)
        hits = (ids[:, :, None] == good[:, None, :]).any(axis=2)
        if len(self.ties):
            keys = np.where(ids < 0, -1, np.arange(len(ids))[:, None] * self.count + ids)
            hits |= self.ties[np.searchsorted(self.ties, keys) % len(self.ties)] == keys
        found: NDArray[np.float64] = hits.mean(axis=1)
        return found


def measure_recall(
    index: VectorIndex,
    dataset: EmbeddingDataset,
    k: int = 10,
    *,
    queries: RecallQueries | None = None,
) -> float:
    """The recall@k of an index against exact search, over a sample of its dataset's own vectors.

    Args:
        index: of this very dataset.
        dataset: at least two vectors.
        k: neighbors asked for, at most DEPTH.
        queries: from `sample_queries`; drawn here if not given.
    """
    exact = exact_neighbors(dataset, queries or sample_queries(dataset))
    found = index.search(exact.queries.vectors, k + 1)
    rows = rows_of_pictures(dataset, index.pictures(found.ids.ravel()))
    places = np.where(found.ids < 0, -1, rows.reshape(found.ids.shape))
    return float(exact.recalls(places, k).mean())


def sample_queries(dataset: EmbeddingDataset, count: int = QUERIES, seed: int = 0) -> RecallQueries:
    """A seeded sample of the dataset's own vectors."""
    ids = sample_rows(np.arange(len(dataset)), count, seed)
    return RecallQueries(ids, unit_vectors_of(dataset, ids))


def exact_neighbors(
    dataset: EmbeddingDataset, queries: RecallQueries, progress: Progress = SILENT
) -> ExactNeighbors:
    """The DEPTH nearest rows of each query, by one pass over the dataset of at least two vectors."""
    depth = min(DEPTH, len(dataset) - 1)
    best = faiss.ResultHeap(len(queries.ids), depth, keep_max=True)
    start = 0
    with progress.step("finding true neighbors", len(dataset), "vectors") as step:
        for batch in dataset.batches():
            scores = queries.vectors @ unit_vectors(batch.vectors).T
            own = (queries.ids >= start) & (queries.ids < start + len(batch))
            scores[own, queries.ids[own] - start] = -np.inf
            top = np.argpartition(-scores, min(depth, len(batch) - 1), axis=1)[:, :depth]
            best.add_result(np.take_along_axis(scores, top, axis=1), top + start)
            start += len(batch)
            step.advance(len(batch))
    best.finalize()
    ties = np.empty(0, np.int64)
    if depth < len(dataset) - 1:
        kth_best = best.D[:, min(TUNED_K, depth) - 1]
        all_tie = np.flatnonzero(best.D[:, -1] >= kth_best - TIE)
        if len(all_tie):
            least = kth_best[all_tie] - TIE
            ties = _ties(dataset, queries.vectors[all_tie], all_tie, least, progress)
    return ExactNeighbors(queries, best.I, best.D, ties, len(dataset))


def _ties(
    dataset: EmbeddingDataset,
    vectors: NDArray[np.float32],
    numbers: NDArray[np.int64],
    least: NDArray[np.float32],
    progress: Progress,
) -> NDArray[np.int64]:
    """Every row that scores so much with a query, by another pass: a picture may have many copies.

    Of MOST_TIES of them it is enough: then recall comes out too low rather than too high.
    """
    found, total, start = [np.empty(0, np.int64)], 0, 0
    with progress.step("finding neighbors that tie", len(dataset), "vectors") as step:
        for batch in dataset.batches():
            query, row = np.nonzero(vectors @ unit_vectors(batch.vectors).T >= least[:, None])
            found.append(numbers[query] * len(dataset) + row + start)
            total, start = total + len(row), start + len(batch)
            step.advance(len(batch))
            if total > MOST_TIES:
                break
    return np.sort(np.concatenate(found))
