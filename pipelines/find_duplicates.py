"""JOB embeddings -> groups of copies, with the evidence for each; nothing is ever deleted.

lookalike dedup out --variant mobilenet_v2_100_224
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from index.duplicates_manifest import PRECISION, CopySettings, DuplicatesManifest
from index.duplicates_report import copy_facts, copy_figures
from index.embedding_dataset import EmbeddingDataset
from index.errors import ArtifactError, UsageError
from index.keep_policy import BEST, KEEP_POLICIES, SHARPEST, check_policy
from index.output_folder import DUPLICATES, LEAKS, OutputFolder, variant_partition
from index.output_lock import only_writer
from index.publishing import UNFINISHED, replacing, settle_embeddings
from pipelines.job import COPIES_FOUND, DONE, JobReport, above_zero, flag, memory_size
from pipelines.progress_flags import ProgressFlags

if TYPE_CHECKING:
    from apache_beam.options.pipeline_options import PipelineOptions

    from index.builder import IndexOptions
    from index.copy_search import CopySearch
    from index.copy_task import ComparedPictures
    from index.progress import Progress

WORK: Final = "work"  # of workers, below what is not published yet
FLOAT_BYTES: Final = 4
THOROUGH: Final = {"looks": 10, "least_score": 0.4, "neighbors": 24}


@dataclass(frozen=True)
class FindDuplicates(ProgressFlags):
    """Group copies, say which of each group to keep, and show the evidence. Deletes nothing.

    Pairs of like embeddings are found, and their pictures laid on each other: what shows the same,
    wholly or the one within the other, is a copy. Flags that are not listed here go to Apache Beam,
    whose workers then compare: --direct_num_workers 2 --direct_running_mode multi_processing, ...
    """

    output: str = flag("a folder that `lookalike embed` made", positional=True, metavar="OUT")
    variant: str | None = flag(
        "whose embeddings; may be left out where there is one", default=None, metavar="NAME"
    )
    thorough: bool = flag("look at more pairs, and at less alike ones", default=False)
    by_score: bool = flag("look at no picture: the score of the embeddings decides", default=False)
    precision: float | None = flag(
        "the share of copies among pairs that the score decides, from which its threshold is chosen; "
        f"{PRECISION} if not given",
        default=None,
        parse=above_zero,
        metavar="SHARE",
    )
    threshold: float | None = flag(
        "the cosine from which the score decides for a copy, chosen by yourself",
        default=None,
        parse=above_zero,
        metavar="COSINE",
    )
    keep: str = flag(
        f"which of a group: {', '.join(KEEP_POLICIES)}, or a column of the embeddings, whose greatest "
        "value is kept (its least with COLUMN:ascending)",
        default=BEST,
        metavar="POLICY",
    )
    prefer: tuple[str, ...] = flag(
        "pictures to keep before others, such as 'train/**'; the first pattern before the next",
        default=(),
        many=True,
        metavar="PATTERN",
    )
    between: tuple[str, ...] = flag(
        "two patterns, such as 'train/**' 'test/**': find pictures of the second that are copies of "
        "some of the first, and nothing else",
        default=(),
        many=True,
        metavar="PATTERN",
    )
    against: str | None = flag(
        "another output: find pictures that are copies of some of its",
        default=None,
        metavar="OTHER",
    )
    remove_transitive: bool = flag("propose copies of copies for removal, too", default=False)
    max_memory: int = flag(
        "what the vectors may take, such as 4GB; above that, pairs are found by an index",
        default=1 << 30,
        parse=memory_size,
        metavar="SIZE",
    )
    check: bool = flag(f"exit with {COPIES_FOUND} where copies were found", default=False)
    overwrite: bool = flag("replace finished groups", default=False)
    beam_args: tuple[str, ...] = ()

    def run(self) -> JobReport:
        """Write groups, lists and pages beside the old ones, then rename into place."""
        from index.written_groups import publish_groups
        from pipelines.compared_pictures import compare_across, compare_within, member_identities
        from pipelines.load_thumbnails import load_thumbnail
        from pipelines.start_beam import start_beam
        from transforms.variants import stored_name

        settings = self._settings()
        options = start_beam(self.beam_args)  # its filesystems read pictures
        output = OutputFolder.at(self.output)
        with self.show_progress() as progress, only_writer(output):
            settle_embeddings(output)
            dataset = EmbeddingDataset.open(output, stored_name(self.variant))
            check_policy(self.keep, dataset.pictures(parts=()).drop(["part", "row"]).column_names)
            with progress.step("reading pictures' facts"):
                if self.against is None:
                    compared = compare_within(dataset, self.between, self.prefer)
                else:
                    other = self._other(output, dataset.space.variant)
                    compared = compare_across(other, dataset, self.prefer)
            kind = DUPLICATES if compared.sides is None else LEAKS
            parent, variant = output.folder(kind), dataset.space.variant
            manifest = self._standing(parent, compared, settings)
            if manifest is None:
                with replacing(parent, variant, overwrite=self.overwrite) as made:
                    work = parent.folder(UNFINISHED, WORK)
                    search = self._search(compared, settings, options, work, progress)
                    with progress.step("checking members"):
                        identities = member_identities(search.groups, compared.pictures)
                    manifest = publish_groups(
                        search,
                        compared,
                        settings,
                        made,
                        identities,
                        load_thumbnail,
                        progress,
                    )
        return self._report(manifest, parent.folder(variant_partition(variant)))

    def _other(self, output: OutputFolder, variant: str) -> EmbeddingDataset:
        other = OutputFolder.at(self.against or "")
        if os.path.realpath(other.root) == os.path.realpath(output.root):
            raise UsageError(
                "--against is this very output; without it, copies within it are found"
            )
        return EmbeddingDataset.open(other, variant)

    def _settings(self) -> CopySettings:
        if self.thorough and self.by_score:
            raise UsageError("--thorough looks at more pictures, --by-score at none; choose one")
        if self.keep == SHARPEST and self.by_score:
            raise UsageError(f"--keep {SHARPEST} must look at pictures, and --by-score does not")
        if self.between and self.against is not None:
            raise UsageError("--between is about this output alone, --against another; choose one")
        if self.threshold is not None and self.precision is not None:
            raise UsageError("--precision chooses a threshold, and --threshold is one; choose one")
        usual = CopySettings(
            precision=None if self.threshold is not None else self.precision or PRECISION,
            threshold=self.threshold,
            keep=self.keep,
            prefer=self.prefer,
            remove_transitive=self.remove_transitive,
        )
        settings = usual.model_copy(update=THOROUGH if self.thorough else {})
        changes: dict[str, Any] = {"least_score": min(settings.least_score, self.threshold or 1)}
        if self.by_score:
            changes["looks"] = 0
        return settings.model_copy(update=changes)

    def _search(
        self,
        compared: ComparedPictures,
        settings: CopySettings,
        options: PipelineOptions,
        folder: OutputFolder,
        progress: Progress,
    ) -> CopySearch:
        from index.builder import IndexOptions
        from index.copy_search import find_duplicate_groups
        from pipelines.copy_work import BeamWorkers, OwnCores
        from transforms.compared_pictures import PictureComparer
        from transforms.read_bytes import read_bytes
        from transforms.work_threads import usable_cores, work_threads

        cores = usable_cores()
        comparer = PictureComparer(read_bytes, work_threads(cores))
        work = OwnCores(comparer, cores, progress)
        if self.beam_args:
            work = BeamWorkers(comparer, cores, progress, options=options, work=folder)
        dim = compared.datasets[0].space.num_features
        fits = len(compared.rows) * dim * FLOAT_BYTES <= self.max_memory

        def index_folder() -> str:
            made = IndexOptions(max_bytes=self.max_memory, progress=progress)
            return _index_of(compared.datasets[0], folder.folder("index"), made)

        return find_duplicate_groups(compared, settings, work, None if fits else index_folder)

    def _standing(
        self, parent: OutputFolder, compared: ComparedPictures, settings: CopySettings
    ) -> DuplicatesManifest | None:
        """What was found before, where this very search was made already."""
        if self.overwrite:
            return None
        try:
            variant = compared.datasets[-1].space.variant
            manifest = DuplicatesManifest.read(parent.folder(variant_partition(variant)))
        except ArtifactError:
            return None
        embeddings = tuple(one.record.digest for one in compared.datasets)
        asked = (settings, embeddings, compared.between)
        return (
            manifest
            if (manifest.settings, manifest.embeddings, manifest.between) == asked
            else None
        )

    def _report(self, manifest: DuplicatesManifest, made: OutputFolder) -> JobReport:
        places = {"report": made.path("report.html"), "to remove": made.path("to_remove.txt")}
        found = self.check and manifest.removed > 0
        figures = {
            **copy_figures(manifest),
            **{name.replace(" ", "_"): place for name, place in places.items()},
        }
        return JobReport(
            {**copy_facts(manifest), **places}, COPIES_FOUND if found else DONE, figures
        )


def _index_of(dataset: EmbeddingDataset, work: OutputFolder, options: IndexOptions) -> str:
    """The folder of an index of a data set: the standing one where it has these rows, else a new one."""
    from index.builder import build_index
    from index.manifest import IndexManifest
    from index.output_folder import INDEX

    root, _, partition = dataset.folder.root.rpartition("/")
    standing = OutputFolder.at(root).folder("..", INDEX, partition)
    try:
        if IndexManifest.read(standing).embeddings == dataset.record.digest:
            return standing.root
    except ArtifactError:
        pass
    options.progress.tell("there is no index of these very embeddings; making one to compare with")
    build_index(dataset, work, options)
    return work.root
