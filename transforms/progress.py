"""How far a run is: datagrams on loopback from the stages to whoever listens in the launcher.

Beam shows no counter of an in-process run before its end. Where nobody listens, as on a remote
worker, nothing is sent.
"""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from index.progress import Step

Address = tuple[str, int]
_COUNTS: Final = struct.Struct("!QQ")
WAIT_S: Final = 0.2


def send_progress(address: Address | None, *, done: int = 0, failed: int = 0) -> None:
    """Say that so many more are done, and so many more have failed.

    A lost datagram loses no more than its share of what is shown.
    """
    if address is not None and (done or failed):
        sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        with contextlib.suppress(OSError), sender:
            sender.sendto(_COUNTS.pack(done, failed), address)


@dataclass
class ProgressListener:
    """Adds up what senders send.

    Attributes:
        done: as senders count.
        failed: such as pictures that could not be used.
    """

    done: int = 0
    failed: int = 0
    _socket: socket.socket = field(
        default_factory=lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    )

    def __post_init__(self) -> None:
        self._socket.bind(("127.0.0.1", 0))

    @property
    def address(self) -> Address:
        """Where senders send to."""
        host, port = self._socket.getsockname()
        return host, port

    def receive(self, timeout_s: float) -> None:
        """Take in what has arrived, waiting at most `timeout_s` for the first."""
        self._socket.settimeout(timeout_s)
        with contextlib.suppress(TimeoutError, BlockingIOError):
            while True:
                done, failed = _COUNTS.unpack(self._socket.recv(_COUNTS.size))
                self.done += done
                self.failed += failed
                self._socket.setblocking(False)

    def wake(self) -> None:
        """End the wait of `receive`, from another thread."""
        self._socket.sendto(_COUNTS.pack(0, 0), self.address)

    def close(self) -> None:
        """Stop listening."""
        self._socket.close()


@contextlib.contextmanager
def heard(step: Step) -> Iterator[Address]:
    """Advance a step by what arrives, until the block ends.

    Yields:
        Where the stages are to send their counts.
    """
    listener = ProgressListener()
    stop = threading.Event()

    def hear() -> None:
        done = failed = 0
        while True:
            is_last = stop.is_set()
            listener.receive(0.001 if is_last else WAIT_S)
            if (listener.done, listener.failed) != (done, failed):
                step.advance(listener.done - done, failed=listener.failed - failed)
                done, failed = listener.done, listener.failed
            if is_last:
                return

    thread = threading.Thread(target=hear, name="progress", daemon=True)
    thread.start()
    try:
        yield listener.address
    finally:
        stop.set()
        listener.wake()
        thread.join()
        listener.close()
