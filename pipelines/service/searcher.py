"""Query pictures and vectors -> neighbors: many requests at a time through the engine and the index."""

from __future__ import annotations

import hashlib
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any, Final, cast

import numpy as np
from numpy.typing import NDArray

from index.exact_scores import Query
from pipelines.service.batcher import Batcher
from pipelines.service.metrics import ServiceMetrics
from pipelines.service.remembered import Remembered
from pipelines.service.served_variant import Mask, ServedVariant
from transforms.image_embedder import ImageEmbedder
from transforms.unreadable_picture import UnreadablePicture

SEARCHED_AT_ONCE: Final = 64
WAITING: Final = 1024
WAITING_FILTERS: Final = 32  # each may take seconds
REMEMBERED_BYTES: Final = 64 << 20

Vector = NDArray[np.float32]
Found = list[dict[str, Any]]


@dataclass(frozen=True)
class _Asked:
    query: Query
    among: Mask | None


class Searcher:
    """Embeds and searches for all requests of a service.

    Args:
        metrics: that count what is done.
        threads: that embed.
    """

    def __init__(self, metrics: ServiceMetrics, threads: int) -> None:
        self._metrics = metrics
        self._vectors: Remembered[Vector] = Remembered(
            REMEMBERED_BYTES, lambda vector: vector.nbytes
        )
        self._filters: Batcher[str, Mask] = Batcher(
            self._filter_batch,
            most=lambda variant: 1,
            threads=1,
            waiting=WAITING_FILTERS,
            name="filter",
        )
        self._embed: Batcher[bytes, Vector] = Batcher(
            self._embed_batch,
            most=lambda embedder: cast(ImageEmbedder, embedder).engine.batch_size,
            threads=threads,
            waiting=WAITING,
            name="embed",
        )
        self._search: Batcher[_Asked, Found] = Batcher(
            self._search_batch,
            most=lambda key: SEARCHED_AT_ONCE,
            threads=1,
            waiting=WAITING,
            name="search",
        )

    async def picture_query(
        self, variant: ServedVariant, embedder: ImageEmbedder, data: bytes
    ) -> Query:
        """The query for a picture's bytes.

        Raises:
            UnreadablePicture: they are none.
            TooBusy: too many requests wait.
        """
        content = hashlib.sha256(data).hexdigest()
        key = (embedder.space.fingerprint, embedder.space.signature, content)
        vector = self._vectors.get(key)
        if vector is None:
            vector = self._vectors.put(key, await self._embed.result(embedder, data))
        else:
            self._metrics.remembered.inc()
        return Query(content, vector, variant.index.find_content(content))

    async def search(
        self, variant: ServedVariant, query: Query, k: int, among: Mask | None
    ) -> Found:
        """The neighbors of a query among some rows, or all.

        Raises:
            TooBusy: too many requests wait.
        """
        return await self._search.result((variant, k, id(among)), _Asked(query, among))

    async def matching(self, variant: ServedVariant, filter: str | None) -> Mask | None:
        """The rows of a variant that a filter is true of; None for all.

        Raises:
            UsageError: the filter is no condition, or takes too long.
            TooBusy: too many requests wait.
        """
        if filter is None or not filter.strip():
            return None
        known = variant.matched_before(filter)
        return await self._filters.result(variant, filter) if known is None else known

    def close(self) -> None:
        """End the threads."""
        self._embed.close()
        self._search.close()
        self._filters.close()

    def _embed_batch(
        self, key: Hashable, pictures: Sequence[bytes]
    ) -> Sequence[Vector | UnreadablePicture]:
        self._metrics.batches.labels("embed").observe(len(pictures))
        return cast(ImageEmbedder, key).embed_each(pictures)

    def _search_batch(self, key: Hashable, asked: Sequence[_Asked]) -> Sequence[Found]:
        self._metrics.batches.labels("search").observe(len(asked))
        variant, k, _ = cast(tuple[ServedVariant, int, int], key)
        return variant.search([one.query for one in asked], k, asked[0].among)

    def _filter_batch(self, key: Hashable, filters: Sequence[str]) -> Sequence[Mask]:
        return [cast(ServedVariant, key).matching(filter) for filter in filters]
