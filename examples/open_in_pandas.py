"""The embeddings of an output in pandas, and clusters of them by NumPy alone.

python examples/open_in_pandas.py out/embeddings/variant=NAME
"""

import sys

import numpy as np
import pandas as pd


def main(folder: str) -> None:
    """Print the table, and the two pictures that are the least like all others."""
    table = pd.read_parquet(folder)
    print(table.drop(columns="embedding").head())
    vectors = np.stack(table["embedding"].to_numpy())
    units = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    table["alike"] = units @ units.mean(axis=0)
    print(vectors.shape, vectors.dtype)
    print(table.nsmallest(2, "alike")[["uri", "alike"]].to_string())


if __name__ == "__main__":
    main(*sys.argv[1:])
