"""Arrays of vectors on standard input -> their places in two dimensions by UMAP, on standard output.

A process of its own: UMAP imports TensorFlow where it is installed, and the compilers of both, loaded
into one process, end it.
"""

from __future__ import annotations

import io
import sys
import warnings

import numpy as np
from numpy.typing import NDArray

NEIGHBORS = 15
SEED = 0


def main() -> None:
    """Read an .npz of float32 [n, dim] arrays; write one of float32 [n, 2] arrays by the same names.

    It compiles itself, on made vectors, before it reads.
    """
    sys.modules["tensorflow"] = None  # type: ignore[assignment]
    warnings.simplefilter("ignore")
    import umap

    def places(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
        neighbors = min(NEIGHBORS, len(vectors) - 1)
        reducer = umap.UMAP(n_neighbors=neighbors, metric="cosine", random_state=SEED)
        found: NDArray[np.float32] = reducer.fit_transform(vectors).astype(np.float32)
        return found

    places(np.random.default_rng(SEED).normal(size=(50, 20)).astype(np.float32))
    with np.load(io.BytesIO(sys.stdin.buffer.read())) as given:
        found = {name: places(given[name]) for name in given.files}
    written = io.BytesIO()
    np.savez(written, **found)  # type: ignore[arg-type]
    sys.stdout.buffer.write(written.getvalue())


if __name__ == "__main__":
    main()
