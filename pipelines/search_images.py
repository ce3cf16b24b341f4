"""JOB query images -> neighbors.

lookalike search out --variant mobilenet_v2_100_224 --image query.jpg -k 10
"""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

from index.errors import OutputMissing, UsageError
from pipelines.job import JobReport, flag, positive
from pipelines.module_flags import modules_flag

if TYPE_CHECKING:
    from index.embedding_dataset import EmbeddingDataset
    from index.output_folder import OutputFolder
    from index.vector_index import VectorIndex


@dataclass(frozen=True)
class SearchImages:
    """Search an index: by picture, by a picture of the set, or by vector."""

    output: str = flag("a folder with an index", positional=True, metavar="OUT")
    variant: str | None = flag(
        "whose index; may be left out where there is one", default=None, metavar="NAME"
    )
    image: tuple[str, ...] = flag("picture files", default=(), many=True, metavar="FILE")
    uri: tuple[str, ...] = flag("pictures of the set", default=(), many=True, metavar="URI")
    vector: str | None = flag(
        "a .npy file, [dim] or [queries, dim], of the same variant", default=None, metavar="FILE"
    )
    k: int = flag("neighbors a query", default=10, short="-k", parse=positive, metavar="N")
    filter: str | None = flag(
        "only pictures an SQL condition is true of, such as \"width > 800 and uri like '%/cats/%'\"; it "
        "names id, uri, content_hash, bytes, modified, width, height, format",
        default=None,
        metavar="SQL",
    )
    modules: str | None = modules_flag()
    json: bool = flag("for machines: one JSON object a line", default=False)
    parquet: str | None = flag(
        "write the neighbors there, in place of printing them", default=None, metavar="FILE"
    )
    report: str | None = flag("also write an HTML page here", default=None, metavar="FILE")

    def run(self) -> JobReport:
        """Print the neighbors of every query, best first."""
        if not (self.image or self.uri or self.vector):
            raise UsageError("nothing to search for: give --image, --uri or --vector")
        if self.json and self.parquet is not None:
            raise UsageError("--json prints the neighbors, --parquet writes them: give one of them")
        from index.exact_scores import nearest_pictures
        from index.output_folder import OutputFolder
        from index.vector_index import VectorIndex
        from pipelines.search_queries import queries_by_image, queries_by_uri, queries_by_vector
        from pipelines.search_results import (
            hits_of,
            print_json,
            print_table,
            write_page,
            write_parquet,
        )
        from pipelines.start_beam import start_beam
        from transforms.variants import stored_name

        if self.image or self.report:
            start_beam()  # its filesystems read pictures
        output = OutputFolder.at(self.output)
        name = stored_name(self.variant) or _only_index(output)
        index = VectorIndex.of_variant(output, name)
        among = None if self.filter is None else index.matching(self.filter)
        dataset = _covered(index, output)
        queries = [
            *queries_by_image(self.image, index, self.variant or name, self.modules),
            *queries_by_uri(self.uri, index, dataset),
            *queries_by_vector(self.vector, index),
        ]
        neighbors = nearest_pictures(index, dataset, queries, self.k, among)
        hits = hits_of(queries, neighbors, index)
        if among is not None and not among.any():
            print(f"no picture of the index matches --filter {self.filter!r}", file=sys.stderr)
        if self.parquet is not None:
            write_parquet(self.parquet, hits)
        elif self.json:
            print_json(hits)
        else:
            print_table(hits)
        if self.report:
            write_page(self.report, index, hits)
            print(f"report: {os.path.abspath(self.report)}", file=sys.stderr)
        return JobReport()


def _covered(index: VectorIndex, output: OutputFolder) -> EmbeddingDataset | None:
    """The embeddings an index was made of; None, and a line that says so, where they are others now."""
    from index.embedding_dataset import EmbeddingDataset

    manifest = index.manifest
    try:
        dataset = EmbeddingDataset.open(output, manifest.space.variant)
    except OutputMissing:
        print(
            f"{output.root} holds no embeddings of {manifest.space.variant!r}: scores are computed from "
            "the vectors in the index",
            file=sys.stderr,
        )
        return None
    index.space.require_same(dataset.space)
    if manifest.embeddings == dataset.record.digest:
        return dataset
    print(
        f"the index is behind: it covers {manifest.count:,} pictures of embeddings "
        f"{manifest.embeddings[:16]}…, {output.root} holds {len(dataset):,} of "
        f"{dataset.record.digest[:16]}…; bring it up to date: lookalike index {output.root} --variant "
        f"{manifest.space.variant} --update",
        file=sys.stderr,
    )
    return None


def _only_index(output: OutputFolder) -> str:
    from index.embedding_dataset import only_variant
    from index.output_folder import INDEX

    return only_variant(output.folder(INDEX).variants(), where=f"{output.root}/{INDEX}")
