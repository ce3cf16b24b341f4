"""Where the processor's time goes: the steps of our path, timed one by one on one thread."""

from __future__ import annotations

import hashlib
import tempfile
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from time import process_time
from typing import Any

import numpy as np

from index.output_folder import OutputFolder
from transforms.attempt import Attempt
from transforms.chunk_embedder import TASK_PICTURES
from transforms.decoding import decode_picture
from transforms.elements import EmbeddedChunk, Embeddings, ImageFile
from transforms.embedded_task import EmbeddedTask
from transforms.engines.engine import Engine
from transforms.model_inputs import picture_table
from transforms.pixels import LARGEST_USUAL_TARGET, PreparedPicture
from transforms.read_bytes import read_bytes
from transforms.resizing import resize
from transforms.write_embeddings import write_parts


def profile_steps(files: Sequence[str], engines: Mapping[str, Engine]) -> dict[str, float]:
    """CPU milliseconds a picture, by step; the model's is the call of every engine."""
    sizes = list(dict.fromkeys(engine.space.input_size for engine in engines.values()))
    target = max(LARGEST_USUAL_TARGET, *(side for size in sizes for side in size))
    data = [read_bytes(path) for path in files]
    decoded = [decode_picture(one, target) for one in data]
    arrays = {size: [resize(one.pixels, size)[None] for one in decoded] for size in sizes}
    vectors = {
        name: np.concatenate([engine.embed(one) for one in arrays[engine.space.input_size]])
        for name, engine in engines.items()
    }
    pictures = [
        (
            ImageFile(path, one, "0" * 64, 0.0),
            PreparedPicture(picture.width, picture.height, picture.format, {}),
        )
        for path, one, picture in zip(files, data, decoded, strict=True)
    ]
    rows = np.arange(len(files))
    spaces = {name: engine.space for name, engine in engines.items()}

    def write() -> None:
        embeddings = {name: Embeddings(rows, found) for name, found in vectors.items()}
        chunk = EmbeddedChunk(0, picture_table(pictures), embeddings, ())
        with tempfile.TemporaryDirectory() as scratch:
            write_parts(chunk, OutputFolder.at(Path(scratch)), spaces)

    def keep() -> None:
        with tempfile.TemporaryDirectory() as scratch:
            attempt = Attempt(OutputFolder.at(Path(scratch)))
            for start in range(0, len(files), TASK_PICTURES):
                task = slice(start, start + TASK_PICTURES)
                found = {name: one[task] for name, one in vectors.items()}
                attempt.write_task(0, EmbeddedTask(picture_table(pictures[task]), found, ()))

    def each(step: Callable[..., object], *items: Iterable[Any]) -> Callable[[], object]:
        return lambda: deque(map(step, *items), maxlen=0)

    resizes = [(one.pixels, size) for one in decoded for size in sizes]
    calls = [
        (engine, one) for engine in engines.values() for one in arrays[engine.space.input_size]
    ]
    steps: dict[str, Callable[[], object]] = {
        "read": each(read_bytes, files),
        "hash": each(lambda one: hashlib.sha256(one).hexdigest(), data),
        "decode": each(lambda one: decode_picture(one, target), data),
        "resize": each(lambda pair: resize(*pair), resizes),
        "model": each(lambda pair: pair[0].embed(pair[1]), calls),
        "keep tasks": keep,
        "write Parquet": write,
    }
    return {name: _milliseconds(step) / len(files) for name, step in steps.items()}


def _milliseconds(step: Callable[[], object]) -> float:
    step()
    spent = []
    for _ in range(3):
        start = process_time()
        step()
        spent.append(process_time() - start)
    return sorted(spent)[1] * 1e3
