"""Two pictures laid on each other: are they the same picture, and what was done to it?

Points that look alike in both propose a map from one picture to the other (flat: moved, turned, scaled,
stretched, mirrored). The map is then believed only as far as the pixels say: where the two pictures
overlap under it, cell by cell, they must show the same. So two screens with the same buttons, or a
photograph and another one that a picture was pasted on, are not taken for copies, though they share
hundreds of points.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.signal import correlate2d

from index.copy_evidence import Look
from transforms.local_features import CELL, TEXTURE, LocalFeatures, cell_rows

Matrix = NDArray[np.float64]  # [2, 3], affine: x, y of the one picture -> x, y of the other

MOST_RATIO: Final = 0.72  # of squared distances, to the nearest descriptor and to the next (Lowe)
TOLERANCE: Final = 4.0  # pixels between where a point is and where the map has it
LEAST_POINTS: Final = 8  # that a map must have
SURE_POINTS: Final = 25  # so many are no accident: no other map is looked for
SCALES: Final = (0.2, 5.0)
MOST_STRETCH: Final = 1.8
LEAST_CORRELATION: Final = 0.6  # of two cells that show the same
# Of 22,000 pairs among copies of 125 photographs by 30 transformations, those that share a photograph
# agree in 0.8 of their cells or more (98.7%), those that do not in at most 0.73, nearly all below 0.67.
LEAST_AGREEMENT: Final = 0.8
LEAST_OVERLAP: Final = 0.8  # of what the one picture shows, within the frame of the other
# What covers a part of a picture, such as a logo, is smaller than a square of so many cells; where all
# of such a square differs, something else is shown there.
SQUARE: Final = 4
MOST_OF_SQUARE: Final = 0.75
DECIDABLE_POINTS: Final = 40  # with fewer in a picture, points that do not match prove nothing
DECIDABLE_CELLS: Final = 12
SAME_FRAME: Final = 0.04  # of a side: by how much corners may miss each other


@dataclass(frozen=True)
class _Map:
    matrix: Matrix
    points: int
    mirrored: bool


@dataclass(frozen=True)
class _Overlap:
    """Seen in the frame of one picture: how much of it the other covers, and how far they agree there.

    Attributes:
        covered: the share of its cells that are not flat and lie within the other.
        agreement: the share of the compared cells that show the same.
        has_other_part: whether a whole square of cells shows something else.
    """

    covered: float
    agreement: float
    has_other_part: bool


def align(one: LocalFeatures, other: LocalFeatures) -> Look:
    """Whether two pictures show the same, wholly or the one within the other.

    The order of the two does not matter.
    """
    if (len(other.points), other.traits.sharpness) < (len(one.points), one.traits.sharpness):
        one, other = other, one
    found = _find_map(one, other, mirrored=False)
    if found is None or found.points < SURE_POINTS:
        turned = _find_map(one.mirrored(), other, mirrored=True)
        if turned is not None and (found is None or turned.points > found.points):
            found = turned
    agreement = 0.0
    if found is not None and found.points >= LEAST_POINTS:
        first = one.mirrored() if found.mirrored else one
        there = _overlap(first.gray, other.gray, found.matrix)
        back = _overlap(other.gray, first.gray, cv2.invertAffineTransform(found.matrix))
        inner = max(there, back, key=lambda overlap: overlap.covered)
        if inner.covered >= LEAST_OVERLAP and not inner.has_other_part:
            agreement = inner.agreement
        if agreement >= LEAST_AGREEMENT:
            return Look("same", agreement, _describe(found, one, other))
    decidable = all(_shows_enough(picture) for picture in (one, other))
    return Look("different" if decidable else "undecided", agreement)


def _find_map(one: LocalFeatures, other: LocalFeatures, *, mirrored: bool) -> _Map | None:
    """The map that most pairs of alike points agree on."""
    if min(len(one.points), len(other.points)) < LEAST_POINTS:
        return None
    likeness = _root(one.descriptors) @ _root(other.descriptors).T
    forth, back = _clear_matches(likeness), _clear_matches(likeness.T)[:, ::-1]
    matches = np.unique(np.concatenate([forth, back]), axis=0)
    if len(matches) < LEAST_POINTS:
        return None
    here, there = one.points[matches[:, 0]], other.points[matches[:, 1]]
    cv2.setRNGSeed(0)
    matrix, agrees = cv2.estimateAffine2D(
        here,
        there,
        method=cv2.RANSAC,
        ransacReprojThreshold=TOLERANCE,
        maxIters=500,
        confidence=0.99,
    )
    if matrix is None:
        return None
    large, small = np.linalg.svd(matrix[:, :2], compute_uv=False)
    if small < SCALES[0] or large > SCALES[1] or large > MOST_STRETCH * small:
        return None
    chosen = agrees.ravel() > 0
    # Many points of the one that meet in one of the other are one point.
    points = min(len(np.unique(np.rint(side[chosen]), axis=0)) for side in (here, there))
    return _Map(matrix, points, mirrored)


def _clear_matches(likeness: NDArray[np.float32]) -> NDArray[np.int64]:
    """Points and their nearest ones, where none other is nearly as near: int64 [matches, 2]."""
    rows = np.arange(len(likeness))
    nearest = likeness.argmax(axis=1)
    best = likeness[rows, nearest]
    others = likeness.copy()
    others[rows, nearest] = -1
    clear = np.flatnonzero(1 - best < MOST_RATIO * (1 - others.max(axis=1)))
    return np.stack([clear, nearest[clear]], axis=1)


def _root(descriptors: NDArray[np.uint8]) -> NDArray[np.float32]:
    """RootSIFT: float32 [n, 128] of length one, whose inner product is Hellinger's likeness."""
    wide = descriptors.astype(np.float32)
    rooted: NDArray[np.float32] = np.sqrt(wide / np.maximum(wide.sum(axis=1, keepdims=True), 1))
    return rooted


