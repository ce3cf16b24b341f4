"""The search service under load: many clients at once against one at a time, in one run.

python -m benchmarks.serve out photos --modules modules --clients 16 --seconds 60

The service runs in a process of its own, the clients in this one, on the same machine. A client sends a
picture, reads the answer, and sends the next; rounds of one client and of many take turns. Pictures are
told apart by some bytes behind their end, so that every one is new to the service ("new"), or sent again
and again ("again"): a vector that was computed is remembered.
"""

from __future__ import annotations

import argparse
import contextlib
import http.client
import itertools
import json
import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import numpy as np
from rich.console import Console

from benchmarks.figures import empty_table
from benchmarks.machine import describe_machine
from pipelines.job import positive

BOUNDARY: Final = "a-boundary-that-no-picture-holds"
WARM_UP_S: Final = 3.0
ROUNDS: Final = 3
FIGURES: Final = ("median_ms", "p99_ms", "a_second")
NextBody = Callable[[], bytes]


@dataclass
class Round:
    """What some clients measured.

    Attributes:
        clients: how many there were.
        elapsed_s: how long they sent.
        latencies_s: of each answer.
        errors: answers that were none.
    """

    clients: int
    elapsed_s: float = 0.0
    latencies_s: list[float] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)

    @property
    def rate(self) -> float:
        """Answers a second."""
        return len(self.latencies_s) / self.elapsed_s

    def percentile_ms(self, share: float) -> float:
        """A percentile of the latencies, in milliseconds."""
        return float(np.percentile(self.latencies_s, share)) * 1e3


def main(arguments: Sequence[str] | None = None) -> dict[str, Any]:
    """Measure, print a table, and give the figures."""
    options = _parser().parse_args(arguments)
    photos = [
        path.read_bytes() for path in sorted(Path(options.photos).rglob("*")) if _is_jpeg(path)
    ]
    if not photos:
        raise SystemExit(f"{options.photos} holds no JPEG")
    figures: dict[str, Any] = {"machine": describe_machine(), "clients": options.clients}
    table = empty_table(
        "Search by a picture",
        [
            "pictures, clients",
            "median ms",
            "p99 ms",
            "a second",
            "throughput",
            "p99 / alone",
            "errors",
        ],
    )
    with _service(options) as address:
        for kind, bodies in (("new", _new_bodies(photos)), ("again", _same_bodies(photos))):
            alone, many = _measure(address, _one_at_a_time(bodies), options)
            ratios = (
                many.rate / alone.rate,
                many.percentile_ms(99) / alone.percentile_ms(50),
            )
            figures[kind] = {
                "one": _figures(alone),
                "many": _figures(many),
                "throughput_ratio": ratios[0],
                "p99_ratio": ratios[1],
                "errors": (alone.errors + many.errors)[:5],
            }
            for whole, more in ((alone, ("", "")), (many, [f"x {one:.2f}" for one in ratios])):
                measured = (f"{value:.1f}" for value in _figures(whole).values())
                table.add_row(f"{kind}, {whole.clients}", *measured, *more, str(len(whole.errors)))
    Console().print(table)
    if options.json:
        Path(options.json).write_text(json.dumps(figures, indent=2), encoding="utf-8")
    return figures


def _measure(
    address: tuple[str, int], next_body: NextBody, options: argparse.Namespace
) -> tuple[Round, Round]:
    """One client, and as many as are asked for, in turns."""
    _send(address, next_body, 2, WARM_UP_S)
    alone, many = Round(1), Round(options.clients)
    for _ in range(ROUNDS):
        for whole in (alone, many):
            one = _send(address, next_body, whole.clients, options.seconds / ROUNDS)
            whole.elapsed_s += one.elapsed_s
            whole.latencies_s += one.latencies_s
            whole.errors += one.errors
    return alone, many


def _figures(one: Round) -> dict[str, float]:
    values = one.percentile_ms(50), one.percentile_ms(99), one.rate
    return dict(zip(FIGURES, values, strict=True))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.serve", description=__doc__)
    parser.add_argument("output", help="a folder with an index")
    parser.add_argument("photos", help="a folder of JPEGs to search with")
    parser.add_argument("--modules", help="a folder that mirrors modules")
    parser.add_argument("--engine", default="auto")
    parser.add_argument("--clients", type=positive, default=16)
    parser.add_argument(
        "--seconds", type=positive, default=60, help="of each kind and number of clients"
    )
    parser.add_argument("--json", help="also write the figures there")
    return parser


@contextlib.contextmanager
def _service(options: argparse.Namespace) -> Iterator[tuple[str, int]]:
    """The service, started for a block; its address."""
    command = [
        *(sys.executable, "-m", "pipelines.command_line", "serve", options.output, "--port", "0"),
        *(["--modules", options.modules] if options.modules else []),
        *("--engine", options.engine),
    ]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            found = re.search(r"http://\S+", process.stdout.readline())
            if found is None:
                raise SystemExit("the service did not start")
            parts = urlsplit(found[0])
            yield parts.hostname or "", parts.port or 0
        finally:
            process.terminate()
            if code := process.wait(60):
                print(f"the service ended with {code}", file=sys.stderr)


def _is_jpeg(path: Path) -> bool:
    return path.is_file() and path.read_bytes()[:3] == b"\xff\xd8\xff"


def _body(photo: bytes) -> bytes:
    head = f'--{BOUNDARY}\r\ncontent-disposition: form-data; name="image"; filename="a.jpg"\r\n\r\n'
    return head.encode() + photo + f"\r\n--{BOUNDARY}--\r\n".encode()


def _new_bodies(photos: Sequence[bytes]) -> Iterator[bytes]:
    for number, photo in enumerate(itertools.cycle(photos)):
        yield _body(photo + f"{number:012}".encode())


def _same_bodies(photos: Sequence[bytes]) -> Iterator[bytes]:
    return itertools.cycle([_body(photo) for photo in photos])


def _one_at_a_time(bodies: Iterator[bytes]) -> NextBody:
    """The next body, whichever thread asks."""
    lock = threading.Lock()

    def following() -> bytes:
        with lock:
            return next(bodies)

    return following


def _send(address: tuple[str, int], next_body: NextBody, clients: int, seconds: float) -> Round:
    """Some clients, each sending one request after the other for so long."""
    round = Round(clients)
    end = time.perf_counter() + seconds

    def run() -> None:
        connection = http.client.HTTPConnection(*address, timeout=60)
        headers = {"content-type": f"multipart/form-data; boundary={BOUNDARY}"}
        while time.perf_counter() < end:
            body = next_body()
            began = time.perf_counter()
            try:
                connection.request("POST", "/search", body, headers)
                answer = connection.getresponse()
                read = answer.read()
            except OSError as error:
                round.errors.append(str(error))
                connection.close()
                continue
            if answer.status != 200 or b'"neighbors":[{' not in read:
                round.errors.append(f"{answer.status}: {read[:200]!r}")
            round.latencies_s.append(time.perf_counter() - began)
        connection.close()

    began = time.perf_counter()
    threads = [threading.Thread(target=run) for _ in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    round.elapsed_s = time.perf_counter() - began
    return round


if __name__ == "__main__":
    main()
