"""The embeddings of an output, batch by batch: what they are, and how alike neighbors in the list are.

python examples/read_embeddings.py out [VARIANT]
"""

import sys

import numpy as np

from index.embedding_dataset import EmbeddingDataset
from index.unit_vectors import unit_vectors


def main(output: str, variant: str | None = None) -> None:
    """Print what the dataset holds, and the cosine of each picture to the one before it."""
    dataset = EmbeddingDataset.open(output, variant)
    space = dataset.space
    print(f"{len(dataset)} pictures, vectors of width {space.num_features} by {space.variant}")
    print(f"module {space.handle}, recipe {space.recipe}, input {space.input_size}")
    for batch in dataset.batches(1024):  # never more than a batch in memory
        units = unit_vectors(batch.vectors)
        cosines = np.einsum("ij,ij->i", units[1:], units[:-1])
        for uri, cosine in zip(batch.pictures["uri"].to_pylist()[1:], cosines, strict=True):
            print(f"{cosine:.3f}  {uri}")


if __name__ == "__main__":
    main(*sys.argv[1:])
