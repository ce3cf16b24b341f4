"""Arrays -> model inputs: refuses what TensorFlow would take silently, or die of.

A SavedModel signature gives a plausible vector for the wrong height or width and for values in
[0, 255], an error about filter depths for an empty batch, and aborts the process for rank 3.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from index.errors import InvalidInput


def check_images(images: NDArray[Any], input_size: tuple[int, int]) -> NDArray[np.float32]:
    """`images` as model input: float32 [batch, height, width, 3] with values in [0, 1].

    Args:
        images: uint8 [batch, height, width, 3] in [0, 255], or floating point in [0, 1]; RGB.
        input_size: height and width that the module takes.

    Raises:
        InvalidInput: another type, rank, size or number of channels, values outside the range,
            NaN, or no image at all.
    """
    if not isinstance(images, np.ndarray):
        raise InvalidInput(f"images are a {type(images).__name__}; they must be a NumPy array")
    height, width = input_size
    expected = f"[batch, {height}, {width}, 3]"
    if images.ndim != 4:
        raise InvalidInput(
            f"images have shape {images.shape}, rank {images.ndim}; they must have rank 4: {expected}"
        )
    if images.shape[3] != 3:
        raise InvalidInput(f"images have {images.shape[3]} channels; they must have 3: {expected}")
    if images.shape[1:3] != (height, width):
        raise InvalidInput(
            f"images are {images.shape[1]} x {images.shape[2]} pixels (height x width); "
            f"the module takes {height} x {width}"
        )
    if len(images) == 0:
        raise InvalidInput(f"the batch is empty; it must hold at least one image: {expected}")
    if images.dtype == np.uint8:
        return images.astype(np.float32) / np.float32(255)
    if images.dtype not in (np.float16, np.float32, np.float64):
        raise InvalidInput(
            f"images have dtype {images.dtype}; they must be uint8 in [0, 255] or float in [0, 1]"
        )
    low, high = float(images.min()), float(images.max())
    if not (low >= 0 and high <= 1):  # also true where either is NaN
        raise InvalidInput(
            f"images hold values from {low:g} to {high:g}; floating-point images must be in [0, 1] "
            "(divide by 255, or give uint8)"
        )
    return np.ascontiguousarray(images, np.float32)
