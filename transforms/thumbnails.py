"""Image bytes -> a small picture for a page."""

import base64
import io
from typing import Final

from PIL import Image

from transforms.decoding import decode_picture

SIDE: Final = 176  # pixels of the longer side
QUALITY: Final = 78


def thumbnail_jpeg(data: bytes, side: int = SIDE) -> bytes:
    """A JPEG of at most side x side pixels.

    Raises:
        UnreadablePicture: the bytes cannot be decoded.
    """
    image = Image.fromarray(decode_picture(data, side).pixels[..., :3])
    image.thumbnail((side, side))
    encoded = io.BytesIO()
    image.save(encoded, "JPEG", quality=QUALITY)
    return encoded.getvalue()


def thumbnail(data: bytes, side: int = SIDE) -> str:
    """The same as a data: URI."""
    return "data:image/jpeg;base64," + base64.b64encode(thumbnail_jpeg(data, side)).decode()
