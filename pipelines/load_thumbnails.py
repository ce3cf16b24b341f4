"""The URIs of pictures -> what a page shows of them."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial

from transforms.read_bytes import read_bytes
from transforms.thumbnails import QUALITY, SIDE, thumbnail
from transforms.unreadable_picture import UnreadablePicture
from transforms.work_threads import usable_cores, work_threads


def load_thumbnail(uri: str, side: int = SIDE, quality: int = QUALITY) -> str | None:
    """A data: URI; None where the picture is gone, or was never one."""
    try:
        return thumbnail(read_bytes(uri), side, quality)
    except (OSError, UnreadablePicture):
        return None


def load_thumbnails(
    uris: Iterable[str], side: int = SIDE, quality: int = QUALITY
) -> dict[str, str | None]:
    """The same for many, each once, by all cores."""
    wanted = list(dict.fromkeys(uris))
    load = partial(load_thumbnail, side=side, quality=quality)
    return dict(zip(wanted, work_threads(usable_cores()).map(load, wanted), strict=True))
