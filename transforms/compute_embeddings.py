"""STAGE arrays of model inputs -> embeddings, in fixed batches: the batched DoFn."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
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


@dataclass
class _Outcome:
    """What became of some images of one variant.

    Attributes:
        rows: those that have a vector, ascending.
        vectors: float32 [n, dim] arrays whose rows, one after the other, belong to `rows`.
        errors: what went wrong, by row.
    """

    rows: list[int] = field(default_factory=list)
    vectors: list[NDArray[np.float32]] = field(default_factory=list)
    errors: dict[int, str] = field(default_factory=dict)


def embed_batch(
    engine: Engine, images: NDArray[np.float32], rows: Sequence[int], outcome: _Outcome
) -> None:
    """Compute one batch; where the module fails on it, its halves, until only culprits fail.

    Args:
        engine: of one variant.
        images: float32 [batch, height, width, 3] in [0, 1].
        rows: what each image is called in the outcome.
        outcome: what is added to.
    """
    try:
        vectors = engine.embed(images)
    except Exception as error:  # a module raises what its graph holds: the picture is at fault
        if len(rows) == 1:
            outcome.errors[rows[0]] = f"{type(error).__name__}: {error}"
            return
        middle = len(rows) // 2
        embed_batch(engine, images[:middle], rows[:middle], outcome)
        embed_batch(engine, images[middle:], rows[middle:], outcome)
        return
    finite: NDArray[np.bool_] = np.logical_and.reduce(np.isfinite(vectors), axis=1)
    outcome.rows.extend(row for row, good in zip(rows, finite, strict=True) if good)
    outcome.vectors.append(vectors[finite])
    for row, good in zip(rows, finite, strict=True):
        if not good:
            outcome.errors[row] = "NotFinite: the module's vector holds NaN or infinity"


def embed_chunk(
    chunk: PreparedChunk, engines: Mapping[str, Engine], batch_size: int, progress: Address | None
) -> EmbeddedChunk:
    """The vectors of a chunk's pictures, batch by batch, every variant of a batch in turn."""
    outcomes = {name: _Outcome() for name in engines}
    count = chunk.pictures.num_rows
    for start in range(0, count, batch_size):
        rows = range(start, min(start + batch_size, count))
        for name, engine in engines.items():
            images = chunk.inputs[engine.space.input_size][rows.start : rows.stop]
            embed_batch(engine, images, rows, outcomes[name])
        send_progress(progress, done=len(rows))
    uris = chunk.pictures.column("uri")
    failures = tuple(
        Failure(uris[row].as_py(), "compute", message.split(":")[0], f"variant {name}: {message}")
        for name, outcome in outcomes.items()
        for row, message in sorted(outcome.errors.items())
    )
    embeddings = {
        name: Embeddings(
            rows=np.array(outcome.rows, np.int64),
            vectors=np.concatenate(
                [np.empty((0, engines[name].space.num_features), np.float32), *outcome.vectors]
            ),
        )
        for name, outcome in outcomes.items()
    }
    return EmbeddedChunk(chunk.number, chunk.pictures, embeddings, chunk.failures + failures)


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
        failed = len(embedded.failures) - len(chunk.failures)
        self._computed.inc(sum(len(one.rows) for one in embedded.embeddings.values()))
        self._failed.inc(failed)
        send_progress(self._address, failed=failed)
        yield embedded
