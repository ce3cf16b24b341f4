"""STAGE arrays of model inputs -> embeddings, in fixed batches: the batched DoFn."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

import apache_beam as beam
import numpy as np
from apache_beam.metrics import Metrics
from numpy.typing import NDArray

from transforms.elements import EmbeddedChunk, Embeddings, Failure, PreparedChunk
from transforms.engines.engine import Engine, load_engine
from transforms.module_store import ModuleFolder
from transforms.progress import Address, send_progress

BATCH_SIZE: Final = 32
MESSAGE_LENGTH: Final = 600


def embed_batch(
    engine: Engine, images: NDArray[np.float32], vectors: NDArray[np.float32]
) -> dict[int, Exception]:
    """Compute a batch in place; where the module fails on it, its halves, until only culprits fail.

    Args:
        engine: of one variant.
        images: float32 [batch, height, width, 3] in [0, 1].
        vectors: float32 [batch, dim], to be filled; rows of culprits are left as they are.

    Returns:
        What the module raised, by the culprit's row in the batch.
    """
    try:
        vectors[:] = engine.embed(images)
    except Exception as error:  # a module raises what its graph holds: the picture is at fault
        if len(images) == 1:
            return {0: error}
        middle = len(images) // 2
        first = embed_batch(engine, images[:middle], vectors[:middle])
        second = embed_batch(engine, images[middle:], vectors[middle:])
        return first | {middle + row: raised for row, raised in second.items()}
    return {}


def embed_chunk(
    chunk: PreparedChunk, engines: Mapping[str, Engine], batch_size: int, progress: Address | None
) -> EmbeddedChunk:
    """The vectors of a chunk's pictures, batch by batch, every variant of a batch in turn."""
    count = chunk.pictures.num_rows
    vectors = {
        name: np.full((count, engine.space.num_features), np.nan, np.float32)
        for name, engine in engines.items()
    }
    raised: dict[str, dict[int, Exception]] = {name: {} for name in engines}
    for start in range(0, count, batch_size):
        batch = slice(start, start + batch_size)
        for name, engine in engines.items():
            images = chunk.inputs[engine.space.input_size][batch]
            errors = embed_batch(engine, images, vectors[name][batch])
            raised[name].update({start + row: error for row, error in errors.items()})
        usable = np.ones(len(range(count)[batch]), bool)
        for variant_vectors in vectors.values():
            usable &= _finite(variant_vectors[batch])
        send_progress(progress, done=int(usable.sum()), failed=int((~usable).sum()))

    uris = chunk.pictures.column("uri")
    embeddings = {}
    failures = list(chunk.failures)
    for name in engines:
        finite = _finite(vectors[name])
        embeddings[name] = Embeddings(np.flatnonzero(finite), vectors[name][finite])
        for row in np.flatnonzero(~finite).tolist():
            error, message = _describe(raised[name].get(row))
            failures.append(
                Failure(uris[row].as_py(), "compute", error, f"variant {name}: {message}")
            )
    return EmbeddedChunk(chunk.number, chunk.pictures, embeddings, tuple(failures))


def _finite(vectors: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Which vectors hold neither NaN nor infinity: [n, dim] -> bool [n]."""
    finite: NDArray[np.bool_] = np.asarray(np.isfinite(vectors).all(axis=1))
    return finite


def _describe(raised: Exception | None) -> tuple[str, str]:
    """The kind of an error and its text on one line; None stands for a vector with NaN or infinity."""
    if raised is None:
        return "NotFinite", "the module's vector holds NaN or infinity"
    return type(raised).__name__, " ".join(str(raised).split())[:MESSAGE_LENGTH]


@dataclass
class ComputeEmbeddings(beam.PTransform):
    """Runs every variant's module over the prepared pictures.

    Attributes:
        modules: loaded once a process.
        engine: what runs them.
        batch_size: images a call; the last call of a chunk may be smaller.
        progress: where to report.
    """

    modules: tuple[ModuleFolder, ...]
    engine: str = "tensorflow"
    batch_size: int = BATCH_SIZE
    progress: Address | None = None

    def expand(self, prepared: beam.PCollection[PreparedChunk]) -> beam.PCollection[EmbeddedChunk]:
        """Wire the stage."""
        return prepared | "Run modules" >> beam.ParDo(_ComputeEmbeddings(self))


class _ComputeEmbeddings(beam.DoFn):
    def __init__(self, stage: ComputeEmbeddings) -> None:
        self._modules = stage.modules
        self._engine = stage.engine
        self._batch_size = stage.batch_size
        self._address = stage.progress
        self._computed = Metrics.counter("lookalike", "vectors_computed")
        self._failed = Metrics.counter("lookalike", "vectors_failed")

    def setup(self) -> None:
        self._engines = {
            module.variant.name: load_engine(module, self._engine) for module in self._modules
        }

    def process(self, chunk: PreparedChunk) -> Iterator[EmbeddedChunk]:
        embedded = embed_chunk(chunk, self._engines, self._batch_size, self._address)
        self._computed.inc(sum(len(one.rows) for one in embedded.embeddings.values()))
        self._failed.inc(len(embedded.failures) - len(chunk.failures))
        yield embedded
