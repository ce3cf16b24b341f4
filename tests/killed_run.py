"""Runs the command line, counts what it decodes, and may kill its own process as `kill -9` would.

python -m tests.killed_run DECODED PLACE CALLS CHUNK TASK lookalike's arguments

DECODED is a file that grows by a byte a decoded picture. The process dies at the CALLS-th call of what
happens at PLACE, 0 for never. CHUNK and TASK are how many pictures one has.
"""

from __future__ import annotations

import importlib
import os
import signal
import sys
from collections.abc import Callable
from itertools import count
from threading import Lock
from typing import Any

PLACES = {
    "listing": "transforms.local_files:local_file",
    "loading": "transforms.engines.engine:load_engine",
    "planning": "transforms.plan_file:write_plan",
    "reading": "transforms.read_images:read_image",
    "decoding": "transforms.model_inputs:prepare_picture",
    "inference": "transforms.chunk_embedder:embed_inputs",
    "keeping": "transforms.attempt:Attempt.write_task",
    "writing": "transforms.write_embeddings:encode_part",
    "completing": "transforms.attempt:Attempt.write_record",
    "publishing": "index.output_folder:OutputFolder.move",
    "deciding": "index.manifest:Manifest.write",
    "sweeping": "index.output_folder:OutputFolder.delete",
}


def replace(place: str, make: Callable[[Any], Any]) -> None:
    """Put what `make` makes of a function in its place."""
    module, _, names = place.partition(":")
    *owners, name = names.split(".")
    owner: Any = importlib.import_module(module)
    for one in owners:
        owner = getattr(owner, one)
    setattr(owner, name, make(getattr(owner, name)))


def killing_at(calls: int) -> Callable[[Any], Any]:
    """Kills the process at the n-th call; 0 for never."""
    counter, lock = count(1), Lock()

    def make(real: Any) -> Any:
        def watched(*arguments: Any, **options: Any) -> Any:
            with lock:
                if next(counter) == calls:
                    os.kill(os.getpid(), signal.SIGKILL)
            return real(*arguments, **options)

        return watched

    return make


def counting_into(path: str) -> Callable[[Any], Any]:
    """Adds a byte to a file for every call."""
    file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)

    def make(real: Any) -> Any:
        def counted(*arguments: Any, **options: Any) -> Any:
            os.write(file, b".")
            return real(*arguments, **options)

        return counted

    return make


if __name__ == "__main__":
    decoded, place, calls, chunk, task = sys.argv[1:6]
    replace("transforms.embedding_plan:CHUNK_FILES", lambda _: int(chunk))
    replace("transforms.chunk_embedder:TASK_PICTURES", lambda _: int(task))
    replace(PLACES["decoding"], counting_into(decoded))
    replace(PLACES[place], killing_at(int(calls)))
    from pipelines.command_line import main

    sys.exit(main(sys.argv[6:]))