def _overlap(frame: NDArray[np.uint8], other: NDArray[np.uint8], matrix: Matrix) -> _Overlap:
    """Compare, in the frame of one picture, its cells with those of another brought there.

    Args:
        frame: uint8 [height, width].
        other: uint8, any size.
        matrix: from `frame` to `other`.
    """
    height, width = frame.shape
    back = cv2.invertAffineTransform(matrix)
    brought = cv2.warpAffine(other, back, (width, height))
    shown = cv2.warpAffine(np.full_like(other, 255), back, (width, height), flags=cv2.INTER_NEAREST)
    # What is brought from a smaller scale is blurred; so both are.
    scale = math.sqrt(abs(np.linalg.det(matrix[:, :2])))
    here = cv2.GaussianBlur(frame.astype(np.float32), (0, 0), max(1.5, 1 / scale))
    there = cv2.GaussianBlur(brought.astype(np.float32), (0, 0), 1.5)

    inside = cell_rows(shown).min(axis=1) > 0
    ours, theirs = cell_rows(here), cell_rows(there)
    ours -= ours.mean(axis=1, keepdims=True)
    theirs -= theirs.mean(axis=1, keepdims=True)
    norms = np.linalg.norm(ours, axis=1), np.linalg.norm(theirs, axis=1)
    correlation = np.einsum("ij,ij->i", ours, theirs) / np.maximum(norms[0] * norms[1], 1e-6)
    textured = norms[0] > TEXTURE * CELL
    compared = inside & (textured | (norms[1] > TEXTURE * CELL))
    agreeing = compared & (correlation > LEAST_CORRELATION)
    return _Overlap(
        covered=float((inside & textured).sum() / max(textured.sum(), 1)),
        agreement=float(agreeing.sum() / max(compared.sum(), 1)),
        has_other_part=_has_other_part(compared & ~agreeing, compared, height // CELL),
    )


def _has_other_part(differing: NDArray[np.bool_], compared: NDArray[np.bool_], rows: int) -> bool:
    """Whether nearly all of some square of cells differs: of bool [cells], row by row."""
    grids = [mask.reshape(rows, -1).astype(np.float32) for mask in (differing, compared)]
    if min(grids[0].shape) < SQUARE:
        return False
    window = np.ones((SQUARE, SQUARE), np.float32)
    sums = [correlate2d(grid, window, mode="valid") for grid in grids]
    enough = sums[1] >= MOST_OF_SQUARE * SQUARE**2
    return bool((enough & (sums[0] >= MOST_OF_SQUARE * sums[1])).any())


def _shows_enough(picture: LocalFeatures) -> bool:
    textured = int((cell_rows(picture.gray).std(axis=1) > TEXTURE).sum())
    return len(picture.points) >= DECIDABLE_POINTS and textured >= DECIDABLE_CELLS


def _describe(found: _Map, one: LocalFeatures, other: LocalFeatures) -> str:
    """In words, what the map does; nothing where it lays frame on frame."""
    (height, width), (other_height, other_width) = one.gray.shape, other.gray.shape
    corners = np.array([(0, 0), (width, 0), (width, height), (0, height)], np.float64)
    mapped = corners @ found.matrix[:, :2].T + found.matrix[:, 2]
    shares = mapped / (other_width, other_height)
    angle = math.degrees(math.atan2(found.matrix[1, 0], found.matrix[0, 0]))
    words = ["mirrored"] if found.mirrored else []
    if abs(angle) > 2:
        words.append(f"turned {abs(angle):.0f}°")
    targets = {tuple(corner) for corner in np.rint(shares).astype(int).tolist()}
    fills = targets == {(0, 0), (1, 0), (1, 1), (0, 1)}
    is_upright = abs(abs(angle) % 90 - 45) > 43  # turned by 5°, corners miss each other anyway
    if is_upright and (not fills or np.abs(shares - np.rint(shares)).max() > SAME_FRAME):
        words.append("cropped or framed")
    return ", ".join(words)
