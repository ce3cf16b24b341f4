"""Pairs of pictures -> what laying them on each other shows, on all cores."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final, TypeVar

from index.copy_evidence import Look
from index.copy_task import PictureId, PicturePair
from index.keep_policy import PictureTraits
from index.progress import UNSHOWN, Advance
from transforms.alignment import align
from transforms.local_features import LocalFeatures, local_features
from transforms.unreadable_picture import UnreadablePicture

KEPT_PICTURES: Final = 4096  # whose features are in memory: 90 KB each
TOLD: Final = 16  # as many as take about a second

ReadBytes = Callable[[str], bytes]
Seen = TypeVar("Seen")


@dataclass
class PictureComparer:
    """Compares pictures; the features of those it has seen lately are kept.

    Attributes:
        read: the bytes of a picture; OSError where they cannot be read.
        threads: what works.
    """

    read: ReadBytes
    threads: Executor
    _features: Callable[[PictureId], LocalFeatures | None] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self._features = lru_cache(KEPT_PICTURES)(self._load)

    def looks(self, pairs: Sequence[PicturePair], advance: Advance = UNSHOWN.advance) -> list[Look]:
        """What became of each pair; a picture changed since it was embedded is as one that is gone."""
        return _told(self.threads.map(self._look, pairs), advance)

    def traits(
        self, pictures: Sequence[PictureId], advance: Advance = UNSHOWN.advance
    ) -> list[PictureTraits | None]:
        """What can be seen of pictures one by one; None for those that cannot be read."""

        def one(picture: PictureId) -> PictureTraits | None:
            features = self._features(picture)
            return None if features is None else features.traits

        return _told(self.threads.map(one, pictures), advance)

    def _look(self, pair: PicturePair) -> Look:
        one, other = map(self._features, pair)
        return Look("unreadable") if one is None or other is None else align(one, other)

    def _load(self, picture: PictureId) -> LocalFeatures | None:
        uri, content_hash = picture
        try:
            data = self.read(uri)
            is_same = hashlib.sha256(data).hexdigest() == content_hash
            return local_features(data) if is_same else None
        except (OSError, UnreadablePicture):
            return None


def _told(results: Iterable[Seen], advance: Advance) -> list[Seen]:
    """All of them; every TOLD of them count as they come."""
    seen = []
    for result in results:
        seen.append(result)
        if len(seen) % TOLD == 0:
            advance(TOLD)
    advance(len(seen) % TOLD)
    return seen
