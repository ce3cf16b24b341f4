"""A picture of the set -> a small JPEG of it, as it is now."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from pipelines.service.remembered import Remembered
from transforms.thumbnails import thumbnail_jpeg
from transforms.unreadable_picture import UnreadablePicture

REMEMBERED_BYTES: Final = 64 << 20
ReadFile = Callable[[str], bytes]


class PictureGone(Exception):
    """A picture of the set that cannot be read any more."""


class PictureFiles:
    """Reads pictures by the URIs that an index has; nobody else names what is read.

    Args:
        read: URI -> the bytes of its file.
        threads: that read and decode.
    """

    def __init__(self, read: ReadFile, threads: int) -> None:
        self._read = read
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="thumbnails")
        self._jpegs: Remembered[bytes] = Remembered(REMEMBERED_BYTES, len)

    async def thumbnail(self, uri: str, version: str, side: int) -> bytes:
        """A JPEG of at most side x side pixels.

        Args:
            uri: of a picture of the set.
            version: what its file was when it was embedded.
            side: in pixels.

        Raises:
            PictureGone: it cannot be read now.
        """
        key = (uri, version, side)
        known = self._jpegs.get(key)
        if known is None:
            loop = asyncio.get_running_loop()
            known = await loop.run_in_executor(self._threads, self._make, uri, side)
            self._jpegs.put(key, known)
        return known

    def close(self) -> None:
        """Begin nothing more."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _make(self, uri: str, side: int) -> bytes:
        try:
            return thumbnail_jpeg(self._read(uri), side)
        except (OSError, UnreadablePicture) as error:
            raise PictureGone(f"{uri} cannot be shown: {error}") from error
