"""What stands before the service: hosts, the token, bounded bodies, safe headers, counted answers."""

from __future__ import annotations

import asyncio
import hmac
import sys
import time
import traceback
from collections.abc import Iterable
from dataclasses import dataclass
from http.cookies import CookieError, SimpleCookie
from typing import Final
from urllib.parse import unquote, urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from pipelines.service.metrics import ServiceMetrics
from pipelines.service.page_files import PAGE_FILES
from pipelines.service.refusals import JsonAnswer, Refused, error_answer

TOKEN_COOKIE: Final = "lookalike_token"
OPEN_PATHS: Final = frozenset({*PAGE_FILES, "/healthz"})  # hold no data
BODY_TIMEOUT_S: Final = 60.0
DRAINED_BYTES: Final = 1 << 30  # of a body that is too large, so that its sender hears why
LOOPBACK: Final = ("localhost", "127.0.0.1", "::1")
HEADERS: Final = {
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; "
        "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
}


@dataclass(frozen=True)
class Guard:
    """Lets through what may reach the service.

    Attributes:
        app: the service.
        metrics: that count its answers.
        max_body: bytes of a request's body.
        token: that a request must bring; None for none.
    """

    app: ASGIApp
    metrics: ServiceMetrics
    max_body: int
    token: str | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or have it answered."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        began = time.perf_counter()
        status = 0

        async def answer(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                own = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    own.setdefault(name, value)
            await send(message)

        body = BoundedBody(receive, self.max_body)
        headers = Headers(scope=scope)
        try:
            refused = self._refuse(headers)
            refused = refused or self._ask_token(scope["path"], headers)
            refused = refused or self._refuse_length(headers)
            if refused is None:
                await self.app(scope, body.receive, answer)
            else:
                await body.drain()
                await refused(scope, receive, answer)
        except Refused as refusal:
            await error_answer(refusal.status, refusal.code, str(refusal))(scope, receive, answer)
        except Exception:  # the service has answered with an error; its log says which
            traceback.print_exc(file=sys.stderr)
        finally:
            route = getattr(scope.get("route"), "path", "other")
            method = scope["method"] if scope["method"] in ("GET", "POST", "HEAD") else "other"
            self.metrics.requests.labels(route, method, str(status)).inc()
            self.metrics.seconds.labels(route).observe(time.perf_counter() - began)

    def _refuse(self, headers: Headers) -> JsonAnswer | None:
        """The answer to a request from a page of another site, which a browser was made to send."""
        if self.token is not None:
            return None
        said = {"host": headers.get("host", ""), "origin": headers.get("origin", LOOPBACK[0])}
        for kind, text in said.items():
            if _host_name(text) not in LOOPBACK:
                message = f"without a token, only {', '.join(LOOPBACK)} are answered as {kind}"
                return error_answer(421, "wrong_host", message)
        return None

    def _refuse_length(self, headers: Headers) -> JsonAnswer | None:
        length = headers.get("content-length", "")
        return error_answer(*_too_large(self.max_body)) if _is_more(length, self.max_body) else None

    def _ask_token(self, path: str, headers: Headers) -> JsonAnswer | None:
        if self.token is None or path in OPEN_PATHS:
            return None
        expected = self.token.encode()
        given = list(_tokens(headers))
        if any(hmac.compare_digest(one.encode(errors="replace"), expected) for one in given):
            return None
        message = "send the token as 'Authorization: Bearer TOKEN'"
        return error_answer(401, "unauthorized", f"wrong token; {message}" if given else message)


class BoundedBody:
    """A request's body, refused where it is too large or comes too slowly."""

    def __init__(self, receive: Receive, most: int) -> None:
        self._receive = receive
        self._most = most
        self._seen = 0
        self._ended = False
        self._deadline = time.monotonic() + BODY_TIMEOUT_S

    async def receive(self) -> Message:
        """The next piece."""
        message = await self._next()
        if self._seen > self._most:
            await self.drain()
            raise Refused(*_too_large(self._most))
        return message

    async def drain(self) -> None:
        """Read what is left, and forget it: a sender that is cut off does not read the answer."""
        while not self._ended and self._seen <= DRAINED_BYTES:
            await self._next()

    async def _next(self) -> Message:
        if self._ended:  # whoever waits now waits for the end of the connection
            return await self._receive()
        try:
            async with asyncio.timeout(self._deadline - time.monotonic()):
                message = await self._receive()
        except TimeoutError:
            self._ended = True
            raise Refused(
                408, "too_slow", f"the request took more than {BODY_TIMEOUT_S:g} s to arrive"
            ) from None
        self._seen += len(message.get("body", b""))
        self._ended = message["type"] != "http.request" or not message.get("more_body", False)
        return message


def _too_large(most: int) -> tuple[int, str, str]:
    return 413, "too_large", f"the request has more than {most:,} bytes; send a smaller one"


def _is_more(length: str, most: int) -> bool:
    """Whether a Content-Length says more than that."""
    return length.isdecimal() and (len(length) > 18 or int(length) > most)


def _tokens(headers: Headers) -> Iterable[str]:
    """What a request brings as its token: in its header, or in the cookie of the page."""
    scheme, _, value = headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        yield _as_sent(value.strip())
    try:
        cookie = SimpleCookie(headers.get("cookie", "")).get(TOKEN_COOKIE)
    except CookieError:
        return
    if cookie is not None:
        yield unquote(cookie.value)


def _as_sent(value: str) -> str:
    """The text of a header: its bytes come as Latin-1, and are UTF-8."""
    return value.encode("latin-1").decode(errors="replace")


def _host_name(text: str) -> str | None:
    """The name in a Host or Origin header.

    >>> _host_name("127.0.0.1:8000"), _host_name("http://[::1]:80"), _host_name("http://evil.example")
    ('127.0.0.1', '::1', 'evil.example')
    """
    try:
        return urlsplit(text if "://" in text else f"//{text}").hostname
    except ValueError:
        return ""
