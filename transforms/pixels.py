"""Image bytes -> RGB pixels -> a variant's size: the pinned recipe.

`bilinear-aa-1`: JPEG by libjpeg-turbo's accurate DCT; where a JPEG is large, decoded at 1/2, 1/4
or 1/8 while both sides stay at least twice the target; EXIF orientation applied; RGB, with
transparency laid on white; bilinear with antialiasing to the exact size, in float32; no crop;
values in [0, 1].

The scale of decoding depends on the picture and on the target's class alone (every target up to
224 pixels is one class), never on which other variants share the pass: a picture has one vector.
"""

from __future__ import annotations

import contextlib
import io
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError
from scipy.sparse import csr_array

RECIPE: Final = "bilinear-aa-1"
MAX_PIXELS: Final = 120_000_000  # the largest camera sensors; an RGB array of 360 MB
MAX_SIDE: Final = 100_000  # pixels; JPEG cannot have more than 65,535
LARGEST_USUAL_TARGET: Final = 224
DECODE_MARGIN: Final = 2
STRIPE_BYTES: Final = 32 << 20
WIDE: Final = 4
# Formats whose decoders run in this process on untrusted bytes; EPS, for one, runs Ghostscript.
# A multi-picture MPO opens as JPEG. What this build of Pillow lacks, such as AVIF, is left out.
_WANTED: Final = "JPEG PNG GIF WEBP AVIF BMP DIB TIFF PPM JPEG2000 ICO"
Image.init()
FORMATS: Final = tuple(name for name in _WANTED.split() if name in Image.OPEN)

Size = tuple[int, int]  # height, width


class UnreadablePicture(Exception):
    """Bytes that are not a picture this recipe can read.

    `reason` is one of EmptyFile, NotAnImage, TruncatedFile, DamagedFile, TooManyPixels, OutOfMemory.
    """

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


@dataclass(frozen=True)
class PreparedPicture:
    """A picture as model input.

    Attributes:
        width: in pixels, as displayed.
        height: in pixels, as displayed.
        format: Pillow's name of the file format.
        inputs: float32 [height, width, 3] in [0, 1], by size.
    """

    width: int
    height: int
    format: str
    inputs: Mapping[Size, NDArray[np.float32]]


def prepare_picture(data: bytes, sizes: Collection[Size]) -> PreparedPicture:
    """Decode a picture once, and resize it to every size.

    Raises:
        UnreadablePicture: the bytes are empty, not a picture, truncated, damaged or too large.
    """
    by_class: dict[int, list[Size]] = {}
    for size in sizes:
        by_class.setdefault(max(*size, LARGEST_USUAL_TARGET), []).append(size)
    inputs = {}
    for target, members in sorted(by_class.items()):
        decoded = decode_picture(data, target)
        try:
            inputs.update({size: resize(decoded.pixels, size) for size in members})
        except MemoryError as error:
            raise UnreadablePicture(
                "OutOfMemory", "there is not enough memory to resize it"
            ) from error
    return PreparedPicture(decoded.width, decoded.height, decoded.format, inputs)


@dataclass(frozen=True)
class DecodedPicture:
    """A picture's pixels.

    Attributes:
        pixels: uint8 [height, width, 3], RGB, perhaps scaled down.
        width: of the whole picture as displayed, in pixels.
        height: of the whole picture as displayed, in pixels.
        format: Pillow's name of the file format.
    """

    pixels: NDArray[np.uint8]
    width: int
    height: int
    format: str


def decode_picture(data: bytes, target: int) -> DecodedPicture:
    """The first frame of a picture, at least twice `target` pixels each way where it has them.

    Raises:
        UnreadablePicture: the bytes are empty, not a picture, truncated, damaged or too large.
    """
    if not data:
        raise UnreadablePicture("EmptyFile", "the file has zero bytes")
    try:
        return _decode(data, target)
    except UnreadablePicture:
        raise
    except UnidentifiedImageError:
        raise UnreadablePicture(
            "NotAnImage", f"its {len(data):,} bytes are in no image format that is read here"
        ) from None
    except Image.DecompressionBombError as error:
        raise UnreadablePicture("TooManyPixels", str(error)) from error
    except MemoryError as error:
        raise UnreadablePicture("OutOfMemory", "there is not enough memory to decode it") from error
    except Exception as error:
        # Pillow's decoders raise whatever their parsing stumbles over (OSError, SyntaxError,
        # struct.error, IndexError, ...): here it is the bytes that are wrong, not the code.
        cut_short = isinstance(error, EOFError) or "truncated" in str(error).lower()
        raise UnreadablePicture(
            "TruncatedFile" if cut_short else "DamagedFile", f"{type(error).__name__}: {error}"
        ) from error


