"""The embeddings of an output in FiftyOne: look at the pictures, and at a map of them.

python examples/open_in_fiftyone.py out/embeddings/variant=NAME

FiftyOne wants another OpenCV than lookalike: run this in an environment of its own, which needs
fiftyone and pandas, and nothing of ours.
"""

import sys

import fiftyone
import numpy as np
import pandas as pd


def main(folder: str) -> "fiftyone.Dataset":
    """A dataset with a sample a picture, and its vector in the field `embedding`."""
    table = pd.read_parquet(folder)
    dataset = fiftyone.Dataset()
    dataset.add_samples(
        [
            fiftyone.Sample(
                filepath=row.uri,
                embedding=np.asarray(row.embedding),
                content_hash=row.content_hash,
                metadata=fiftyone.ImageMetadata(
                    size_bytes=row.bytes, width=row.width, height=row.height
                ),
            )
            for row in table.itertuples()
        ]
    )
    print(dataset)
    return dataset


if __name__ == "__main__":
    fiftyone.launch_app(main(*sys.argv[1:])).wait()
