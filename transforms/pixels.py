"""Image bytes -> a variant's model input: the pinned recipe.

`bilinear-aa-1`: JPEG by libjpeg-turbo's accurate DCT; where a JPEG is large, decoded at 1/2, 1/4
or 1/8 while both sides stay at least twice the target; EXIF orientation applied; RGB, with
transparency laid on white; bilinear with antialiasing to the exact size, in float32; no crop;
values in [0, 1].

The scale of decoding depends on the picture and on the target's class alone (every target up to
224 pixels is one class), never on which other variants share the pass: a picture has one vector.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from transforms.decoding import decoded_picture
from transforms.resizing import Size, resize_all
from transforms.unreadable_picture import UnreadablePicture

RECIPE: Final = "bilinear-aa-1"
LARGEST_USUAL_TARGET: Final = 224


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
    """Decode a picture once, and resize it to every size (of which there is at least one).

    It is decoded again only for targets that a scaled JPEG is too small for.

    Raises:
        UnreadablePicture: the bytes are empty, not a picture, truncated, damaged or too large.
    """
    by_class: dict[int, list[Size]] = {}
    for size in sizes:
        by_class.setdefault(max(*size, LARGEST_USUAL_TARGET), []).append(size)
    inputs: dict[Size, NDArray[np.float32]] = {}
    targets = sorted(by_class)
    while targets:
        with decoded_picture(data, targets[0]) as decoded:
            served = [target for target in targets if decoded.suits(target)]
            members = [size for target in served for size in by_class[target]]
            try:
                inputs |= resize_all(decoded.pixels, members)
            except MemoryError as error:
                raise UnreadablePicture(
                    "OutOfMemory", "there is not enough memory to resize it"
                ) from error
        targets = [target for target in targets if target not in served]
    return PreparedPicture(decoded.width, decoded.height, decoded.format, inputs)
