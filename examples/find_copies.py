"""Groups of copies in an output, each with the picture to keep; nothing is written, nothing is moved.

python examples/find_copies.py out [VARIANT]
"""

import sys
from pathlib import Path

from index.copy_search import find_duplicate_groups
from index.duplicates_manifest import CopySettings
from index.embedding_dataset import EmbeddingDataset
from pipelines.compared_pictures import compare_within
from pipelines.copy_work import OwnCores
from transforms.compared_pictures import PictureComparer
from transforms.work_threads import usable_cores, work_threads


def main(output: str, variant: str | None = None) -> None:
    """Look at the pictures whose embeddings are alike, and print what are copies."""
    compared = compare_within(EmbeddingDataset.open(output, variant))
    cores = usable_cores()
    comparer = PictureComparer(lambda uri: Path(uri).read_bytes(), work_threads(cores))
    search = find_duplicate_groups(compared, CopySettings(), OwnCores(comparer, cores))

    uris = compared.pictures["uri"].to_pylist()
    print(f"{len(search.groups)} groups of copies among {len(uris)} pictures")
    for group in search.groups:
        print(f"keep {uris[group.keep]}")
        for one in group.duplicates:
            print(
                f"     {uris[one.picture]}  {one.kind} {one.change} {one.score:.3f} by {one.proof}"
            )


if __name__ == "__main__":
    main(*sys.argv[1:])
