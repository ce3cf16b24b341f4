"""The embeddings of an output as a Hugging Face dataset, with its own nearest-neighbor search.

python examples/open_in_datasets.py out/embeddings/variant=NAME
"""

import sys
from pathlib import Path

import numpy as np
from datasets import Dataset


def main(folder: str) -> None:
    """Print the features, and the pictures most like the first."""
    parts = sorted(str(path) for path in Path(folder).glob("*.parquet"))
    dataset = Dataset.from_parquet(parts).with_format("numpy")
    print(dataset.features)
    dataset.add_faiss_index("embedding")
    scores, nearest = dataset.get_nearest_examples(
        "embedding", np.float32(dataset[0]["embedding"]), k=5
    )
    for distance, uri in zip(scores, nearest["uri"], strict=True):
        print(f"{distance:.3f}  {uri}")


if __name__ == "__main__":
    main(*sys.argv[1:])
