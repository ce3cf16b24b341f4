"""A search service in this process, and in one of its own, over an output."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from starlette.testclient import TestClient

from index.output_folder import OutputFolder
from pipelines.service.application import build_application
from pipelines.service.guard import Guard
from pipelines.service.metrics import ServiceMetrics
from pipelines.service.picture_files import PictureFiles
from pipelines.service.search_service import SearchService
from pipelines.service.searcher import Searcher
from pipelines.service.served_output import ServedOutput
from transforms.image_embedder import ImageEmbedder
from transforms.read_bytes import read_bytes

ROOT = Path(__file__).parents[1]
LOOPBACK = "http://127.0.0.1"


@contextmanager
def client_of(
    out: Path, *, max_body=1 << 20, token=None, read=read_bytes, embedder=ImageEmbedder.for_space
) -> Iterator[TestClient]:
    """A client of a service in this process, which raises what the service does not answer."""
    served = ServedOutput(OutputFolder.at(out), embedder)
    served.refresh()
    metrics = ServiceMetrics()
    service = SearchService(served, Searcher(metrics, 2), PictureFiles(read, 2), metrics)
    guard = Guard(build_application(service), metrics, max_body, token)
    with TestClient(guard, base_url=LOOPBACK) as client:
        client.served = served
        yield client


@contextmanager
def running_service(
    out: Path, *flags: str, **environment: str
) -> Iterator[tuple[str, subprocess.Popen]]:
    """The address of `lookalike serve`, and its process; ended with the block."""
    command = [
        sys.executable,
        "-m",
        "pipelines.command_line",
        "serve",
        str(out),
        "--port",
        "0",
        *flags,
    ]
    process = subprocess.Popen(
        command,
        cwd=ROOT,
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        found = re.search(r"http://\S+", process.stdout.readline())
        assert found, process.communicate()
        yield found[0], process
    finally:
        process.terminate()
        process.communicate(timeout=60)
