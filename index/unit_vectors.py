"""Vectors -> vectors of length one, whose inner product is their cosine."""

import numpy as np
from numpy.typing import NDArray

from index.errors import InvalidInput


def unit_vectors(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """Vectors scaled to length one: float32 [n, dim] -> float32 [n, dim]; zero vectors stay zero.

    >>> unit_vectors(np.array([[3.0, 4.0], [0.0, 0.0]], np.float32)).tolist()
    [[0.6000000238418579, 0.800000011920929], [0.0, 0.0]]
    """
    # In float64: the squares of small or large float32 numbers are zero or infinite in float32.
    squares = np.einsum("ij,ij->i", vectors, vectors, dtype=np.float64)
    lengths = np.sqrt(squares)[:, None]
    if len(lengths) == 0 or lengths.max() <= np.finfo(np.float32).max:
        lengths = lengths.astype(np.float32)
    return np.ascontiguousarray(vectors / np.where(lengths == 0, 1, lengths), np.float32)


def check_vectors(vectors: NDArray[np.float32], dim: int) -> NDArray[np.float32]:
    """`vectors` as float32 [n, dim]; InvalidInput unless they are that, finite and at least one."""
    array = np.asarray(vectors)
    if not np.issubdtype(array.dtype, np.floating):
        raise InvalidInput(f"vectors have dtype {array.dtype}; they must be floating point")
    if array.ndim != 2 or array.shape[1] != dim:
        raise InvalidInput(f"vectors have shape {array.shape}; they must be [n, {dim}]")
    if len(array) == 0:
        raise InvalidInput("there are no vectors; at least one is needed")
    with np.errstate(over="ignore"):
        narrow = np.ascontiguousarray(array, np.float32)
    if not np.isfinite(narrow).all():
        raise InvalidInput(
            "vectors hold NaN, infinity, or more than float32 holds; every number must be finite"
        )
    return narrow
