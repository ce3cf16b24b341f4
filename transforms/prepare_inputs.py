"""STAGE chunk of ImageFile -> one array of model inputs a size, and failures."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass

import apache_beam as beam
import numpy as np
import pyarrow as pa
from apache_beam.metrics import Metrics

from index.embedding_dataset import PICTURE_SCHEMA
from transforms.elements import Failure, ImageChunk, ImageFile, PreparedChunk
from transforms.pixels import PreparedPicture, Size, UnreadablePicture, prepare_picture
from transforms.progress import Address, send_progress


def prepare_chunk(chunk: ImageChunk, sizes: Sequence[Size], threads: Executor) -> PreparedChunk:
    """Decode every picture of a chunk once, and resize it to every size, on several threads."""
    inputs = {size: np.empty((len(chunk.images), *size, 3), np.float32) for size in sizes}

    def prepare(row: int) -> PreparedPicture | Failure:
        image = chunk.images[row]
        try:
            picture = prepare_picture(image.data, sizes)
        except UnreadablePicture as trouble:
            return Failure(image.uri, "decode", trouble.reason, str(trouble))
        for size, pixels in picture.inputs.items():
            inputs[size][row] = pixels
        return dataclasses.replace(picture, inputs={})

    outcomes = list(threads.map(prepare, range(len(chunk.images))))
    failures = tuple(outcome for outcome in outcomes if isinstance(outcome, Failure))
    prepared = {
        row: outcome for row, outcome in enumerate(outcomes) if isinstance(outcome, PreparedPicture)
    }
    if failures:
        rows = list(prepared)
        inputs = {size: images[rows] for size, images in inputs.items()}
    table = _picture_table([(chunk.images[row], picture) for row, picture in prepared.items()])
    return PreparedChunk(chunk.number, table, inputs, chunk.failures + failures)


def _picture_table(prepared: list[tuple[ImageFile, PreparedPicture]]) -> pa.Table:
    """PICTURE_SCHEMA, one row a picture."""
    return pa.table(
        {
            "uri": [image.uri for image, _ in prepared],
            "content_hash": [image.content_hash for image, _ in prepared],
            "bytes": [len(image.data) for image, _ in prepared],
            "modified": [_microseconds(image.modified_s) for image, _ in prepared],
            "width": [picture.width for _, picture in prepared],
            "height": [picture.height for _, picture in prepared],
            "format": [picture.format for _, picture in prepared],
        },
        schema=PICTURE_SCHEMA,
    )


def _microseconds(seconds: float | None) -> int | None:
    return None if seconds is None else round(seconds * 1_000_000)


@dataclass
class PrepareInputs(beam.PTransform):
    """Decodes every picture once for all sizes; those that cannot be decoded become failures."""

    sizes: tuple[Size, ...]
    progress: Address | None = None

    def expand(self, images: beam.PCollection[ImageChunk]) -> beam.PCollection[PreparedChunk]:
        """Wire the stage."""
        return images | "Decode and resize" >> beam.ParDo(_PrepareInputs(self.sizes, self.progress))


class _PrepareInputs(beam.DoFn):
    def __init__(self, sizes: tuple[Size, ...], progress: Address | None) -> None:
        self._sizes = sizes
        self._address = progress
        self._decoded = Metrics.counter("lookalike", "pictures_decoded")
        self._failed = Metrics.counter("lookalike", "pictures_undecodable")

    def setup(self) -> None:
        self._threads = ThreadPoolExecutor(os.cpu_count(), thread_name_prefix="decode")

    def process(self, chunk: ImageChunk) -> Iterator[PreparedChunk]:
        prepared = prepare_chunk(chunk, self._sizes, self._threads)
        failed = len(prepared.failures) - len(chunk.failures)
        self._decoded.inc(prepared.pictures.num_rows)
        self._failed.inc(failed)
        send_progress(self._address, failed=failed)
        yield prepared

    def teardown(self) -> None:
        self._threads.shutdown()
