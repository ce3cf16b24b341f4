"""Image bytes -> a small picture for a page, as a data: URI."""

import base64
import io
from typing import Final

from PIL import Image

from transforms.decoding import decode_picture

SIDE: Final = 176  # pixels of the longer side
QUALITY: Final = 78


def thumbnail(data: bytes) -> str:
    """A JPEG of at most SIDE x SIDE pixels as a data: URI.

    Raises:
        UnreadablePicture: the bytes cannot be decoded.
    """
    image = Image.fromarray(decode_picture(data, SIDE).pixels[..., :3])
    image.thumbnail((SIDE, SIDE))
    encoded = io.BytesIO()
    image.save(encoded, "JPEG", quality=QUALITY)
    return "data:image/jpeg;base64," + base64.b64encode(encoded.getvalue()).decode()
