import time

import numpy as np
import pytest

from tests.flaky_server import (
    FlakyServer,
    Request,
    cut,
    redirect,
    serving,
    status,
    whole,
    without_ranges,
)
from transforms.http_download import Patience, download

DATA = np.random.default_rng(0).bytes(300_000)
QUICK = Patience(attempts=3, first_wait_s=0.001, longest_wait_s=0.01, silence_s=0.5)


@pytest.fixture
def server():
    with serving(FlakyServer(DATA)) as running:
        yield running


@pytest.fixture
def part(tmp_path):
    return tmp_path / "archive.part"


def fetch(server, part) -> int:
    """Download; the sum of what was told to `advance`."""
    told: list[int] = []
    download(server.url, part, advance=told.append, patience=QUICK)
    return sum(told)


def test_a_file_arrives_whole_and_its_bytes_are_told(server, part):
    assert fetch(server, part) == len(DATA)
    assert part.read_bytes() == DATA
    assert server.ranges == [None]


def test_a_dropped_connection_is_carried_on_where_it_broke(server, part):
    server.acts = [cut(100_000), cut(200_000), whole]
    assert fetch(server, part) == len(DATA)
    assert part.read_bytes() == DATA
    assert server.ranges == [None, "bytes=100000-", "bytes=200000-"]
    assert server.conditions[1:] == ['"one"', '"one"']


def test_another_run_carries_on_where_the_first_gave_up(server, part):
    server.acts = [cut(100_000), *[status(503)] * 3]
    with pytest.raises(OSError, match=r"answered 503 .*3 times in a row"):
        fetch(server, part)
    assert part.stat().st_size == 100_000
    assert fetch(server, part) == len(DATA)
    assert part.read_bytes() == DATA
    assert server.ranges[-1] == "bytes=100000-"


def test_a_whole_file_is_not_asked_for_again(server, part):
    fetch(server, part)
    assert fetch(server, part) == len(DATA)
    assert len(server.ranges) == 1


def test_a_file_that_has_changed_is_fetched_from_the_start(server, part):
    def change_and_send(request: Request) -> None:
        server.data, server.tag = DATA[::-1], '"two"'
        whole(request)

    server.acts = [cut(100_000), change_and_send]
    assert fetch(server, part) == len(DATA)
    assert part.read_bytes() == DATA[::-1]


def test_a_server_without_ranges_starts_again(server, part):
    server.acts = [without_ranges(100_000), without_ranges()]
    assert fetch(server, part) == len(DATA)
    assert part.read_bytes() == DATA


def test_a_server_that_never_gets_further_is_given_up(server, part):
    server.acts = [without_ranges(100_000)] * 50
    with pytest.raises(OSError, match="broke off"):
        fetch(server, part)
    assert len(server.ranges) == 4


@pytest.mark.parametrize("tag", ["", 'W/"weak"'])
def test_without_a_validator_nothing_is_joined(server, part, tag):
    server.tag = tag
    server.acts = [cut(100_000), whole]
    fetch(server, part)
    assert part.read_bytes() == DATA
    assert server.ranges == [None, None]


def test_the_time_of_change_stands_in_for_an_etag(server, part):
    server.tag, server.modified = "", "Sat, 21 Nov 2026 10:00:00 GMT"
    server.acts = [cut(100_000), whole]
    fetch(server, part)
    assert part.read_bytes() == DATA
    assert server.conditions == [None, server.modified]


@pytest.mark.parametrize(
    "span",
    ["bytes 5-9/300000", "bytes 100000-299999/77", "nonsense", ""],
)
def test_a_part_of_something_else_is_not_joined(server, part, span):
    def wrong_part(request: Request) -> None:
        request.begin(206, 5, Content_Range=span)
        request.wfile.write(b"wrong")

    server.acts = [cut(100_000), wrong_part, whole]
    assert fetch(server, part) == len(DATA)
    assert part.read_bytes() == DATA


def test_a_range_that_is_refused_starts_again(server, part):
    server.acts = [cut(100_000), status(416), whole]
    assert fetch(server, part) == len(DATA)
    assert part.read_bytes() == DATA


