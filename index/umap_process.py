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
    """Read an .npz of float32 [n, dim] arrays; write one of float32 [n, 2] arrays by the same names."""
    sys.modules["tensorflow"] = None  # type: ignore[assignment]
    warnings.simplefilter("ignore")
    import umap

    with np.load(io.BytesIO(sys.stdin.buffer.read())) as given:
        vectors = {name: given[name] for name in given.files}
    places: dict[str, NDArray[np.float32]] = {}
    for name, units in vectors.items():
        reducer = umap.UMAP(
            n_components=2,
            n_neighbors=min(NEIGHBORS, len(units) - 1),
            metric="cosine",
            random_state=SEED,
        )
        places[name] = reducer.fit_transform(units).astype(np.float32)
    written = io.BytesIO()
    np.savez(written, **places)  # type: ignore[arg-type]
    sys.stdout.buffer.write(written.getvalue())


if __name__ == "__main__":
    main()
