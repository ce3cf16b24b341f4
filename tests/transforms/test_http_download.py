import time

import numpy as np
import pytest

from pipelines.step_count import StepCount
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
    """Download; what was counted, which is all that there was said to be."""
    step = StepCount("fetching", unit="bytes")
    download(server.url, part, step=step, patience=QUICK)
    assert step.done == step.total
    return step.done


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


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ({"tag": '"one"'}, {"tag": '"two"'}),
        ({"tag": '"one"'}, {"tag": 'W/"two"'}),
        ({"tag": "", "modified": "Sat"}, {"modified": "Sun"}),
        ({"tag": 'W/"one"', "modified": "Sat"}, {"tag": 'W/"two"'}),
        ({"tag": '"one"', "modified": "Sat"}, {"tag": "", "modified": "Sun"}),
    ],
)
def test_two_versions_are_not_joined_by_a_server_that_ignores_if_range(server, part, before, after):
    def rest_of_another(request: Request) -> None:
        server.data = DATA[::-1]
        for name, value in after.items():
            setattr(server, name, value)
        request.begin(206, 200_000, Content_Range="bytes 100000-299999/300000")
        request.wfile.write(server.data[100_000:])

    for name, value in before.items():
        setattr(server, name, value)
    server.acts = [cut(100_000), rest_of_another]
    assert fetch(server, part) == len(DATA)
    assert part.read_bytes() == DATA[::-1]
    assert server.ranges == [None, "bytes=100000-", None]


def test_the_same_tag_is_the_same_file_whatever_the_time(server, part):
    def later(request: Request) -> None:
        server.modified = "Sun"
        whole(request)

    server.modified = "Sat"
    server.acts = [cut(100_000), later]
    assert fetch(server, part) == len(DATA)
    assert server.ranges == [None, "bytes=100000-"]


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


@pytest.mark.parametrize(
    "wait",
    [
        "1000000",
        "9" * 5000,
        "Fri, 31 Dec 2100 23:59:59 GMT",
        "Fri, 31 Dec 99999 23:59:59 GMT",
        "later",
    ],
)
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


@pytest.mark.parametrize(
    "place", ["http://.example.com/x", f"http://{'a' * 80}.com/x", "http://[::bad/x"]
)
def test_a_redirect_to_what_is_no_url_is_one_error(server, part, place):
    server.acts = [redirect(place)]
    with pytest.raises(OSError, match=r"m\.tar\.gz leads to what is no URL"):
        fetch(server, part)


def test_a_size_that_no_file_has_is_one_error(server, part):
    server.acts = [lambda request: request.begin(200, None, Content_Length="9" * 5000)]
    with pytest.raises(OSError, match=r"says that it sends 9{15}\.\.\. bytes"):
        fetch(server, part)


def test_what_has_arrived_is_written_and_its_whole_size_known_at_once(server, part):
    step, seen = StepCount("fetching", unit="bytes"), []

    def slow(request: Request) -> None:
        request.begin(200, len(DATA))
        request.wfile.write(DATA[:1000])
        request.wfile.flush()
        deadline = time.monotonic() + QUICK.silence_s * 0.8
        while time.monotonic() < deadline and not step.done:
            time.sleep(0.01)
        seen.extend([part.stat().st_size, step.done, step.total])
        request.wfile.write(DATA[1000:])

    server.acts = [slow]
    download(server.url, part, step=step, patience=QUICK)
    assert seen == [1000, 1000, len(DATA)]
    assert part.read_bytes() == DATA


def test_a_size_that_changes_is_learnt_anew(server, part):
    def shorter(request: Request) -> None:
        server.data, server.tag = DATA[:50_000], '"two"'
        whole(request)

    server.acts = [cut(100_000), shorter]
    assert fetch(server, part) == 50_000


def test_chunks_of_unknown_length_are_fetched_and_known_to_be_whole(server, part):
    def chunked(request: Request) -> None:
        request.begin(200, None, Transfer_Encoding="chunked")
        request.wfile.write(b"%x\r\n%s\r\n0\r\n\r\n" % (len(DATA), DATA))

    def half(request: Request) -> None:
        request.begin(200, None, Transfer_Encoding="chunked")
        request.wfile.write(b"%x\r\n%s" % (len(DATA), DATA[:1000]))

    def no_last_chunk(request: Request) -> None:
        request.begin(200, None, Transfer_Encoding="chunked")
        request.wfile.write(b"%x\r\n%s\r\n" % (1000, DATA[:1000]))

    def nonsense(request: Request) -> None:
        no_last_chunk(request)
        request.wfile.write(b"zz\r\n")

    server.tag = ""
    server.acts = [half, no_last_chunk, nonsense, chunked]
    assert fetch(server, part) == len(DATA)
    assert part.read_bytes() == DATA
    fetch(server, part)
    assert len(server.ranges) == 4


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
