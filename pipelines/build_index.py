"""JOB Parquet embeddings -> FAISS index.

lookalike index out --variant mobilenet_v2_100_224
"""

from __future__ import annotations

from dataclasses import dataclass

from pipelines.job import JobReport, above_zero, flag, memory_size


@dataclass(frozen=True)
class BuildIndex:
    """Build the nearest-neighbor index of one variant, and measure its recall."""

    output: str = flag("a folder that `lookalike embed` made", positional=True, metavar="OUT")
    variant: str | None = flag(
        "whose embeddings; may be left out where there is one", default=None, metavar="NAME"
    )
    min_recall: float = flag(
        "the recall@10 to reach; 1 asks for exact search",
        default=0.95,
        parse=above_zero,
        metavar="R",
    )
    max_memory: int = flag(
        "what the index may take, such as 4GB", default=4 << 30, parse=memory_size, metavar="SIZE"
    )
    factory: str | None = flag(
        "a FAISS factory string, to choose the type of index yourself", default=None, metavar="TEXT"
    )
    overwrite: bool = flag("replace a finished index", default=False)

    def run(self) -> JobReport:
        """Build beside the old index, then rename into place."""
        from index.builder import IndexOptions, build_index
        from index.embedding_dataset import EmbeddingDataset
        from index.output_folder import INDEX, OutputFolder, variant_partition
        from index.output_lock import only_writer
        from index.publishing import replacing, settle_embeddings
        from transforms.variants import stored_name

        output = OutputFolder.at(self.output)
        options = IndexOptions(self.max_memory, self.min_recall, self.factory)
        with only_writer(output):
            settle_embeddings(output)
            dataset = EmbeddingDataset.open(output, stored_name(self.variant))
            indexes, variant = output.folder(INDEX), dataset.space.variant
            with replacing(indexes, variant, overwrite=self.overwrite) as folder:
                manifest = build_index(dataset, folder, options)
        recall = manifest.recall_at_10
        return JobReport(
            {
                "vectors": f"{manifest.count:,} of width {dataset.space.num_features}",
                "index": manifest.factory_string,
                "search": manifest.search_parameters or "exhaustive",
                "recall@10": "not measurable" if recall is None else f"{recall:.4f}",
                "bytes a vector": f"{manifest.index_file.size / manifest.count:,.0f}",
                "output": output.path(f"{INDEX}/{variant_partition(variant)}"),
            }
        )
