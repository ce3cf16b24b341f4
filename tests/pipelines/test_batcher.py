import asyncio
import threading

import pytest

from pipelines.service.batcher import Batcher, TooBusy
from pipelines.service.remembered import Remembered


def gated(work, *, most=lambda key: 100, waiting=100):
    """A batcher whose first batch waits for the gate; and the batches that it has worked on."""
    gate, batches = threading.Event(), []

    def record(key, items):
        if not batches:
            batches.append((key, list(items)))
            gate.wait(10)
        else:
            batches.append((key, list(items)))
        return work(items)

    return Batcher(record, most=most, threads=1, waiting=waiting, name="test"), gate, batches


async def asked(batcher, gate, requests):
    """The results of requests, the first of which is being worked on while the others come."""
    first = asyncio.create_task(batcher.result(*requests[0]))
    await asyncio.sleep(0.05)
    others = [asyncio.create_task(batcher.result(*one)) for one in requests[1:]]
    await asyncio.sleep(0.05)
    gate.set()
    return await asyncio.gather(first, *others, return_exceptions=True)


def test_what_comes_meanwhile_is_one_batch_of_a_key():
    batcher, gate, batches = gated(lambda items: [one * 2 for one in items])
    requests = [("a", 1), ("a", 2), ("b", 3), ("a", 4)]
    assert asyncio.run(asked(batcher, gate, requests)) == [2, 4, 6, 8]
    assert batches == [("a", [1]), ("a", [2, 4]), ("b", [3])]
    batcher.close()


def test_a_batch_has_no_more_than_it_may():
    batcher, gate, batches = gated(lambda items: items, most=lambda key: 2)
    asyncio.run(asked(batcher, gate, [("a", number) for number in range(6)]))
    assert [len(items) for _, items in batches] == [1, 2, 2, 1]
    batcher.close()


def test_each_request_gets_its_own_failure():
    def work(items):
        return [ValueError(str(one)) if one % 2 else one for one in items]

    batcher, gate, _ = gated(work)
    results = asyncio.run(asked(batcher, gate, [("a", number) for number in range(4)]))
    assert [str(one) for one in results] == ["0", "1", "2", "3"]
    assert [isinstance(one, ValueError) for one in results] == [False, True, False, True]
    batcher.close()


def test_work_that_fails_fails_those_who_asked_and_nobody_else():
    calls = []

    def work(key, items):
        calls.append(key)
        if key == "bad":
            raise RuntimeError("no")
        return items

    batcher = Batcher(work, most=lambda key: 10, threads=1, waiting=10, name="test")
    with pytest.raises(RuntimeError, match="no"):
        asyncio.run(batcher.result("bad", 1))
    assert asyncio.run(batcher.result("good", 2)) == 2
    batcher.close()


def test_what_fails_a_batch_fails_nobody_else():
    def work(items):
        return [10 // one for one in items]

    batcher, gate, _ = gated(work)
    first, bad, good = asyncio.run(asked(batcher, gate, [("a", 1), ("a", 0), ("a", 5)]))
    assert (first, good) == (10, 2)
    assert isinstance(bad, ZeroDivisionError)
    batcher.close()


def test_more_than_may_wait_is_turned_away():
    batcher, gate, _ = gated(lambda items: items, waiting=2)
    results = asyncio.run(asked(batcher, gate, [("a", number) for number in range(5)]))
    assert results[:3] == [0, 1, 2]
    assert all(isinstance(one, TooBusy) for one in results[3:])
    batcher.close()


def test_who_has_gone_is_not_answered_and_others_are():
    batcher, gate, _ = gated(lambda items: items)

    async def run():
        first = asyncio.create_task(batcher.result("a", 1))
        await asyncio.sleep(0.05)
        gone, stays = (asyncio.create_task(batcher.result("a", number)) for number in (2, 3))
        await asyncio.sleep(0.05)
        gone.cancel()
        gate.set()
        return await asyncio.gather(first, gone, stays, return_exceptions=True)

    first, gone, stays = asyncio.run(run())
    assert (first, stays) == (1, 3)
    assert isinstance(gone, asyncio.CancelledError)
    batcher.close()


def test_the_latest_are_remembered_up_to_a_size():
    remembered = Remembered(10, len)
    for word in ("aaaa", "bbbb"):
        remembered.put(word, word)
    assert remembered.get("aaaa") == "aaaa"  # asked for again: the other is older now
    remembered.put("cccc", "cccc")
    assert [remembered.get(one) for one in ("aaaa", "bbbb", "cccc")] == ["aaaa", None, "cccc"]
