"""Image bytes -> what two pictures are compared by: a small gray picture and its SIFT features."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray

from index.keep_policy import PictureTraits
from transforms.decoding import decode_picture

SIDE: Final = 256  # pixels of the longer side; at 200 and at 320 as many copies were found
CELL: Final = 16  # pixels: pictures are compared cell by cell
LEAST_SIDE: Final = CELL
FLAT: Final = 6  # gray levels about the middle one of a line
MOST_OF_A_LINE: Final = 0.8
TEXTURE: Final = 3.0  # gray levels that a cell must vary by to show something: deviation
POINTS: Final = 300
_CONTRAST: Final = 0.02  # half of OpenCV's own threshold: blurred copies keep points
# SIFT's descriptor is 4 x 4 places of 8 directions each. In a mirror, the rows change places and the
# directions turn the other way round.
_PLACES: Final = np.arange(128).reshape(4, 4, 8)
_MIRRORED: Final = _PLACES[::-1][:, :, -np.arange(8) % 8].ravel()

cv2.setNumThreads(1)  # the threads of a process compare different pictures


@dataclass(frozen=True)
class LocalFeatures:
    """A picture as it is compared.

    Attributes:
        gray: uint8 [height, width], the longer side SIDE.
        points: float32 [n, 2], x and y in `gray`.
        descriptors: uint8 [n, 128], SIFT.
        traits: how sharp the picture is, and how much of it shows something.
    """

    gray: NDArray[np.uint8]
    points: NDArray[np.float32]
    descriptors: NDArray[np.uint8]
    traits: PictureTraits

    def mirrored(self) -> LocalFeatures:
        """Those of the picture in a mirror, left and right changed."""
        points = self.points.copy()
        points[:, 0] = self.gray.shape[1] - 1 - points[:, 0]
        turned = np.ascontiguousarray(self.gray[:, ::-1])
        return LocalFeatures(turned, points, self.descriptors[:, _MIRRORED], self.traits)


def local_features(data: bytes) -> LocalFeatures:
    """The features of a picture.

    Raises:
        UnreadablePicture: the bytes cannot be decoded.
    """
    rgb = np.ascontiguousarray(decode_picture(data, SIDE).pixels[..., :3])
    gray = cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY)
    height, width = gray.shape
    factor = SIDE / max(height, width)
    size = max(LEAST_SIDE, round(width * factor)), max(LEAST_SIDE, round(height * factor))
    how = cv2.INTER_AREA if factor < 1 else cv2.INTER_LINEAR
    small = cv2.resize(gray, size, interpolation=how)
    sift = cv2.SIFT_create(nfeatures=POINTS, contrastThreshold=_CONTRAST)
    points, descriptors = sift.detectAndCompute(small, None)
    if descriptors is None:
        points, descriptors = (), np.empty((0, 128), np.float32)
    return LocalFeatures(
        gray=small.astype(np.uint8, copy=False),
        points=np.array([point.pt for point in points], np.float32).reshape(-1, 2),
        descriptors=descriptors.astype(np.uint8),
        traits=PictureTraits(
            sharpness=float(cv2.Laplacian(small, cv2.CV_64F).var()),
            filled=_filled(small),
        ),
    )


def _filled(gray: NDArray[np.uint8]) -> float:
    """The share of a picture's area within its borders.

    Borders are flat lines on two opposite sides: a sky above has no sky below. A few words beside the
    picture, as on the screen of a phone, leave a border a border.
    """
    inside = 1.0
    for lines in (gray, gray.T):
        near = np.abs(lines - np.median(lines, axis=1, keepdims=True)) <= FLAT
        is_flat = near.mean(axis=1) >= MOST_OF_A_LINE
        half = len(lines) // 2
        inside *= 1 - min(is_flat[:half].mean(), is_flat[half:].mean())
    return float(inside)


def cell_rows(picture: NDArray[np.generic]) -> NDArray[Any]:
    """The pixels of each cell of CELL x CELL: [cells, CELL * CELL]; what is left over is not."""
    rows, columns = picture.shape[0] // CELL, picture.shape[1] // CELL
    cut = picture[: rows * CELL, : columns * CELL].reshape(rows, CELL, columns, CELL)
    cells: NDArray[Any] = cut.transpose(0, 2, 1, 3).reshape(rows * columns, CELL * CELL)
    return cells
