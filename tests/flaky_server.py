"""A web server on loopback that sends one file, as badly as a test asks."""

import contextlib
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

Act = Callable[["Request"], None]


@dataclass
class FlakyServer:
    """Answers each request with the next of `acts`, and with `whole` after the last.

    Attributes:
        data: the file.
        tag: its ETag; none is sent where empty.
        modified: its Last-Modified; none is sent where empty.
        ranges: the Range header of every request so far, in order; None where it had none.
        conditions: the same of If-Range.
        url: where it is.
    """

    data: bytes
    tag: str = '"one"'
    modified: str = ""
    acts: list[Act] = field(default_factory=list)
    ranges: list[str | None] = field(default_factory=list)
    conditions: list[str | None] = field(default_factory=list)
    url: str = ""


class Request(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    owner: FlakyServer

    def do_GET(self) -> None:
        self.owner.ranges.append(self.headers["Range"])
        self.owner.conditions.append(self.headers["If-Range"])
        act = self.owner.acts.pop(0) if self.owner.acts else whole
        self.close_connection = True
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            act(self)

    def log_message(self, *_: object) -> None:
        pass

    def begin(self, status: int, length: int | None, **headers: str) -> None:
        self.send_response(status)
        self.send_header("Connection", "close")
        if length is not None:
            self.send_header("Content-Length", str(length))
        for name, value in (("ETag", self.owner.tag), ("Last-Modified", self.owner.modified)):
            if value:
                self.send_header(name, value)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()


def whole(request: Request) -> None:
    """As a good server: the part that is asked for, if it is of this version."""
    _send(request, len(request.owner.data))


def cut(after: int) -> Act:
    """Promise all that is left, and hang up after so many bytes of the file."""
    return lambda request: _send(request, after)


def status(code: int, **headers: str) -> Act:
    return lambda request: request.begin(code, 0, **headers)


def without_ranges(after: int | None = None) -> Act:
    """From the start, whatever is asked for."""

    def act(request: Request) -> None:
        request.begin(200, len(request.owner.data))
        request.wfile.write(request.owner.data[:after])

    return act


def redirect(to: str) -> Act:
    return lambda request: request.begin(302, 0, Location=to)


def _send(request: Request, end: int) -> None:
    owner, asked = request.owner, request.headers["Range"]
    same = request.headers["If-Range"] in (owner.tag, owner.modified)
    if asked is None or not same:
        request.begin(200, len(owner.data))
        request.wfile.write(owner.data[:end])
        return
    start, size = int(asked.removeprefix("bytes=").removesuffix("-")), len(owner.data)
    span = f"bytes {start}-{size - 1}/{size}"
    request.begin(206, size - start, Content_Range=span)
    request.wfile.write(owner.data[start:end])


@contextlib.contextmanager
def serving(owner: FlakyServer) -> Iterator[FlakyServer]:
    handler = type("Handler", (Request,), {"owner": owner})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            owner.url = f"http://127.0.0.1:{server.server_port}/m.tar.gz"
            yield owner
        finally:
            server.shutdown()
            thread.join()
