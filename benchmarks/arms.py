"""The arms of the embedding benchmark: ours, and what an expert would write instead.

An arm takes a list of JPEGs to the vectors of one module. Each runs in a process of its own.
"""

from __future__ import annotations

import itertools
import shutil
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol, cast

import numpy as np
from numpy.typing import NDArray

from transforms.engines.engine import Precision
from transforms.module_store import ModuleFolder, ModuleStore
from transforms.variants import parse_variants

PEER_BATCHES: Final = (8, 32, 128)
Vectors = NDArray[np.float32]


@dataclass(frozen=True)
class Task:
    """What every arm is given.

    Attributes:
        files: the JPEGs.
        variants: as `--variants` takes them; peers take the first.
        modules: a mirror of modules.
        scratch: a folder of the arm's own.
    """

    files: tuple[str, ...]
    variants: str
    modules: str | None
    scratch: str

    def module(self) -> ModuleFolder:
        """The folder of the first variant's module."""
        return ModuleStore(self.modules).locate(parse_variants(self.variants)[0])


class Arm(Protocol):
    """One way to do the work; the constructor loads what it needs."""

    note: str

    def run(self) -> None:
        """Do all of it."""
        ...

    def vectors(self) -> Vectors | None:
        """What the last run gave, in the order of the files; None where the arm keeps none."""
        ...


class Pipeline:
    """Ours, as `lookalike embed` runs it: listing, Beam, Parquet, manifest."""

    def __init__(self, task: Task, engine: str, precision: Precision) -> None:
        self._task, self._engine, self._precision = task, engine, precision
        self._output = Path(task.scratch) / "out"
        self.note = ""

    def run(self) -> None:
        from pipelines.embed_images import EmbedImages

        shutil.rmtree(self._output, ignore_errors=True)
        EmbedImages(
            inputs=(str(Path(self._task.files[0]).parent),),
            variants=self._task.variants,
            modules=self._task.modules,
            output=str(self._output),
            engine=self._engine,
            precision=self._precision,
        ).run()

    def vectors(self) -> Vectors | None:
        from index.embedding_dataset import EmbeddingDataset

        names = [variant.name for variant in parse_variants(self._task.variants)]
        records = [EmbeddingDataset.open(str(self._output), name) for name in names]
        self.note = ", ".join(
            dict.fromkeys(f"{one.record.engine} {one.record.precision}" for one in records)
        )
        return _in_order(records[0], self._task.files) if len(records) == 1 else None


class PlainLoop:
    """The functions of our stages in a for loop, without Beam; writes the same files."""

    def __init__(self, task: Task, engine: str, precision: Precision) -> None:
        from transforms.engines.engine import EngineSettings, load_engine
        from transforms.freed_memory import keep_freed_memory
        from transforms.work_threads import usable_cores

        keep_freed_memory()
        self._task, self._output = task, Path(task.scratch) / "out"
        store = ModuleStore(task.modules)
        settings = EngineSettings(engine, precision, threads=usable_cores())
        self._engines = {
            variant.name: load_engine(store.locate(variant), settings)
            for variant in parse_variants(task.variants)
        }
        self.note = next(iter(self._engines.values())).name

    def run(self) -> None:
        from index.manifest import VariantSettings
        from index.output_folder import OutputFolder
        from transforms.attempt import Attempt
        from transforms.chunk_embedder import ChunkEmbedder
        from transforms.complete_chunks import complete_chunk
        from transforms.embedding_plan import ordered_files, plan_embedding
        from transforms.list_images import list_images
        from transforms.read_images import read_chunk, reading_threads
        from transforms.work_threads import usable_cores, work_threads
        from transforms.write_embeddings import write_parts

        shutil.rmtree(self._output, ignore_errors=True)
        settings = {
            name: VariantSettings(space=engine.space, engine=engine.name)
            for name, engine in self._engines.items()
        }
        attempt = Attempt.begin(OutputFolder.at(self._output), settings)
        spaces = {name: engine.space for name, engine in self._engines.items()}
        listing = list_images([str(Path(self._task.files[0]).parent)])
        threads = work_threads(usable_cores())
        embedder = ChunkEmbedder(self._engines, threads, attempt=attempt)
        chunks = plan_embedding(ordered_files(listing.files), list(self._engines))
        read = (read_chunk(chunk, reading_threads()) for chunk in chunks)
        embedded = itertools.chain.from_iterable(map(embedder.put, read))
        for done in itertools.chain(embedded, embedder.drain()):
            complete_chunk(write_parts(done, attempt.folder, spaces), attempt)

    def vectors(self) -> None:
        return None


