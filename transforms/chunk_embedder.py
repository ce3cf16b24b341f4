"""Chunks of image files -> embedded chunks, on all cores.

The work of a chunk is cut into tasks of a few pictures. One thread takes a task from file bytes to
vectors: it decodes, resizes and calls every module while the pictures are in its core's cache. So
decoding and computing overlap, no thread waits for another, and what is in memory is a few pictures
a thread, not a chunk's.

One chunk is started ahead of the one that is finished: while the pipeline writes a chunk and reads
another, the threads have work.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Executor, Future
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from index.manifest import VectorType
from transforms.attempt import Attempt
from transforms.elements import EmbeddedChunk, ImageChunk, ImageFile
from transforms.embedded_task import EmbeddedTask, is_finite, join_tasks
from transforms.engines.engine import Engine
from transforms.model_inputs import failure_of, picture_table, prepare_inputs
from transforms.progress import Address, send_progress

TASK_PICTURES: Final = 8
TASK_BYTES: Final = 2 << 20
CHUNKS_AHEAD: Final = 1
MESSAGE_LENGTH: Final = 600
MOST_ROUNDING: Final = 0.01  # of a vector's length


@dataclass
class ChunkEmbedder:
    """Embeds chunks in the order in which they are put.

    Attributes:
        engines: by the variant's name.
        threads: what works.
        vector_type: of the vectors to give.
        progress: where to report.
        attempt: keeps what each task has computed until its chunk is complete; None for nobody.
    """

    engines: Mapping[str, Engine]
    threads: Executor
    vector_type: VectorType = "float32"
    progress: Address | None = None
    attempt: Attempt | None = None
    _started: deque[tuple[ImageChunk, list[Future[EmbeddedTask]]]] = field(default_factory=deque)

    def put(self, chunk: ImageChunk) -> Iterator[EmbeddedChunk]:
        """Start a chunk; gives the chunks that are finished before it."""
        batch = max((self.engines[name].batch_size for name in chunk.variants), default=1)
        tasks = [self.threads.submit(self._kept, name) for name in chunk.tasks]
        for images in split_images(chunk.images, batch):
            tasks.append(self.threads.submit(self._embed, chunk, images))
        self._started.append((chunk, tasks))
        while len(self._started) > CHUNKS_AHEAD:
            yield self._finish()

    def drain(self) -> Iterator[EmbeddedChunk]:
        """The chunks that are still under way."""
        while self._started:
            yield self._finish()

    def _kept(self, name: str) -> EmbeddedTask:
        """A task of an earlier attempt."""
        assert self.attempt is not None  # chunks that name tasks come from a plan beside them
        return self.attempt.read_task(name)

    def _embed(self, chunk: ImageChunk, images: Sequence[ImageFile]) -> EmbeddedTask:
        """One task: file bytes to vectors, kept for the next attempt should this one die."""
        engines = {name: self.engines[name] for name in chunk.variants}
        sizes = dict.fromkeys(engine.space.input_size for engine in engines.values())
        inputs = prepare_inputs(images, tuple(sizes))
        failures = list(inputs.failures)
        vectors = {}
        for name, engine in engines.items():
            computed, raised = embed_inputs(engine, inputs.arrays[engine.space.input_size])
            vectors[name] = stored_vectors(computed, self.vector_type)
            held = is_finite(computed)
            for row in np.flatnonzero(~is_finite(vectors[name])).tolist():
                error, message = _describe(raised.get(row), held=bool(held[row]))
                image, _ = inputs.pictures[row]
                failures.append(failure_of(image, "compute", error, message, name))
        # The model inputs end here: a chunk of them would be a hundred megabytes and more.
        task = EmbeddedTask(picture_table(inputs.pictures), vectors, tuple(failures))
        if self.attempt is not None:
            self.attempt.write_task(chunk.number, task)
        failed = len({failure.uri for failure in failures})
        send_progress(self.progress, done=len(images) - failed, failed=failed)
        return task

    def _finish(self) -> EmbeddedChunk:
        """The oldest chunk, when its tasks are done."""
        chunk, tasks = self._started.popleft()
        return join_tasks(chunk, [task.result() for task in tasks])


def split_images(images: Sequence[ImageFile], batch: int) -> Iterator[Sequence[ImageFile]]:
    """Tasks of at least `batch` pictures; above it, of at most TASK_PICTURES and TASK_BYTES of files.

    Large pictures take long to decode: eight of them on one thread would leave the others idle at
    the end of a run.
    """
    most = max(TASK_PICTURES, batch)
    start = size = 0
    for number, image in enumerate(images):
        pictures = number - start
        is_large = size + len(image.data) > TASK_BYTES
        if pictures == most or (pictures >= batch and is_large):
            yield images[start:number]
            start, size = number, 0
        size += len(image.data)
    if start < len(images):
        yield images[start:]


def embed_inputs(
    engine: Engine, images: NDArray[np.float32]
) -> tuple[NDArray[np.float32], dict[int, Exception]]:
    """The vectors of a batch; where the module fails on it, of its halves, until only culprits fail.

    Args:
        engine: of one variant.
        images: float32 [batch, height, width, 3] in [0, 1].

    Returns:
        float32 [batch, dim], NaN for culprits; and what the module raised, by the culprit's row.
    """
    if len(images) == 0:
        return np.empty((0, engine.space.num_features), np.float32), {}
    try:
        return engine.embed(images), {}
    except Exception as error:  # a module raises what its graph holds: the picture is at fault
        if len(images) == 1:
            return np.full((1, engine.space.num_features), np.nan, np.float32), {0: error}
    middle = len(images) // 2
    first, first_raised = embed_inputs(engine, images[:middle])
    second, second_raised = embed_inputs(engine, images[middle:])
    moved = {middle + row: raised for row, raised in second_raised.items()}
    return np.concatenate([first, second]), first_raised | moved


def stored_vectors(vectors: NDArray[np.float32], vector_type: VectorType) -> NDArray[np.floating]:
    """Vectors in the type they are stored in; NaN for those that float16 does not hold.

    float16 knows numbers from 0.0001 to 65,504 to three digits: a vector of larger or smaller ones
    would come out as infinities or zeros.
    """
    if vector_type == "float32":
        return vectors
    with np.errstate(over="ignore", invalid="ignore"):
        stored = vectors.astype(vector_type)
        wide = vectors.astype(np.float64)  # in which the square of no float32 is zero
        error = np.linalg.norm(stored - wide, axis=1)
    stored[~(error <= MOST_ROUNDING * np.linalg.norm(wide, axis=1))] = np.nan
    return stored


def _describe(raised: Exception | None, *, held: bool) -> tuple[str, str]:
    """The kind of a failure and its text on one line.

    Args:
        raised: by the module; None where it gave a vector.
        held: whether that vector was finite before it was rounded to the stored type.
    """
    if raised is not None:
        return type(raised).__name__, " ".join(str(raised).split())[:MESSAGE_LENGTH]
    if held:
        return "OutOfRange", "float16 does not hold the module's vector; store float32"
    return "NotFinite", "the module's vector holds NaN or infinity"
