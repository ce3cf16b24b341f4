"""Neighbors that an index proposes -> the best of them by the cosine of their stored vectors."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from index.embedding_dataset import EmbeddingDataset
from index.unit_vectors import unit_vectors
from index.vector_index import VectorIndex

TIE: Final = 1e-5  # scores nearer than this are those of equal pictures
CANDIDATES: Final = 40  # at least so many of an approximate index are scored exactly
CANDIDATES_PER_NEIGHBOR: Final = 4


@dataclass(frozen=True)
class Query:
    """What is searched for.

    Attributes:
        name: what the user called it.
        vector: float32 [dim].
        own_id: the row of the index that is this very picture; None where it holds none.
    """

    name: str
    vector: NDArray[np.float32]
    own_id: int | None = None


@dataclass(frozen=True)
class QueryNeighbors:
    """The neighbors of one query, best first.

    Attributes:
        ids: int64 [neighbors].
        scores: float32 [neighbors], cosines.
    """

    ids: NDArray[np.int64]
    scores: NDArray[np.float32]


def nearest_pictures(
    index: VectorIndex,
    dataset: EmbeddingDataset | None,
    queries: list[Query],
    k: int,
    among: NDArray[np.bool_] | None = None,
) -> list[QueryNeighbors]:
    """The k nearest pictures of each query, their scores computed from the stored vectors.

    An approximate index gives candidates: more than k, whose exact scores then decide, where there are
    such. Of several that score alike, the query's own comes first. Each stored vector is read once.

    Args:
        index: what proposes.
        dataset: the embeddings it covers; None where they are not at hand: then the vectors in the index
            are scored.
        queries: at least one.
        k: neighbors asked for.
        among: the rows that may be found; None for all.
    """
    gives_best = index.is_exact or dataset is None
    wide = k if gives_best else max(CANDIDATES, k * CANDIDATES_PER_NEIGHBOR)
    vectors = np.stack([query.vector for query in queries])
    found = index.search(vectors, wide, among=among).ids
    candidates = [
        np.union1d(ids[ids >= 0], _own(index, query, among)).astype(np.int64)
        for query, ids in zip(queries, found, strict=True)
    ]
    every = np.unique(np.concatenate(candidates))
    stored = unit_vectors(_vectors(index, dataset, every))
    neighbors = []
    for query, unit, ids in zip(queries, unit_vectors(vectors), candidates, strict=True):
        scores = np.minimum(stored[np.searchsorted(every, ids)] @ unit, 1)
        best = _best_first(scores, ids, query.own_id)[:k]
        neighbors.append(QueryNeighbors(ids[best], scores[best]))
    return neighbors


def _vectors(
    index: VectorIndex, dataset: EmbeddingDataset | None, ids: NDArray[np.int64]
) -> NDArray[np.float32]:
    if not len(ids):
        return np.empty((0, index.space.num_features), np.float32)
    if dataset is None:
        return index.vectors(ids)
    rows = index.pictures(ids)
    return dataset.vectors_at(rows.column("part").to_numpy(), rows.column("row").to_numpy())


def _own(index: VectorIndex, query: Query, among: NDArray[np.bool_] | None) -> list[int]:
    """The query's own row, where there is one that may be found."""
    if query.own_id is None:
        return []
    [row] = index.stored_rows.rows_of(np.array([query.own_id]))
    return [query.own_id] if among is None or among[row] else []


def _best_first(
    scores: NDArray[np.float32], ids: NDArray[np.int64], own_id: int | None
) -> NDArray[np.int64]:
    """The order of the scores, the best first; of those that tie with it, the query's own before all."""
    order: NDArray[np.int64] = np.argsort(-scores, kind="stable")
    own = np.flatnonzero(ids == (-1 if own_id is None else own_id))
    if len(own) and scores[order[0]] - scores[own[0]] <= TIE:
        order = np.concatenate([own, order[order != own[0]]])
    return order
