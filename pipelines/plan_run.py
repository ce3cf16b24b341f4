"""JOB what a run of embed will take: workers, memory, and the sizes of what it makes.

lookalike plan 'photos/**/*.jpg' --variants mobilenet_v2_100_224
lookalike plan --count 1000000 --variants mobilenet_v2_100_224 --vector-type float16
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from index.errors import UsageError
from pipelines.job import JobReport, above_zero, flag, memory_size, positive
from pipelines.module_flags import ModuleFlags
from pipelines.progress_flags import ProgressFlags
from pipelines.step_count import size

if TYPE_CHECKING:
    from transforms.engines.engine import Engine

# Measured on photographs of 500 x 375 and vectors of MobileNets.
COMPRESSED_SHARE: Final = 0.72  # of a vector's bytes, by Parquet's byte stream split and zstd
PICTURE_ROW_BYTES: Final = 150  # of the columns beside the vector, compressed
PICTURE_FILE_BYTES: Final = 128 << 10  # where pictures are counted, not listed
PROCESS_BYTES: Final = 250 << 20  # Python, Beam and Arrow
THREAD_BYTES: Final = 96 << 20  # a decoded picture, its arrays, and what the allocator keeps


@dataclass(frozen=True, kw_only=True)
class PlanRun(ModuleFlags, ProgressFlags):
    """Say what a run of embed will take, without running it; modules are loaded and checked.

    Flags that are not listed here go to Apache Beam, as they would for embed.
    """

    inputs: tuple[str, ...] = flag(
        "files, folders, globs or .txt files that list them; none with --count",
        default=(),
        positional=True,
        many=True,
        metavar="PICTURES",
    )
    count: int | None = flag(
        "plan for so many pictures instead of listing them",
        default=None,
        parse=positive,
        metavar="N",
    )
    min_recall: float = flag(
        "of the index, as for `lookalike index`", default=0.95, parse=above_zero, metavar="R"
    )
    max_memory: int = flag(
        "of the index, as for `lookalike index`",
        default=4 << 30,
        parse=memory_size,
        metavar="SIZE",
    )

    def run(self) -> JobReport:
        """Count, load the modules, and work out the rest."""
        from pipelines.start_beam import start_beam, worker_processes
        from transforms.embedding_plan import CHUNK_FILES
        from transforms.work_threads import usable_cores

        if bool(self.inputs) == (self.count is not None):
            raise UsageError("name the pictures, or give their number with --count N")
        options = start_beam(self.beam_args)
        with self.show_progress() as progress:
            with progress.step("listing pictures"):
                pictures, chunks, chunk_bytes = self._chunks()
            modules = self.locate_modules()
            engines = self.load_engines(modules, self.worker_threads(options), progress=progress)
        threads = self.worker_threads(options) or usable_cores()
        workers = worker_processes(options)
        facts = {
            "pictures": f"{pictures:,}",
            "chunks": f"{chunks:,} of at most {CHUNK_FILES} pictures",
            "workers": "as the runner starts them" if workers is None else f"{workers}",
            "threads a worker": f"{threads}",
        }
        figures: dict[str, dict[str, object]] = {}
        for engine in engines.values():
            batch = min(engine.batch_size, CHUNK_FILES)
            figures[engine.variant.name] = {
                "engine": engine.name,
                "precision": engine.precision,
                "width": engine.space.num_features,
                "copies": engine.copies,
                "batch_size": batch,
            }
            times = f"{1 if workers is None else workers} x {engine.copies} x {batch}"
            facts[engine.variant.name] = (
                f"{engine.name} in {engine.precision}, width {engine.space.num_features}; "
                f"workers x model copies x batch: {times}"
            )
        memory = worker_memory(list(engines.values()), threads, chunk_bytes)
        most = memory + large_pictures(threads)
        facts["memory a worker"] = f"about {size(memory)}"
        facts["with the largest pictures"] = f"at most {size(most)}"
        for engine in engines.values():
            name = engine.variant.name
            parquet = self._parquet_bytes(engine, pictures)
            facts[f"Parquet of {name}"] = f"about {size(parquet)}"
            text, index = self._index(engine, pictures)
            facts[f"index of {name}"] = text
            figures[name].update(parquet_bytes=parquet, index=index)
        return JobReport(
            facts,
            figures={
                "pictures": pictures,
                "chunks": chunks,
                "workers": workers,
                "threads": threads,
                "memory_bytes": memory,
                "most_memory_bytes": most,
                "variants": figures,
            },
        )

    def _chunks(self) -> tuple[int, int, int]:
        """How many pictures and chunks, and the bytes of the largest chunk."""
        from transforms.embedding_plan import (
            CHUNK_BYTES,
            CHUNK_FILES,
            ordered_files,
            plan_embedding,
        )
        from transforms.list_images import list_images
        from transforms.variants import parse_variants

        if self.count is not None:
            in_chunk = min(self.count, CHUNK_FILES)
            largest = min(in_chunk * PICTURE_FILE_BYTES, CHUNK_BYTES)
            return self.count, math.ceil(self.count / CHUNK_FILES), largest
        listing = list_images(self.inputs)
        names = [variant.name for variant in parse_variants(self.variants)]
        chunks = plan_embedding(ordered_files(listing.files), names)
        bytes_of = (sum(file.bytes or 0 for file in chunk.files) for chunk in chunks)
        pictures = len(listing.files) + len(listing.failures)
        return pictures, len(chunks), max(bytes_of, default=0)

    def _parquet_bytes(self, engine: Engine, pictures: int) -> int:
        number_bytes = 2 if self.vector_type == "float16" else 4
        vector_bytes = engine.space.num_features * number_bytes * COMPRESSED_SHARE
        return round(pictures * (vector_bytes + PICTURE_ROW_BYTES))

    def _index(self, engine: Engine, pictures: int) -> tuple[str, dict[str, object]]:
        """The index that would be chosen, for people and for machines."""
        from index.factory_string import choose_factory_string, index_bytes

        width = engine.space.num_features
        try:
            choice = choose_factory_string(
                pictures, width, max_bytes=self.max_memory, min_recall=self.min_recall
            )
        except UsageError as error:
            return f"none: {error}", {"factory_string": None, "bytes": None, "reason": str(error)}
        count = index_bytes(choice.factory_string, pictures, width)
        figures = {"factory_string": choice.factory_string, "bytes": count, "reason": choice.reason}
        return f"{choice.factory_string}, about {size(count)}", figures


def worker_memory(engines: list[Engine], threads: int, chunk_bytes: int) -> int:
    """About the most bytes that a worker process holds.

    Args:
        engines: that it has loaded.
        threads: that decode and compute.
        chunk_bytes: of the files of the largest chunk.
    """
    from transforms.chunk_embedder import CHUNKS_AHEAD, TASK_PICTURES
    from transforms.embedding_plan import CHUNK_FILES

    sizes = {engine.space.input_size for engine in engines}
    inputs = sum(height * width * 3 * 4 for height, width in sizes)
    batch = max([TASK_PICTURES, *(engine.batch_size for engine in engines)])
    task = min(batch, CHUNK_FILES) * inputs
    chunks = (CHUNKS_AHEAD + 2) * chunk_bytes  # computed, started, and being read
    models = sum(engine.memory_bytes for engine in engines)
    return PROCESS_BYTES + chunks + threads * (THREAD_BYTES + task) + models


def large_pictures(threads: int) -> int:
    """The bytes that come on top where no picture is small, and none can be decoded scaled down.

    Every thread holds one of LARGE_PIXELS, and one of them one of MAX_PIXELS, in RGBX, twice: as the
    decoder has it, and as it is handed on.
    """
    from transforms.decoding import LARGE_PIXELS, MAX_PIXELS

    return 2 * 4 * (threads * LARGE_PIXELS + MAX_PIXELS)