def _decode(data: bytes, target: int) -> DecodedPicture:
    with Image.open(io.BytesIO(data), formats=FORMATS) as image:
        width, height = image.size
        if width * height > MAX_PIXELS or max(width, height) > MAX_SIDE:
            raise UnreadablePicture(
                "TooManyPixels",
                f"the picture claims {width} x {height} = {width * height:,} pixels; at most "
                f"{MAX_PIXELS:,} are decoded, and at most {MAX_SIDE:,} a side",
            )
        picture_format = image.format or "unknown"
        least = target * DECODE_MARGIN
        image.draft("RGB", (least, least))
        if _turn_upright(image):
            width, height = height, width
        return DecodedPicture(_rgb(image), width, height, picture_format)


def _turn_upright(image: Image.Image) -> bool:
    """Load the image and turn it as its EXIF orientation says; whether that swapped its sides."""
    image.load()
    before = image.size
    # EXIF parsing raises anything on broken data; viewers, too, show such a picture unturned.
    with contextlib.suppress(Exception):
        ImageOps.exif_transpose(image, in_place=True)
    return image.size != before


def _rgb(image: Image.Image) -> NDArray[np.uint8]:
    """Any Pillow mode as RGB: uint8 [height, width, 3]."""
    if image.mode.startswith(("I", "F")):
        gray = _eight_bits(np.asarray(image))
        return np.repeat(gray[:, :, None], 3, axis=2)
    if "transparency" in image.info or image.mode in ("RGBA", "LA", "PA", "La", "RGBa"):
        layer = image.convert("RGBA")
        white = Image.new("RGBA", layer.size, (255, 255, 255, 255))
        image = Image.alpha_composite(white, layer)
    return np.asarray(image if image.mode == "RGB" else image.convert("RGB"))


def _eight_bits(gray: NDArray[np.generic]) -> NDArray[np.uint8]:
    """Gray values of 16 or 32 bits or floating point in 8 bits: [height, width] -> uint8.

    Pillow's own conversion clips everything above 255 to white.
    """
    values = np.nan_to_num(gray.astype(np.float32))
    if np.issubdtype(gray.dtype, np.floating):
        scale = 255.0 if values.max() <= 1 else 1.0  # both conventions are in use
    else:
        scale = 255 / 65535  # Pillow gives integers beyond 8 bits in the range of 16
    rounded: NDArray[np.uint8] = np.clip(np.rint(values * scale), 0, 255).astype(np.uint8)
    return rounded


def resize(pixels: NDArray[np.uint8], size: Size) -> NDArray[np.float32]:
    """Bilinear with antialiasing, as Pillow and tf.image do it, without rounding to 8 bits.

    Args:
        pixels: uint8 [height, width, 3].
        size: height and width to make.

    Returns:
        float32 [*size, 3] with values in [0, 1].

    >>> resize(np.full((5, 7, 3), 255, np.uint8), (2, 2)).tolist()[0][0]
    [1.0, 1.0, 1.0]
    """
    height, width, _ = pixels.shape
    rows, columns = size
    # Rows first, as pixels lie in memory; but a picture 1 pixel high and 100,000 wide would then be
    # 224 x 100,000 in between.
    if width <= WIDE * height:
        resized = _turned(_resize_rows(_turned(_resize_rows(pixels, rows)), columns))
    else:
        resized = _resize_rows(_turned(_resize_rows(_turned(pixels), columns)), rows)
    scaled: NDArray[np.float32] = np.divide(resized, np.float32(255), dtype=np.float32)
    return np.clip(scaled, 0, 1, out=scaled)  # weights add up to 1 but for rounding


def _turned(pixels: NDArray[Any]) -> NDArray[Any]:
    """Rows as columns: [height, width, 3] -> [width, height, 3]."""
    return pixels.transpose(1, 0, 2)


def _resize_rows(pixels: NDArray[Any], rows: int) -> NDArray[np.float32]:
    """Resize the first axis, a stripe of columns at a time: float32 [rows, width, 3]."""
    height, width, _ = pixels.shape
    weights = _resize_matrix(height, rows)
    resized = np.empty((rows, width, 3), np.float32)
    stripe = max(1, STRIPE_BYTES // (height * 3 * 4))
    for left in range(0, width, stripe):
        part = np.ascontiguousarray(pixels[:, left : left + stripe], np.float32)
        resized[:, left : left + stripe] = (weights @ part.reshape(height, -1)).reshape(rows, -1, 3)
    return resized


@lru_cache(maxsize=512)
def _resize_matrix(source: int, target: int) -> csr_array:
    """The weights of every source pixel in every target pixel: float32 sparse [target, source].

    A triangle as wide as a target pixel (at least a source pixel) around its center, its weights
    scaled to add up to 1.
    """
    scale = source / target
    reach = max(scale, 1.0)
    centers = (np.arange(target) + 0.5) * scale
    first = np.maximum((centers - reach + 0.5).astype(int), 0)
    span = np.arange(int(2 * reach) + 2)
    columns = first[:, None] + span
    weights = 1 - np.abs((columns + 0.5 - centers[:, None]) / reach)
    weights = np.where((weights > 0) & (columns < source), weights, 0)
    weights /= weights.sum(axis=1, keepdims=True)
    row, place = np.nonzero(weights)
    values = weights[row, place].astype(np.float32)
    return csr_array((values, (row, columns[row, place])), shape=(target, source))