class TensorFlowData:
    """The yardstick: a tf.data loop around the module, with the batch size that suits it best."""

    def __init__(self, task: Task) -> None:
        self._files, self._call, self._size = list(task.files), *_hub_call(task.module())
        sample = self._files[: max(PEER_BATCHES)]
        self._batch = min(PEER_BATCHES, key=lambda batch: self._seconds(sample, batch))
        self.note = f"batch {self._batch}"

    def run(self) -> None:
        self._vectors = list(self._batches(self._files, self._batch))

    def vectors(self) -> Vectors:
        return np.concatenate(self._vectors)

    def _seconds(self, files: list[str], batch: int) -> float:
        from time import perf_counter

        passes = []
        for _ in range(3):  # the first one traces, and fills the caches
            start = perf_counter()
            for _ in self._batches(files, batch):
                pass
            passes.append(perf_counter() - start)
        return min(passes)

    def _batches(self, files: list[str], batch: int) -> Iterator[Vectors]:
        import tensorflow as tf

        def prepare(path: Any) -> Any:
            data = tf.io.read_file(path)
            pixels = tf.io.decode_jpeg(data, channels=3, dct_method="INTEGER_ACCURATE")
            return tf.image.resize(pixels, self._size, antialias=True) / 255.0

        images = tf.data.Dataset.from_tensor_slices(files)
        images = images.map(prepare, num_parallel_calls=tf.data.AUTOTUNE)
        for inputs in images.batch(batch).prefetch(tf.data.AUTOTUNE):
            yield self._call(inputs).numpy()


class OneAtATime:
    """What a first script does: open, resize, call, the next."""

    note = ""

    def __init__(self, task: Task) -> None:
        self._files, self._call, self._size = task.files, *_hub_call(task.module())
        self._embed(self._files[0])

    def run(self) -> None:
        self._vectors = [self._embed(path) for path in self._files]

    def vectors(self) -> Vectors:
        return np.concatenate(self._vectors)

    def _embed(self, path: str) -> Vectors:
        import tensorflow as tf

        vectors: Vectors = self._call(tf.constant(_by_pillow(path, self._size)[None])).numpy()
        return vectors


class RunInference:
    """Beam's own RunInference with a hand-made handler, on the in-process runner, fixed batches."""

    note = "batch 32"

    def __init__(self, task: Task) -> None:
        from apache_beam.ml.inference.base import ModelHandler

        self._files, self._module = task.files, task.module()
        _, self._size = _hub_call(self._module)
        module = self._module

        class Handler(ModelHandler):
            def load_model(self) -> Callable[[Any], Any]:
                return _hub_call(module)[0]

            def run_inference(
                self, batch: Any, model: Callable[[Any], Any], inference_args: Any = None
            ) -> Iterable[Vectors]:
                import tensorflow as tf

                vectors: Vectors = model(tf.constant(np.stack(batch))).numpy()
                return list(vectors)

            def batch_elements_kwargs(self) -> dict[str, int]:
                return {"min_batch_size": 32, "max_batch_size": 32}

        self._handler = Handler()

    def run(self) -> None:
        import apache_beam as beam
        from apache_beam.ml.inference.base import RunInference as BeamRunInference

        size = self._size
        with beam.Pipeline(runner="FnApiRunner") as pipeline:
            (
                pipeline
                | beam.Create(self._files)
                | beam.Map(lambda path: _by_pillow(path, size))
                | BeamRunInference(self._handler)
                | beam.combiners.Count.Globally()
            )

    def vectors(self) -> None:
        return None


PEERS: Final[dict[str, Callable[[Task], Arm]]] = {
    "tf.data loop": TensorFlowData,
    "one at a time": OneAtATime,
    "Beam RunInference": RunInference,
}


def load_arm(name: str, task: Task) -> Arm:
    """An arm by its name: a peer's, or `pipeline:ENGINE:PRECISION` or `plain:ENGINE:PRECISION`."""
    if name in PEERS:
        return PEERS[name](task)
    kind, engine, precision = name.split(":")
    return (Pipeline if kind == "pipeline" else PlainLoop)(task, engine, cast(Precision, precision))


def _hub_call(module: ModuleFolder) -> tuple[Callable[[Any], Any], tuple[int, int]]:
    """A module as hub.load gives it, and the size it takes."""
    from transforms.engines.module_function import load_function

    function = load_function(module)
    return function.call, function.facts.input_size


def _by_pillow(path: str, size: tuple[int, int]) -> Vectors:
    from PIL import Image

    with Image.open(path) as image:
        small = image.convert("RGB").resize(size[::-1], Image.Resampling.BILINEAR)
    return np.asarray(small, np.float32) / np.float32(255)


def _in_order(dataset: Any, files: tuple[str, ...]) -> Vectors:
    """The stored vectors in the order of the files; NaN for a file that failed."""
    places = {uri: row for row, uri in enumerate(dataset.pictures().column("uri").to_pylist())}
    stored = np.vstack([dataset.vectors(), np.full((1, dataset.space.num_features), np.nan)])
    return stored[[places.get(path, -1) for path in files]].astype(np.float32)
