"""Requests that come one by one -> results, computed for as many at once as are waiting."""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Callable, Hashable, Sequence
from typing import Generic, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


class TooBusy(Exception):
    """More is waiting than will be taken."""


class Batcher(Generic[Item, Result]):
    """Threads that each take what is waiting, at most so many at once, and work on it.

    Nothing waits for company: a single request is worked on at once, and what comes meanwhile is the
    next batch. Requests of one batch have the same key.

    Args:
        work: a key and the items of a batch -> the result of each, or the exception for it.
        most: items of a batch, by its key.
        threads: that work.
        waiting: items that may wait; more are turned away.
        name: of the threads.
    """

    def __init__(
        self,
        work: Callable[[Hashable, Sequence[Item]], Sequence[Result | Exception]],
        *,
        most: Callable[[Hashable], int],
        threads: int,
        waiting: int,
        name: str,
    ) -> None:
        self._work = work
        self._most = most
        self._limit = waiting
        self._waiting: deque[tuple[Hashable, Item, asyncio.Future[Result]]] = deque()
        self._changed = threading.Condition()
        self._closed = False
        for number in range(threads):
            threading.Thread(target=self._run, name=f"{name}-{number}", daemon=True).start()

    async def result(self, key: Hashable, item: Item) -> Result:
        """The result for an item; raises what the work has for it.

        Raises:
            TooBusy: as many are waiting as may.
        """
        future: asyncio.Future[Result] = asyncio.get_running_loop().create_future()
        with self._changed:
            if len(self._waiting) >= self._limit:
                raise TooBusy(f"{self._limit} requests are waiting already; ask again in a moment")
            self._waiting.append((key, item, future))
            self._changed.notify()
        return await future

    def close(self) -> None:
        """End the threads once nothing is waiting."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def _run(self) -> None:
        while batch := self._next_batch():
            results = self._results(batch[0][0], [item for _, item, _ in batch])
            futures = [future for _, _, future in batch]
            try:
                futures[0].get_loop().call_soon_threadsafe(_settle, futures, results)
            except RuntimeError:
                return  # the loop is closed: nobody waits any more

    def _results(self, key: Hashable, items: Sequence[Item]) -> Sequence[Result | Exception]:
        """The result of each; what fails a batch is worked on alone, so that it fails nobody else."""
        try:
            return self._work(key, items)
        except Exception as error:
            if len(items) == 1:
                return [error]
            return [self._results(key, [item])[0] for item in items]

    def _next_batch(self) -> list[tuple[Hashable, Item, asyncio.Future[Result]]]:
        """The first that waits and others of its key, in their order; nothing once it is closed."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._closed)
            if not self._waiting:
                return []
            key = self._waiting[0][0]
            most = self._most(key)
            batch = [one for one in self._waiting if one[0] == key][:most]
            if len(batch) == len(self._waiting):
                self._waiting.clear()
            else:
                taken = {id(one) for one in batch}
                self._waiting = deque(one for one in self._waiting if id(one) not in taken)
            return batch


def _settle(
    futures: Sequence[asyncio.Future[Result]], results: Sequence[Result | Exception]
) -> None:
    for future, result in zip(futures, results, strict=True):
        if future.done():  # whoever asked has gone
            continue
        if isinstance(result, Exception):
            future.set_exception(result)
        else:
            future.set_result(result)
