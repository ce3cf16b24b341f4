"""JOB image files -> Parquet embeddings, many variants in one pass.

lookalike embed 'photos/**/*.jpg' --variants mobilenet_v2_100_224,mobilenet_v2_035_96 --output out
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from index.errors import PipelineFailed, UsageError
from index.manifest import EmbeddingsManifest, VariantRecord
from index.output_folder import (
    ARTIFACTS,
    DUPLICATES,
    EMBEDDINGS,
    INDEX,
    LEAKS,
    REPORT,
    OutputFolder,
    variant_partition,
)
from index.output_lock import LOCK, only_writer
from index.publishing import (
    REPLACED,
    UNFINISHED,
    Publication,
    publish_embeddings,
    settle_embeddings,
)
from pipelines.embedding_facts import COMPUTED_BEFORE, embedding_facts, embedding_figures
from pipelines.job import DONE, TOO_MANY_FAILURES, JobReport, flag, fraction
from pipelines.module_flags import ModuleFlags
from pipelines.progress_flags import ProgressFlags

if TYPE_CHECKING:
    from apache_beam import Pipeline
    from apache_beam.options.pipeline_options import PipelineOptions

    from index.progress import Progress
    from transforms.attempt import Attempt, ChunkRecord
    from transforms.elements import FileChunk, Listing
    from transforms.engines.engine import Engine
    from transforms.finished_work import FinishedWork
    from transforms.module_store import ModuleFolder
    from transforms.worker_process import WorkerProcess


NO_PICTURES: Final = (*ARTIFACTS, REPORT, LOCK, UNFINISHED, REPLACED)  # where OUT is among them


@dataclass(frozen=True, kw_only=True)
class EmbedImages(ModuleFlags, ProgressFlags):
    """Embed pictures: decode each once, run every variant's module on it, write Parquet.

    An output that was left unfinished is carried on: the same command computes what is missing.
    Flags that are not listed here go to Apache Beam: --runner, --direct_num_workers, ...
    """

    inputs: tuple[str, ...] = flag(
        "files, folders, globs ('photos/**/*.jpg'), or .txt files that list them",
        positional=True,
        many=True,
        metavar="PICTURES",
    )
    output: str = flag("the folder to make", metavar="OUT")
    max_failure_rate: float = flag(
        "exit with 3 when a larger share of the pictures cannot be used",
        default=0.05,
        parse=fraction,
        metavar="SHARE",
    )
    update: bool = flag(
        "bring a finished output up to date: compute what is new or changed, and drop what is gone",
        default=False,
    )
    retry_failures: bool = flag(
        "try the pictures again that a finished output could not use", default=False
    )
    overwrite: bool = flag("replace a finished output as a whole", default=False)

    def run(self) -> JobReport:
        """List, see what stands already, compute the rest, and publish all of it."""
        from pipelines.earlier_work import EarlierWork
        from pipelines.start_beam import start_beam
        from transforms.attempt import Attempt
        from transforms.embedding_plan import ordered_files, plan_embedding
        from transforms.list_images import list_images
        from transforms.plan_file import write_plan
        from transforms.read_images import content_hashes
        from transforms.variants import parse_variants

        if self.overwrite and (self.update or self.retry_failures):
            raise UsageError("--overwrite makes everything anew; leave out the other flag")
        output = OutputFolder.at(self.output)
        parse_variants(self.variants)  # a wrong name is told before anything is touched
        options = start_beam(self.beam_args)
        with self.show_progress() as progress, only_writer(output, create=True):
            settled = settle_embeddings(output)
            if settled and settled.command == self._command:  # killed while it was published
                return self._report(settled.manifest, (), {}, output)
            keep = self.update or self.retry_failures
            earlier = EarlierWork.find(output, keep=keep, replace=self.overwrite)
            modules = self.locate_modules()
            own = [output.path(name) for name in NO_PICTURES]
            with progress.step("listing pictures"):
                listing = list_images(self.inputs, apart_from=own)
            if self.retry_failures and not self.update:
                listing = earlier.only_dead_letters(listing)
            elif keep:
                listing = earlier.with_unreachable(listing)
            threads = self.worker_threads(options)
            used = {} if self.overwrite else earlier.settings
            engines = self.load_engines(modules, threads, used, progress)
            records = self._records(engines.values())
            if self.overwrite:
                earlier = earlier.without_others(records)
            earlier.require_same(records)

            names = list(records)
            files = ordered_files(listing.files)
            with progress.step("comparing with what stands"):
                work = earlier.compare(files, names, content_hashes, retry=self.retry_failures)
                chunks = plan_embedding(files, names, work.done[:, : len(names)], work.tasks)
                attempt = Attempt.begin(output, records)
                write_plan(attempt.folder, chunks)
            began = time.perf_counter()
            complete = (
                self._run_pipeline(options, attempt, chunks, engines, threads, progress)
                if chunks
                else []
            )
            last_run = earlier.last_run(chunks, time.perf_counter() - began)
            variants = {**earlier.held, **records}
            # What is only tried again is what was asked for before.
            inputs = (
                self.inputs if self.update or not earlier.published else earlier.published.inputs
            )
            with progress.step("publishing"):
                manifest = self._describe(variants, inputs, listing, work, complete, attempt)
                manifest = manifest.model_copy(update={"last_run": last_run})
                stale = (INDEX, DUPLICATES, LEAKS) if self.overwrite else ()
                publication = Publication(manifest=manifest, command=self._command, stale=stale)
                publish_embeddings(output, publication)
        return self._report(manifest, modules, self._changes(listing, work, chunks), output)

    @property
    def _command(self) -> str:
        """What decides the result, to tell whether a run that was killed was the same."""
        decisive = dataclasses.replace(
            self, beam_args=(), threads=None, batch_size=None, quiet=False, json=False
        )
        return repr(decisive)

    def _records(self, engines: Iterable[Engine]) -> dict[str, VariantRecord]:
        """What is known of every variant before its rows are."""
        return {
            engine.variant.name: VariantRecord(
                space=engine.space,
                engine=engine.name,
                precision=engine.precision,
                worst_cosine=engine.worst_cosine,
                vector_type=self.vector_type,
                rows=0,
                parts=(),
            )
            for engine in engines
        }

    def _run_pipeline(
        self,
        options: PipelineOptions,
        attempt: Attempt,
        chunks: Sequence[FileChunk],
        engines: Mapping[ModuleFolder, Engine],
        threads: int | None,
        progress: Progress,
    ) -> list[ChunkRecord]:
        """Run the pipeline; gives the records of its chunks, all of them."""
        from pipelines.run_on_workers import run_on_workers
        from pipelines.start_beam import worker_processes
        from transforms.complete_chunks import CompleteChunks
        from transforms.compute_embeddings import ComputeEmbeddings
        from transforms.plan_chunks import PlanChunks
        from transforms.read_images import ReadImages
        from transforms.write_embeddings import WriteEmbeddings

        spaces = tuple(engine.space for engine in engines.values())
        modules = {module: self.engine_settings(engine.name) for module, engine in engines.items()}
        workers = worker_processes(options)
        pictures = sum(len(chunk.files) for chunk in chunks)

        def wire(pipeline: Pipeline, worker: WorkerProcess) -> None:
            plan = PlanChunks(attempt.folder, len(chunks), workers)
            read = ReadImages(worker.progress)
            compute = ComputeEmbeddings(
                modules, threads, self.vector_type, worker.progress, attempt, worker.launcher
            )
            write = WriteEmbeddings(attempt.folder, spaces, self.vector_type)

            planned = pipeline | "Plan chunks" >> plan
            images = planned | "Read images" >> read
            embedded = images | "Compute embeddings" >> compute
            written = embedded | "Write embeddings" >> write
            written | "Complete chunks" >> CompleteChunks(attempt)

        with progress.step("embedding", pictures, "pictures") as step:
            run_on_workers(options, wire, step, if_it_stops=self._carry_on)
        records = attempt.records()
        complete = {record.number for record in records}
        missing = [chunk.number for chunk in chunks if chunk.number not in complete]
        if missing:
            raise PipelineFailed(
                f"the pipeline ended without {len(missing)} of its {len(chunks)} chunks (the first is "
                f"{missing[0]}); {self._carry_on}"
            )
        return records

    @property
    def _carry_on(self) -> str:
        return f"nothing was published in {self.output}, and the same command carries on from here"

    def _describe(
        self,
        variants: Mapping[str, VariantRecord],
        inputs: Sequence[str],
        listing: Listing,
        work: FinishedWork,
        chunks: Sequence[ChunkRecord],
        attempt: Attempt,
    ) -> EmbeddingsManifest:
        """The manifest of all that stands: rows of earlier runs, and of this one."""
        from transforms.computed_rows import StandingPart, settle_parts
        from transforms.dead_letters import write_dead_letters

        described = {}
        for name, record in variants.items():
            folder = attempt.folder.folder(EMBEDDINGS, variant_partition(name))
            written = [
                StandingPart(folder, chunk.parts[name], record)
                for chunk in chunks
                if name in chunk.parts
            ]
            parts = settle_parts([*work.parts.get(name, ()), *written], attempt.folder)
            rows = sum(part.rows or 0 for part in parts)
            described[name] = record.model_copy(update={"rows": rows, "parts": parts})
        failed = [*work.failures, *(failure for chunk in chunks for failure in chunk.failures)]
        failures = [*listing.failures, *work.as_they_are(failed)]
        return EmbeddingsManifest(
            inputs=tuple(inputs),
            pictures=len(work.files) + len(listing.failures),
            failures=len({failure.uri for failure in failures}),
            failure_files=write_dead_letters(attempt.folder, failures),
            variants=described,
        )

    def _changes(
        self, listing: Listing, work: FinishedWork, chunks: Sequence[FileChunk]
    ) -> dict[str, int]:
        """What a run that did not begin with nothing found, for its report."""
        if self.update:
            unlisted = {failure.uri for failure in listing.failures}
            gone = work.gone_rows | work.gone_failures
            failed_before = unlisted & work.gone_failures - work.gone_rows
            return {
                "added": int((~work.known).sum()) + len(unlisted - gone),
                "changed": int(work.changed.sum()) + len(unlisted & work.gone_rows),
                "removed": len(gone - unlisted),
                "unchanged": int((work.known & ~work.changed).sum()) + len(failed_before),
            }
        standing = len(work.files) - sum(len(chunk.files) for chunk in chunks)
        return {COMPUTED_BEFORE: standing} if standing else {}

    def _report(
        self,
        manifest: EmbeddingsManifest,
        modules: tuple[ModuleFolder, ...],
        changes: Mapping[str, int],
        output: OutputFolder,
    ) -> JobReport:
        found = {module.variant.name: module.found for module in modules}
        facts = embedding_facts(manifest, found, changes, output)
        too_many = manifest.failures / manifest.pictures > self.max_failure_rate
        if too_many:
            facts["exit code 3"] = f"more than {self.max_failure_rate:.2%} of the pictures failed"
        figures = embedding_figures(manifest, found, changes, output)
        return JobReport(facts, TOO_MANY_FAILURES if too_many else DONE, figures)
