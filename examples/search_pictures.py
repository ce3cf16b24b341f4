"""A picture -> the most similar ones of an output; among all, and among some.

python examples/search_pictures.py out query.jpg [VARIANT]
"""

import sys

from index.embedding_dataset import EmbeddingDataset
from index.vector_index import VectorIndex
from transforms.image_embedder import ImageEmbedder


def main(output: str, picture: str, variant: str | None = None) -> None:
    """Embed the picture as those of the index were, and print its neighbors."""
    stored = EmbeddingDataset.open(output, variant).space
    index = VectorIndex.of_variant(output, stored.variant)
    embedder = ImageEmbedder.for_space(stored)  # refuses a module with other weights
    vectors = embedder.embed([picture])

    neighbors = index.search(vectors, k=5)
    uris = index.pictures(neighbors.ids[0])["uri"].to_pylist()
    for uri, score in zip(uris, neighbors.scores[0], strict=True):
        print(f"{score:.4f}  {uri}")

    large = index.search(vectors, k=5, among=index.matching("width >= 100"))
    print(f"{(large.ids[0] >= 0).sum()} of those at least 100 pixels wide")


if __name__ == "__main__":
    main(*sys.argv[1:])
