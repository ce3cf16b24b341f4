"""JOB Parquet embeddings -> FAISS index.

lookalike index out --variant mobilenet_v2_100_224
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Final

from index.errors import UsageError
from index.output_folder import INDEX, OutputFolder, variant_partition
from index.output_lock import only_writer
from index.publishing import replacing, settle_embeddings, settle_replaced
from pipelines.job import JobReport, above_zero, flag, memory_size
from pipelines.progress_flags import ProgressFlags

if TYPE_CHECKING:
    from apache_beam import Pipeline
    from apache_beam.options.pipeline_options import PipelineOptions

    from index.builder import IndexOptions
    from index.embedding_dataset import EmbeddingDataset
    from index.index_changes import IndexChanges
    from index.manifest import IndexManifest
    from index.progress import Progress, Step
    from index.shards import EncodeShards as EncodeFunction
    from index.shards import Shard
    from transforms.worker_process import WorkerProcess

MIN_RECALL: Final = 0.95


@dataclass(frozen=True)
class BuildIndex(ProgressFlags):
    """Build the nearest-neighbor index of one variant, or bring it up to date, and measure its recall.

    Flags that are not listed here go to Apache Beam, whose workers then encode the vectors:
    --direct_num_workers 2 --direct_running_mode multi_processing, --runner, ...
    """

    output: str = flag("a folder that `lookalike embed` made", positional=True, metavar="OUT")
    variant: str | None = flag(
        "whose embeddings; may be left out where there is one", default=None, metavar="NAME"
    )
    min_recall: float | None = flag(
        f"the recall@10 to reach, {MIN_RECALL} if not given; 1 asks for exact search",
        default=None,
        parse=above_zero,
        metavar="R",
    )
    max_memory: int = flag(
        "what building and searching may take, such as 4GB",
        default=4 << 30,
        parse=memory_size,
        metavar="SIZE",
    )
    factory: str | None = flag(
        "a FAISS factory string, to choose the type of index yourself", default=None, metavar="TEXT"
    )
    update: bool = flag(
        "bring a finished index up to date with the embeddings, its ids kept", default=False
    )
    overwrite: bool = flag("replace a finished index", default=False)
    beam_args: tuple[str, ...] = ()

    def run(self) -> JobReport:
        """Build beside the old index, then rename into place."""
        from index.builder import build_index
        from index.embedding_dataset import EmbeddingDataset
        from transforms.variants import stored_name

        if self.update and (self.overwrite or self.factory or self.min_recall is not None):
            raise UsageError(
                "--update keeps the type and the recall of the index; to choose others, build it again "
                "with --overwrite"
            )
        output = OutputFolder.at(self.output)
        encode = self._encoding()  # a flag that nobody knows is told before anything is touched
        with self.show_progress() as progress, only_writer(output):
            options = self._options(encode, progress)
            settle_embeddings(output)
            dataset = EmbeddingDataset.open(output, stored_name(self.variant))
            indexes, variant = output.folder(INDEX), dataset.space.variant
            place = output.path(f"{INDEX}/{variant_partition(variant)}")
            if self.update:
                return self._bring_up_to_date(output, dataset, options, place)
            with replacing(indexes, variant, overwrite=self.overwrite) as folder:
                manifest = build_index(dataset, folder, options)
        return _report(manifest, place)

    def _bring_up_to_date(
        self, output: OutputFolder, dataset: EmbeddingDataset, options: IndexOptions, place: str
    ) -> JobReport:
        from index.living_index import update_index
        from index.vector_index import VectorIndex

        variant = dataset.space.variant
        settle_replaced(output.folder(INDEX), variant)
        index = VectorIndex.of_variant(output, variant)
        if index.manifest.embeddings == dataset.record.digest:
            return _report(index.manifest, place)
        with replacing(output.folder(INDEX), variant, overwrite=True) as folder:
            manifest, changes = update_index(index, dataset, folder, options)
        return _report(manifest, place, changes)

    def _encoding(self) -> EncodeFunction:
        from index.shards import encode_shards

        if not self.beam_args:
            return encode_shards
        from pipelines.start_beam import start_beam

        return partial(self._encode_on_beam, start_beam(self.beam_args))

    def _options(self, encode: EncodeFunction, progress: Progress) -> IndexOptions:
        from index.builder import IndexOptions

        return IndexOptions(
            max_bytes=self.max_memory,
            min_recall=MIN_RECALL if self.min_recall is None else self.min_recall,
            factory_string=self.factory,
            encode=encode,
            progress=progress,
        )

    def _encode_on_beam(
        self,
        options: PipelineOptions,
        dataset: EmbeddingDataset,
        shards: Sequence[Shard],
        work: OutputFolder,
        step: Step,
    ) -> None:
        """Encode the shards by the workers of a Beam runner."""
        from pipelines.run_on_workers import run_on_workers
        from transforms.encode_shards import EncodeShards

        def wire(pipeline: Pipeline, worker: WorkerProcess) -> None:
            pipeline | "Encode" >> EncodeShards(dataset, shards, work, worker)

        stopped = f"no index was published in {self.output}"
        run_on_workers(options, wire, step, if_it_stops=stopped)


def _report(manifest: IndexManifest, place: str, changes: IndexChanges | None = None) -> JobReport:
    from index.index_report import index_facts, index_figures

    facts, figures = index_facts(manifest), index_figures(manifest)
    if changes is not None:
        counts = {"added": changes.new.num_rows, "removed": changes.gone}
        facts.update({name: f"{count:,}" for name, count in counts.items()})
        figures.update(counts)
    return JobReport({**facts, "output": place}, figures={**figures, "output": place})
