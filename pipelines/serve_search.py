"""JOB answer similarity queries over HTTP, with a page.

lookalike serve out
"""

from __future__ import annotations

import os
import signal
import socket
import sys
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Final

from index.errors import LookalikeError, UsageError
from pipelines.job import JobReport, flag, memory_size, port_number, thread_count
from pipelines.module_flags import engine_flag, modules_flag

if TYPE_CHECKING:
    from index.vector_space import VectorSpace
    from transforms.image_embedder import ImageEmbedder

TOKEN_VARIABLE: Final = "LOOKALIKE_TOKEN"
STOP_TIMEOUT_S: Final = 30
BACKLOG: Final = 512
MOST_CONNECTIONS: Final = 2000


@dataclass(frozen=True)
class ServeSearch:
    """Serve the indexes of an output: search, neighbors, thumbnails and groups, and a page at /.

    Stops when it is interrupted or terminated, once what it was asked is answered. An index that is
    built or brought up to date meanwhile is taken up.
    """

    output: str = flag("a folder with an index", positional=True, metavar="OUT")
    variant: tuple[str, ...] = flag(
        "which to serve; all that have an index if not given", default=(), many=True, metavar="NAME"
    )
    host: str = flag("the address to listen at", default="127.0.0.1", metavar="ADDRESS")
    port: int = flag("0 takes any that is free", default=8000, parse=port_number, metavar="N")
    token: str | None = flag(
        f"what requests must bring; ${TOKEN_VARIABLE} if not given. Needed where others than this "
        "machine can reach the address",
        default=None,
        metavar="TEXT",
    )
    max_upload: int = flag(
        "the largest request, such as 32MB", default=32 << 20, parse=memory_size, metavar="SIZE"
    )
    modules: str | None = modules_flag()
    engine: str = engine_flag()
    threads: int | None = flag(
        "threads that embed; all cores if not given", default=None, parse=thread_count, metavar="N"
    )

    def run(self) -> JobReport:
        """Open what there is, listen, and serve until stopped."""
        token = (self.token or os.environ.get(TOKEN_VARIABLE) or "").strip() or None
        listener = self._listen(token)
        with listener:
            return self._serve(listener, token)

    def _serve(self, listener: socket.socket, token: str | None) -> JobReport:
        try:
            import uvicorn

            from pipelines.service.application import build_application
            from pipelines.service.guard import Guard
            from pipelines.service.metrics import ServiceMetrics
            from pipelines.service.patient_protocol import PatientProtocol
            from pipelines.service.picture_files import PictureFiles
            from pipelines.service.search_service import SearchService
            from pipelines.service.searcher import Searcher
        except ImportError as error:
            raise LookalikeError(
                f"serving needs more packages ({error}): pip install 'lookalike[serve]'"
            ) from error
        import faiss

        from index.output_folder import OutputFolder
        from pipelines.service.served_output import ServedOutput, require_output
        from pipelines.start_beam import start_beam
        from transforms.read_bytes import read_bytes
        from transforms.variants import stored_name
        from transforms.work_threads import usable_cores

        start_beam()  # its filesystems read pictures
        _allow_open_files(2 * MOST_CONNECTIONS)
        faiss.omp_set_num_threads(1)  # requests come side by side
        output = OutputFolder.at(self.output)
        names = {stored_name(text) or text: text for text in self.variant}
        require_output(output, names)
        threads = self.threads or usable_cores()
        served = ServedOutput(output, partial(self._embedder, names), tuple(names))
        for line in served.refresh():
            _tell(line)
        if not served.variants:
            _tell(f"{output.root} holds no index yet; it is served as soon as it is built")
        metrics = ServiceMetrics()
        files = PictureFiles(read_bytes, threads)
        service = SearchService(served, Searcher(metrics, threads), files, metrics)
        server = uvicorn.Server(
            uvicorn.Config(
                Guard(build_application(service), metrics, self.max_upload, token),
                access_log=False,
                log_level="critical",
                server_header=False,
                timeout_graceful_shutdown=STOP_TIMEOUT_S,
                timeout_keep_alive=STOP_TIMEOUT_S,
                limit_concurrency=MOST_CONNECTIONS,
                http=PatientProtocol,
            )
        )
        # uvicorn answers what it was asked, then raises the signal again: to us that is no failure.
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: None)
        print(f"serving {output.root} at {_url(listener)}", flush=True)
        server.run(sockets=[listener])
        return JobReport()

    def _embedder(self, names: dict[str, str], space: VectorSpace) -> ImageEmbedder:
        """What embeds queries for an index, as the user named it, or as it was embedded."""
        from transforms.image_embedder import ImageEmbedder

        return ImageEmbedder.for_space(
            space, variant=names.get(space.variant), modules=self.modules, engine=self.engine
        )

    def _listen(self, token: str | None) -> socket.socket:
        """The open socket.

        Raises:
            UsageError: an address that others reach, and no token.
            LookalikeError: an address or a port that cannot be had.
        """
        try:
            found = socket.getaddrinfo(self.host, self.port, type=socket.SOCK_STREAM)
            family, kind, protocol, _, address = found[0]
            if token is None and not _is_loopback(str(address[0])):
                raise UsageError(
                    f"others can reach {self.host}: give a token, best in ${TOKEN_VARIABLE}, or leave "
                    "out --host"
                )
            listener = socket.socket(family, kind, protocol)
            try:
                listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                listener.bind(address)
                listener.listen(BACKLOG)
            except OSError:
                listener.close()
                raise
            return listener
        except OSError as error:
            reason = error.strerror or str(error)
            raise LookalikeError(
                f"{self.host}:{self.port} cannot be listened at: {reason}; choose another --port"
            ) from error


def _is_loopback(address: str) -> bool:
    import ipaddress

    return ipaddress.ip_address(address.partition("%")[0]).is_loopback


def _allow_open_files(count: int) -> None:
    """Have this process open so many files, where the system lets it."""
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = count if hard == resource.RLIM_INFINITY else min(count, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def _url(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _tell(line: str) -> None:
    print(f"lookalike serve: {line}", file=sys.stderr, flush=True)
