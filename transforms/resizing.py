"""RGBX pixels -> a smaller picture in floating point: bilinear, antialiased.

What Pillow and tf.image do, without rounding to 8 bits. Pixels keep a fourth, unused channel until
the end: a pixel is then one machine word, and turning rows into columns costs a tenth.
"""

from __future__ import annotations

from collections.abc import Collection
from functools import lru_cache
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

STRIPE_BYTES: Final = 32 << 20
WIDE: Final = 4
# A pixel as one word: RGBX in 8 bits, RGBX in float32, and the RGB of the latter.
_BYTES_WORD: Final = np.dtype(np.uint32)
_FLOATS_WORD: Final = np.dtype(np.complex128)
_RGB: Final = np.dtype("V12")
_RGB_OF_RGBX: Final = np.dtype({"names": ["rgb"], "formats": [_RGB], "itemsize": 16})

Size = tuple[int, int]  # height, width


def resize(pixels: NDArray[np.uint8] | NDArray[np.float32], size: Size) -> NDArray[np.float32]:
    """Bilinear with antialiasing to the exact size; no crop.

    Args:
        pixels: uint8 or float32 [height, width, 4], RGBX in [0, 255].
        size: height and width to make.

    Returns:
        float32 [*size, 3], RGB in [0, 1].

    >>> resize(np.full((5, 7, 4), 255, np.uint8), (2, 2)).tolist()[0][0]
    [1.0, 1.0, 1.0]
    """
    height, width, _ = pixels.shape
    rows, columns = size
    # Rows first, as pixels lie in memory; but a picture 1 pixel high and 100,000 wide would then be
    # 224 x 100,000 in between.
    if width <= WIDE * height:
        upright = _resize_rows(pixels, rows)
        turned = _resize_rows(turn_pixels(upright), columns, weight=1 / 255)
        words = turned.reshape(columns, -1).view(_RGB_OF_RGBX)["rgb"].T
    else:
        turned = _resize_rows(turn_pixels(pixels), columns)
        upright = _resize_rows(turn_pixels(turned), rows, weight=1 / 255)
        words = upright.reshape(rows, -1).view(_RGB_OF_RGBX)["rgb"]
    resized = np.empty((rows, columns, 3), np.float32)
    resized.view(_RGB)[..., 0] = words
    return np.minimum(resized, 1, out=resized)  # weights add up to 1 but for rounding


def resize_all(
    pixels: NDArray[np.uint8], sizes: Collection[Size]
) -> dict[Size, NDArray[np.float32]]:
    """`resize` to every size; a small picture is turned into floating point once for all of them."""
    is_small = pixels.size * 4 <= STRIPE_BYTES
    shared = pixels.astype(np.float32) if is_small and len(sizes) > 1 else pixels
    return {size: resize(shared, size) for size in sizes}


def turn_pixels(pixels: NDArray[Any]) -> NDArray[Any]:
    """Rows as columns, in memory too: uint8 or float32 [height, width, 4] -> [width, height, 4]."""
    height, width, _ = pixels.shape
    word = _BYTES_WORD if pixels.dtype == np.uint8 else _FLOATS_WORD
    words = np.ascontiguousarray(pixels).reshape(height, -1).view(word)
    return np.ascontiguousarray(words.T).view(pixels.dtype).reshape(width, height, 4)


def _resize_rows(
    pixels: NDArray[np.uint8] | NDArray[np.float32], rows: int, weight: float = 1
) -> NDArray[np.float32]:
    """Resize the first axis, a stripe of columns at a time: float32 [rows, width, 4].

    Every value is multiplied by `weight` on the way.
    """
    height, width, _ = pixels.shape
    weights = _resize_matrix(height, rows, weight)
    stripe = max(1, STRIPE_BYTES // (height * 4 * 4))
    if stripe >= width:
        whole = pixels.reshape(height, -1).astype(np.float32, copy=False)
        return np.asarray(weights @ whole).reshape(rows, width, 4)
    resized = np.empty((rows, width, 4), np.float32)
    for left in range(0, width, stripe):
        part = np.ascontiguousarray(pixels[:, left : left + stripe], np.float32)
        resized[:, left : left + stripe] = (weights @ part.reshape(height, -1)).reshape(rows, -1, 4)
    return resized


@lru_cache(maxsize=512)
def _resize_matrix(source: int, target: int, weight: float) -> csr_array:
    """The weights of every source pixel in every target pixel: float32 sparse [target, source].

    A triangle as wide as a target pixel (at least a source pixel) around its center; the weights of
    a target pixel add up to `weight`.
    """
    scale = source / target
    reach = max(scale, 1.0)
    centers = (np.arange(target) + 0.5) * scale
    first = np.maximum((centers - reach + 0.5).astype(int), 0)
    span = np.arange(int(2 * reach) + 2)
    columns = first[:, None] + span
    weights = 1 - np.abs((columns + 0.5 - centers[:, None]) / reach)
    weights = np.where((weights > 0) & (columns < source), weights, 0)
    weights *= weight / weights.sum(axis=1, keepdims=True)
    row, place = np.nonzero(weights)
    values = weights[row, place].astype(np.float32)
    return csr_array((values, (row, columns[row, place])), shape=(target, source))
