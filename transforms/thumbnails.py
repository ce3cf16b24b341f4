"""Image bytes -> a small picture for a page."""

import base64
import io
from typing import Final

from PIL import Image

from transforms.decoding import decode_picture

SIDE: Final = 176  # pixels of the longer side
QUALITY: Final = 78


def thumbnail_jpeg(data: bytes, side: int = SIDE, quality: int = QUALITY) -> bytes:
    """A JPEG of at most `side` x `side` pixels.

    Raises:
        UnreadablePicture: the bytes cannot be decoded.
    """
    image = Image.fromarray(decode_picture(data, side).pixels[..., :3])
    image.thumbnail((side, side))
    encoded = io.BytesIO()
    image.save(encoded, "JPEG", quality=quality)
    return encoded.getvalue()


def thumbnail(data: bytes, side: int = SIDE, quality: int = QUALITY) -> str:
    """The same as a data: URI."""
    jpeg = thumbnail_jpeg(data, side, quality)
    return "data:image/jpeg;base64," + base64.b64encode(jpeg).decode()
