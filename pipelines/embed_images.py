"""JOB image files -> Parquet embeddings, many variants in one pass.

lookalike embed 'photos/**/*.jpg' --variants mobilenet_v2_100_224,mobilenet_v2_035_96 --output out
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from index.errors import (
    ArtifactDamaged,
    OutputExists,
    OutputMissing,
    PipelineFailed,
    last_line,
)
from index.manifest import EmbeddingsManifest, VariantRecord
from index.output_folder import (
    ARTIFACTS,
    EMBEDDINGS,
    FAILURES,
    MANIFEST,
    OutputFolder,
)
from index.publishing import LOCK, REPLACED, REPLACING, UNFINISHED, only_writer, publish, settle
from pipelines.job import DONE, TOO_MANY_FAILURES, JobReport, flag, fraction
from pipelines.module_flags import ModuleFlags

if TYPE_CHECKING:
    from apache_beam.options.pipeline_options import PipelineOptions

    from transforms.embedding_plan import EmbeddingPlan
    from transforms.engines.engine import Engine
    from transforms.module_store import ModuleFolder


PUBLISHED: Final = (EMBEDDINGS, FAILURES, MANIFEST)  # in the order in which they appear
HIDDEN: Final = (LOCK, UNFINISHED, REPLACING, REPLACED)


@dataclass(frozen=True, kw_only=True)
class EmbedImages(ModuleFlags):
    """Embed pictures: decode each once, run every variant's module on it, write Parquet.

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
    overwrite: bool = flag("replace a finished output as a whole", default=False)

    def run(self) -> JobReport:
        """List, plan, run the pipeline, and publish what it wrote."""
        from pipelines.start_beam import start_beam
        from transforms.embedding_plan import plan_embedding
        from transforms.list_images import list_images
        from transforms.variants import parse_variants

        output = OutputFolder.at(self.output)
        parse_variants(self.variants)  # a wrong name is told before anything is touched
        options = start_beam(self.beam_args)
        with only_writer(output, create=True):
            settle(output, PUBLISHED)
            _require_free(output, overwrite=self.overwrite)
            modules = self.locate_modules()
            own = [output.path(name) for name in (*ARTIFACTS, *HIDDEN)]
            listing = list_images(self.inputs, apart_from=own)
            plan = plan_embedding(listing.files, listing.failures)
            threads = self.worker_threads(options)
            engines = self.load_engines(modules, threads)

            output.delete(UNFINISHED)
            staged = output.folder(UNFINISHED, uuid.uuid4().hex)  # no other run's workers know it
            self._run_pipeline(options, plan, engines, threads, staged)
            manifest = self._describe(plan, tuple(engines.values()), staged)
            manifest.write(staged)
            publish(output, staged, PUBLISHED, stale=ARTIFACTS)
            output.delete(UNFINISHED)
        return self._report(manifest, modules, output)

    def _run_pipeline(
        self,
        options: PipelineOptions,
        plan: EmbeddingPlan,
        engines: Mapping[ModuleFolder, Engine],
        threads: int | None,
        folder: OutputFolder,
    ) -> None:
        import apache_beam as beam

        from pipelines.progress_line import show_progress
        from pipelines.start_beam import worker_processes
        from transforms.compute_embeddings import ComputeEmbeddings
        from transforms.plan_chunks import PlanChunks
        from transforms.quiet_libraries import held_stderr
        from transforms.read_images import ReadImages
        from transforms.write_embeddings import WriteEmbeddings
        from transforms.write_failures import WriteFailures

        spaces = tuple(engine.space for engine in engines.values())
        modules = {module: self.engine_settings(engine.name) for module, engine in engines.items()}
        try:
            with (
                held_stderr(show_on_error=False),
                show_progress(plan.pictures) as progress,
                beam.Pipeline(options=options) as pipeline,
            ):
                chunks = pipeline | "Plan chunks" >> PlanChunks(plan, worker_processes(options))
                images = chunks | "Read images" >> ReadImages(progress)
                embedded = images | "Compute embeddings" >> ComputeEmbeddings(
                    modules, threads, self.vector_type, progress
                )
                written = embedded | "Write embeddings" >> WriteEmbeddings(
                    folder, spaces, self.vector_type
                )
                written | "Write failures" >> WriteFailures(folder)
        except Exception as error:  # runners wrap what a stage raised in errors of their own
            if "KeyboardInterrupt" in str(error):
                raise KeyboardInterrupt from error
            raise PipelineFailed(
                f"the pipeline stopped: {last_line(error)}; nothing was published in {self.output}"
            ) from error

    def _describe(
        self, plan: EmbeddingPlan, engines: tuple[Engine, ...], staged: OutputFolder
    ) -> EmbeddingsManifest:
        """The manifest of what the run wrote; PipelineFailed where a planned chunk is missing."""
        from transforms.write_failures import read_chunk_records

        records = read_chunk_records(staged)
        complete = {record.number for record in records}
        missing = [chunk.number for chunk in plan.chunks if chunk.number not in complete]
        if missing:
            raise PipelineFailed(
                f"the pipeline ended without {len(missing)} of its {len(plan.chunks)} chunks "
                f"(the first is {missing[0]}); nothing was published in {self.output}"
            )
        variants = {}
        for engine in engines:
            name = engine.variant.name
            parts = tuple(record.parts[name] for record in records if name in record.parts)
            rows = sum(part.rows or 0 for part in parts)
            variants[name] = VariantRecord(
                space=engine.space,
                engine=engine.name,
                precision=engine.precision,
                worst_cosine=engine.worst_cosine,
                vector_type=self.vector_type,
                rows=rows,
                parts=parts,
            )
        return EmbeddingsManifest(
            inputs=tuple(self.inputs),
            pictures=plan.pictures,
            failures=sum(record.failed_pictures for record in records),
            failure_files=tuple(one.failure_file for one in records if one.failure_file),
            variants=variants,
        )

    def _report(
        self, manifest: EmbeddingsManifest, modules: tuple[ModuleFolder, ...], output: OutputFolder
    ) -> JobReport:
        rate = manifest.failures / manifest.pictures
        facts = {"pictures": f"{manifest.pictures:,}"}
        for module in modules:
            record = manifest.variants[module.variant.name]
            width = record.space.num_features
            facts[module.variant.name] = (
                f"{record.rows:,} rows of width {width}; module from the {module.found}, "
                f"run by {record.engine} in {record.precision}"
            )
        facts["failures"] = f"{manifest.failures:,} ({rate:.2%})"
        if manifest.failures:
            facts["failures"] += f", each with its reason in {output.path(FAILURES)}"
        facts["output"] = output.root
        too_many = rate > self.max_failure_rate
        if too_many:
            facts["exit code 3"] = f"more than {self.max_failure_rate:.2%} of the pictures failed"
        return JobReport(facts, TOO_MANY_FAILURES if too_many else DONE)


def _require_free(output: OutputFolder, *, overwrite: bool) -> None:
    """Raise OutputExists where a run must not write: finished outputs, and folders not ours."""
    try:
        EmbeddingsManifest.read(output)
    except OutputMissing:
        ours = output.exists(UNFINISHED)
        foreign = [name for name in ARTIFACTS if output.exists(name)]
        if foreign and not ours:
            raise OutputExists(
                f"{output.root} holds {', '.join(foreign)} but no manifest.json, so it is not an "
                "output of lookalike; choose another folder"
            ) from None
    except ArtifactDamaged as error:
        raise OutputExists(f"{error}; move {output.root} away, or choose another folder") from error
    else:
        if not overwrite:
            raise OutputExists(
                f"{output.root} holds finished embeddings; pass --overwrite to replace them, "
                "with the index and duplicates made from them, or choose another --output"
            )
