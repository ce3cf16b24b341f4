"""A URL -> a file, over any number of broken connections, attempts and runs."""

from __future__ import annotations

import contextlib
import io
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import requests
import urllib3
from urllib3.exceptions import InvalidHeader, ProtocolError
from urllib3.util.retry import Retry

from index.progress import UNSHOWN, Step
from transforms.file_version import (
    Version,
    continues,
    note_of,
    note_version,
    noted_version,
    size_of,
    version_said,
)

BLOCK: Final = 64 << 10
PASSING: Final = (408, 425, 429)  # and 500 and above: the same request may be answered later


@dataclass(frozen=True)
class Patience:
    """How long a download goes on.

    Attributes:
        attempts: in a row that bring nothing new.
        first_wait_s: before the second attempt, doubled before each after it.
        longest_wait_s: between two, also where the server asks for more.
        silence_s: without a byte, until a connection counts as broken.
    """

    attempts: int = 6
    first_wait_s: float = 1.0
    longest_wait_s: float = 60.0
    silence_s: float = 30.0


def download(
    url: str, part: Path, *, step: Step = UNSHOWN, patience: Patience | None = None
) -> None:
    """Fetch a URL into the file `part`, carrying on with what an earlier call left there.

    Beside it, `part`.json says of which version of the file it is a part. A server that does not
    continue a file, or has another one by now, sends it from the start. Redirects are followed.

    Args:
        url: http or https.
        part: the file; when this returns, it is whole.
        step: counts the bytes that are there, and learns how many there are to be.
        patience: how long to go on.

    Raises:
        OSError: it could not be fetched, or not written, which has an errno; what is there is kept for
            the next call, as `can_continue` says.
    """
    with requests.Session() as session:
        _Download(session, url, part, step, patience or Patience()).run()


def can_continue(url: str, part: Path) -> bool:
    """Whether `download` would carry on with what is there."""
    held, version = size_of(part), noted_version(url, part)
    return bool(held and version and (version.validator or version.size == held))


def forget(part: Path) -> None:
    """Remove a file that `download` made, and what it noted of it."""
    part.unlink(missing_ok=True)
    note_of(part).unlink(missing_ok=True)


class _Broken(Exception):
    """An attempt that another may better; the server may say how long to wait for it."""

    def __init__(self, trouble: str, wait_s: float | None = None) -> None:
        super().__init__(trouble)
        self.wait_s = wait_s


@dataclass
class _Download:
    session: requests.Session
    url: str
    part: Path
    step: Step
    patience: Patience
    reached: bool = field(default=False, init=False)  # whether the server has ever answered

    def run(self) -> None:
        most = self._held()
        self.step.advance(most)
        fruitless = 0
        while True:
            try:
                self._attempt()
                return
            except _Broken as trouble:
                # One that starts again each time and breaks at the same place gets nowhere.
                fruitless = 0 if self._held() > most else fruitless + 1
                most = max(most, self._held())
                if fruitless >= self.patience.attempts:
                    raise OSError(f"{trouble}, {fruitless} times in a row") from trouble
                wait_s = self.patience.first_wait_s * 2 ** max(fruitless - 1, 0)
                time.sleep(min(trouble.wait_s or wait_s, self.patience.longest_wait_s))

    def _attempt(self) -> None:
        held, version = self._held(), noted_version(self.url, self.part)
        if version is not None:
            self.step.expect(version.size)
            if version.size == held:
                return
        headers = {"Accept-Encoding": "identity", "User-Agent": "lookalike"}
        if held and version and version.validator:
            headers |= {"Range": f"bytes={held}-", "If-Range": version.validator}
        with contextlib.closing(self._ask(headers)) as answer:
            self.reached = True
            if answer.status_code == 206 and version and continues(answer, held, version):
                self._receive(answer, version)
            elif answer.status_code == 200:
                self._start_again(version := version_said(answer, self.url))
                self._receive(answer, version)
            elif answer.status_code in (206, 416):
                self._start_again(None)
                raise _Broken(f"{answer.url} does not continue what it sent before")
            elif answer.status_code in PASSING or answer.status_code >= 500:
                raise _Broken(_said(answer), _asked_wait_s(answer))
            else:
                raise OSError(f"{_said(answer)}: check the handle")

    def _ask(self, headers: dict[str, str]) -> requests.Response:
        try:
            return self.session.get(
                self.url, headers=headers, stream=True, timeout=self.patience.silence_s
            )
        except requests.RequestException as error:
            if _dropped(error) or (self.reached and _unreachable(error)):
                raise _Broken(f"{self.url}: {_reason(error)}") from error
            # No network, no such host, no trust in its certificate.
            raise OSError(f"{self.url} cannot be reached: {_reason(error)}") from error
        except (urllib3.exceptions.HTTPError, ValueError) as error:
            # requests does not look into every name that it is redirected to.
            raise OSError(f"{self.url} leads to what is no URL: {error}") from error

    def _receive(self, answer: requests.Response, version: Version) -> None:
        try:
            # Written as it arrives: a slow download that is killed keeps what it has.
            with self.part.open("ab", buffering=0) as file:
                while block := answer.raw.read1(BLOCK, decode_content=False):
                    _write_all(file, block)
                    self.step.advance(len(block))
        except urllib3.exceptions.HTTPError as error:
            raise _Broken(f"{answer.url} broke off: {error}") from error
        held = self._held()
        if version.size is None:
            note_version(version.model_copy(update={"size": held}), self.part)
            self.step.expect(held)
        elif held != version.size:
            raise _Broken(f"{answer.url} broke off after {held:,} of {version.size:,} bytes")

    def _held(self) -> int:
        return size_of(self.part)

    def _start_again(self, version: Version | None) -> None:
        """Drop what is there, before it could be taken for a part of another version."""
        self.step.advance(-self._held())
        forget(self.part)
        self.step.expect(version.size if version else None)
        if version is not None:
            note_version(version, self.part)


def _write_all(file: io.FileIO, block: bytes) -> None:
    rest = memoryview(block)
    while rest:  # a disk that is nearly full takes a part
        rest = rest[file.write(rest) :]


def _said(answer: requests.Response) -> str:
    return f"{answer.url} answered {answer.status_code} {answer.reason or ''}".rstrip()


def _asked_wait_s(answer: requests.Response) -> float | None:
    try:
        return Retry().parse_retry_after(answer.headers["Retry-After"])
    except (KeyError, InvalidHeader, ValueError, OverflowError):  # or a date no calendar has
        return None


def _dropped(error: requests.RequestException) -> bool:
    """Whether the server was there, and fell silent or hung up."""
    hung_up = bool(error.args) and isinstance(error.args[0], ProtocolError)
    return hung_up or isinstance(error, requests.ReadTimeout)


def _unreachable(error: requests.RequestException) -> bool:
    distrust = (requests.exceptions.SSLError, requests.exceptions.ProxyError)
    return isinstance(error, requests.ConnectionError) and not isinstance(error, distrust)


def _reason(error: requests.RequestException) -> str:
    inner = error.args[0] if error.args else error
    if isinstance(inner, ProtocolError):
        return str(inner.args[-1])
    text = str(getattr(inner, "reason", None) or error)
    return text.partition("): ")[2] or text  # without the connection, as urllib3 writes it
