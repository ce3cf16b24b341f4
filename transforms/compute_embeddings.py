"""STAGE chunk of ImageFile -> embedded chunk: the batched DoFn."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import apache_beam as beam
from apache_beam.metrics import Metrics
from apache_beam.transforms.window import GlobalWindow
from apache_beam.utils.timestamp import MIN_TIMESTAMP
from apache_beam.utils.windowed_value import WindowedValue

from index.manifest import VectorType
from transforms.attempt import Attempt
from transforms.chunk_coder import with_chunk_coder
from transforms.chunk_embedder import ChunkEmbedder
from transforms.elements import EmbeddedChunk, ImageChunk
from transforms.engines.engine import EngineSettings, load_engine
from transforms.freed_memory import keep_freed_memory
from transforms.launcher_watch import end_with
from transforms.module_store import ModuleFolder
from transforms.progress import Address
from transforms.work_threads import usable_cores, work_threads


@dataclass
class ComputeEmbeddings(beam.PTransform):
    """Decodes every picture once, and runs every variant's module over it.

    Attributes:
        modules: loaded once a process, and how each is run.
        threads: of a process; None for as many as it may use cores.
        vector_type: of the vectors to give.
        progress: where to report.
        attempt: where what is computed is kept until its chunk is complete; None for nowhere.
        launcher: the process that workers are to end with; None where they are on other machines.
    """

    modules: Mapping[ModuleFolder, EngineSettings]
    threads: int | None = None
    vector_type: VectorType = "float32"
    progress: Address | None = None
    attempt: Attempt | None = None
    launcher: int | None = None

    def expand(self, images: beam.PCollection[ImageChunk]) -> beam.PCollection[EmbeddedChunk]:
        """Wire the stage."""
        embedded = images | "Decode and run modules" >> beam.ParDo(_ComputeEmbeddings(self))
        return with_chunk_coder(embedded, EmbeddedChunk)


class _ComputeEmbeddings(beam.DoFn):
    def __init__(self, stage: ComputeEmbeddings) -> None:
        self._modules = dict(stage.modules)
        self._thread_count = stage.threads
        self._vector_type = stage.vector_type
        self._address = stage.progress
        self._attempt = stage.attempt
        self._launcher = stage.launcher
        self._decoded = Metrics.counter("lookalike", "pictures_decoded")
        self._computed = Metrics.counter("lookalike", "vectors_computed")
        self._failures = Metrics.counter("lookalike", "failures_computing")

    def setup(self) -> None:
        keep_freed_memory()
        if self._launcher is not None:
            end_with(self._launcher)
        threads = self._thread_count or usable_cores()
        self._threads = work_threads(threads)
        self._engines = {
            module.variant.name: load_engine(module, dataclasses.replace(settings, threads=threads))
            for module, settings in self._modules.items()
        }

    def start_bundle(self) -> None:
        self._embedder = ChunkEmbedder(
            self._engines, self._threads, self._vector_type, self._address, self._attempt
        )

    def process(self, chunk: ImageChunk) -> Iterator[EmbeddedChunk]:
        for embedded in self._embedder.put(chunk):
            yield self._counted(embedded)

    def finish_bundle(self) -> Iterator[WindowedValue]:
        for embedded in self._embedder.drain():
            yield WindowedValue(self._counted(embedded), MIN_TIMESTAMP, [GlobalWindow()])

    def _counted(self, chunk: EmbeddedChunk) -> EmbeddedChunk:
        self._decoded.inc(chunk.pictures.num_rows)
        self._computed.inc(sum(len(one.rows) for one in chunk.embeddings.values()))
        self._failures.inc(len(chunk.failures))
        return chunk
