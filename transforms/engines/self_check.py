"""Does an engine give the vectors that TensorFlow gives?"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final

import numpy as np
from numpy.typing import NDArray

from index.errors import EngineUnavailable, first_line
from index.unit_vectors import unit_vectors
from transforms.engines.engine import Precision
from transforms.resizing import Size, resize

PROBES: Final = 4
# Below these an engine is refused. What was measured: docs/decisions/0008.
LEAST_COSINE: Final[Mapping[Precision, float]] = MappingProxyType(
    {"float32": 0.9999, "bfloat16": 0.995}
)


def probe_pictures(size: Size) -> NDArray[np.float32]:
    """Pictures to compare engines on: float32 [PROBES, *size, 3] in [0, 1].

    Fields of color from broad to fine with some grain, as photographs have both; always the same.
    """
    rng = np.random.default_rng(0)
    pictures = np.empty((PROBES, *size, 3), np.float32)
    for number in range(PROBES):
        side = 3 * 2**number
        field = resize(rng.integers(0, 256, (side, side, 4), np.uint8), size)
        grain = rng.normal(0, 0.05, field.shape).astype(np.float32)
        pictures[number] = np.clip(field + grain, 0, 1)
    return pictures


def check_engine(
    name: str,
    precision: Precision,
    run: Callable[[NDArray[np.float32]], NDArray[np.float32]],
    size: Size,
    reference: NDArray[np.float32],
) -> float:
    """The least cosine between an engine's vectors of the probe pictures and TensorFlow's.

    Args:
        name: the engine's.
        precision: of its arithmetic.
        run: float32 [1, *size, 3] -> [1, dim].
        size: of the module's input.
        reference: float32 [PROBES, dim], TensorFlow's vectors of `probe_pictures(size)`.

    Raises:
        EngineUnavailable: it is below the bound, or the engine fails on a picture.
    """
    try:
        vectors = np.concatenate([run(picture[None]) for picture in probe_pictures(size)])
    except Exception as error:  # whatever the engine's library raises
        raise EngineUnavailable(
            f"engine {name} fails on a picture ({type(error).__name__}: {first_line(error)})"
        ) from error
    worst = worst_cosine(vectors, reference)
    if not worst >= LEAST_COSINE[precision]:  # also true for NaN
        raise EngineUnavailable(
            f"engine {name} in {precision} does not give TensorFlow's vectors: its worst cosine of "
            f"{PROBES} pictures is {worst:.6f}, at least {LEAST_COSINE[precision]} is asked"
        )
    return worst


def worst_cosine(vectors: NDArray[np.float32], reference: NDArray[np.float32]) -> float:
    """The least cosine of a row of one to its row of the other; NaN where one holds NaN.

    Rows of zeros in both are equal.
    """
    cosines = np.sum(unit_vectors(vectors) * unit_vectors(reference), axis=1)
    cosines[~vectors.any(axis=1) & ~reference.any(axis=1)] = 1
    return min(float(cosines.min()), 1.0)