@pytest.mark.parametrize("code", [429, 500, 502, 503])
def test_what_may_pass_is_tried_again(server, part, code):
    server.acts = [status(code), status(code)]
    fetch(server, part)
    assert part.read_bytes() == DATA


@pytest.mark.parametrize("code", [401, 403, 404, 410])
def test_what_will_not_pass_is_not(server, part, code):
    server.acts = [status(code)]
    with pytest.raises(OSError, match=f"answered {code}"):
        fetch(server, part)
    assert len(server.ranges) == 1


@pytest.mark.parametrize("wait", ["1000000", "Fri, 31 Dec 2100 23:59:59 GMT", "later"])
def test_a_server_cannot_make_it_wait_for_long(server, part, wait):
    server.acts = [status(503, Retry_After=wait)]
    started = time.monotonic()
    fetch(server, part)
    assert time.monotonic() - started < 5


def test_silence_counts_as_a_broken_connection(server, part):
    def fall_silent(request: Request) -> None:
        request.begin(200, len(DATA))
        request.wfile.write(DATA[:70_000])
        request.wfile.flush()
        time.sleep(1)

    server.acts = [fall_silent, whole]
    fetch(server, part)
    assert part.read_bytes() == DATA
    assert server.ranges[1] is not None


def test_a_connection_that_is_hung_up_without_an_answer_is_tried_again(server, part):
    server.acts = [lambda request: None, whole]
    fetch(server, part)
    assert part.read_bytes() == DATA


def test_a_redirect_is_followed_each_time(server, part):
    there = redirect(server.url.replace("m.tar.gz", "elsewhere"))
    server.acts = [there, cut(100_000), there, whole]
    fetch(server, part)
    assert part.read_bytes() == DATA
    assert server.ranges == [None, None, "bytes=100000-", "bytes=100000-"]


def test_a_redirect_in_a_circle_ends(server, part):
    server.acts = [redirect(server.url)] * 100
    with pytest.raises(OSError, match="redirects"):
        fetch(server, part)


def test_chunks_of_unknown_length_are_fetched_and_known_to_be_whole(server, part):
    def chunked(request: Request) -> None:
        request.begin(200, None, Transfer_Encoding="chunked")
        request.wfile.write(b"%x\r\n%s\r\n0\r\n\r\n" % (len(DATA), DATA))

    def half(request: Request) -> None:
        request.begin(200, None, Transfer_Encoding="chunked")
        request.wfile.write(b"%x\r\n%s" % (len(DATA), DATA[:1000]))

    server.acts = [half, chunked]
    fetch(server, part)
    assert part.read_bytes() == DATA
    fetch(server, part)
    assert len(server.ranges) == 2


@pytest.mark.parametrize("damage", [b"", b"{}", b"\xff", b'{"url": "x"}'])
def test_a_damaged_note_of_the_version_starts_again(server, part, damage):
    server.acts = [cut(100_000), *[status(500)] * 3]
    with pytest.raises(OSError, match="500"):
        fetch(server, part)
    part.with_name("archive.part.json").write_bytes(damage)
    fetch(server, part)
    assert part.read_bytes() == DATA
    assert server.ranges[-1] is None


def test_a_host_that_is_not_there_is_not_waited_for(part):
    with serving(FlakyServer(DATA)) as gone:
        pass
    started = time.monotonic()
    with pytest.raises(OSError, match="cannot be reached"):
        download(gone.url, part, patience=Patience())
    assert time.monotonic() - started < 2


def test_a_server_that_is_restarted_meanwhile_is_waited_for(server, part, monkeypatch):
    import requests

    server.acts = [cut(100_000)]
    real, asked = requests.Session.get, []

    def get(self, url, **how):
        asked.append(url)
        if len(asked) == 2:
            raise requests.ConnectionError("refused")
        return real(self, url, **how)

    monkeypatch.setattr(requests.Session, "get", get)
    fetch(server, part)
    assert part.read_bytes() == DATA
    assert len(asked) == 3
