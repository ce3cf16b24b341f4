"""Pairs of pictures -> what laying them on each other shows, on all cores."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final

from index.copy_evidence import Look
from index.copy_search import UriPair
from index.keep_policy import PictureTraits
from transforms.alignment import align
from transforms.local_features import LocalFeatures, local_features
from transforms.unreadable_picture import UnreadablePicture

KEPT_PICTURES: Final = 4096  # whose features are in memory: 90 KB each

ReadBytes = Callable[[str], bytes]


@dataclass
class PictureComparer:
    """Compares pictures; the features of those it has seen lately are kept.

    Attributes:
        read: the bytes of a picture; OSError where they cannot be read.
        threads: what works.
    """

    read: ReadBytes
    threads: Executor
    _features: Callable[[str], LocalFeatures | None] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self._features = lru_cache(KEPT_PICTURES)(self._load)

    def looks(self, pairs: Sequence[UriPair]) -> list[Look]:
        """What became of each pair."""
        return list(self.threads.map(self._look, pairs))

    def traits(self, uris: Sequence[str]) -> list[PictureTraits | None]:
        """What can be seen of pictures one by one; None for those that cannot be read."""

        def one(uri: str) -> PictureTraits | None:
            features = self._features(uri)
            return None if features is None else features.traits

        return list(self.threads.map(one, uris))

    def _look(self, pair: UriPair) -> Look:
        one, other = map(self._features, pair)
        return Look("unreadable") if one is None or other is None else align(one, other)

    def _load(self, uri: str) -> LocalFeatures | None:
        try:
            return local_features(self.read(uri))
        except (OSError, UnreadablePicture):
            return None
