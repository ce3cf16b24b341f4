"""How progress is shown: bars on a terminal, lines in a log, JSON for machines, nothing where asked."""

import contextlib
import fcntl
import io
import json
import os
import pty
import re
import signal
import struct
import subprocess
import sys
import termios
import threading
import time

import pytest

from pipelines.progress_bars import ProgressBars
from pipelines.progress_flags import ProgressFlags
from pipelines.progress_lines import JsonLines, PlainLines, ProgressLines
from pipelines.standard_error import LastingStream
from pipelines.step_count import StepCount

SHOW_CURSOR = "\x1b[?25h"
# A job in the background of a shell ignores interrupts; so would what it starts.
WORK = """
import signal, sys, time
from pipelines.progress_flags import ProgressFlags
signal.signal(signal.SIGINT, signal.default_int_handler)
try:
    with ProgressFlags().show_progress() as progress:
        progress.tell("ready")
        with progress.step("embedding", 10, "pictures") as step:
            time.sleep({seconds} / 100)
            step.advance(4)
            time.sleep({seconds})
except KeyboardInterrupt:
    print("lookalike: interrupted", file=sys.stderr)
"""


def plain(text: str) -> str:
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text)


class Terminal:
    """A pseudo-terminal, and all that was written to it."""

    def __init__(self, columns: int = 100) -> None:
        self._master, self.slave = pty.openpty()
        fcntl.ioctl(self.slave, termios.TIOCSWINSZ, struct.pack("HHHH", 30, columns, 0, 0))
        self._read = b""
        self._thread = threading.Thread(target=self._take_all)
        self._thread.start()

    def _take_all(self) -> None:
        try:
            while piece := os.read(self._master, 1 << 16):
                self._read += piece
        except OSError:  # its other end is closed
            pass

    def text(self) -> str:
        return self._read.decode()

    def close(self) -> str:
        os.close(self.slave)
        self._thread.join()
        os.close(self._master)
        return self.text()


def test_a_terminal_has_a_bar_a_step_and_keeps_a_line_of_each():
    terminal = Terminal()
    with os.fdopen(os.dup(terminal.slave), "w") as stream:
        bars = ProgressBars(stream)
        bars.tell("Flat: chosen")
        with bars.step("embedding", 10, "pictures") as step:
            step.advance(6, failed=1)
            time.sleep(0.3)
            step.advance(3)
        with bars.step("training"):
            time.sleep(1.1)
        with bars.step("publishing"):
            time.sleep(0.2)
    shown = terminal.close()
    assert "━" in shown
    assert "embedding" in shown
    assert "7 of 10 pictures, 1 failed" in plain(shown)
    kept = [line.rsplit("\r")[-1] for line in plain(shown).replace("\r\n", "\n").split("\n")]
    [embedding] = [line for line in kept if "✓ embedding" in line]
    assert "10 pictures, 1 failed" in embedding
    assert any(re.search(r"✓ training: 1\.\d s", line) for line in kept)
    assert "publishing" in shown
    assert "✓ publishing" not in plain(shown)
    assert "Flat: chosen" in kept
    assert shown.rindex(SHOW_CURSOR) > shown.rindex("\x1b[?25l")


def test_a_terminal_that_does_not_know_its_size_is_drawn_on():
    terminal = Terminal(columns=0)
    stream = os.fdopen(os.dup(terminal.slave), "w")
    with stream, ProgressBars(stream).step("embedding", 10, "pictures") as step:
        step.advance(10)
    assert "✓ embedding: 10 pictures" in plain(terminal.close())


@pytest.mark.parametrize("columns", [100, 24])
def test_a_bar_never_takes_more_than_a_line(columns):
    terminal = Terminal(columns)
    with os.fdopen(os.dup(terminal.slave), "w") as stream:
        bars = ProgressBars(stream)
        with bars.step("finding true neighbors", 10_000_000, "vectors") as step:
            step.advance(1_000_000)
            time.sleep(0.4)
    drawn = plain(terminal.close()).partition("✓")[0]
    assert max(map(len, re.split(r"[\r\n]+", drawn))) <= columns


@pytest.mark.parametrize("seen", ["0 of 10", "4 of 10"])
def test_an_interrupt_leaves_the_terminal_clean_whenever_it_comes(seen):
    terminal = Terminal()
    environment = {**os.environ, "TERM": "xterm-256color"}
    job = subprocess.Popen(
        [sys.executable, "-c", WORK.format(seconds=60)], stderr=terminal.slave, env=environment
    )
    for _ in range(10_000):
        time.sleep(0.001)
        if seen in plain(terminal.text()):
            break
    job.send_signal(signal.SIGINT)
    assert job.wait(10) == 0
    shown = terminal.close()
    assert shown.rindex(SHOW_CURSOR) > shown.rindex("\x1b[?25l")
    last = plain(shown[shown.rindex(SHOW_CURSOR) :]).replace("\r", "").split("\n")
    assert [line for line in last if line][-2:] == [
        next(line for line in last if line.startswith(f"✗ embedding: {seen} pictures")),
        "lookalike: interrupted",
    ]


@pytest.mark.parametrize("term", ["dumb", "xterm-256color"])
def test_a_terminal_that_cannot_be_drawn_on_gets_lines(term):
    terminal = Terminal()
    subprocess.run(
        [sys.executable, "-c", WORK.format(seconds=0)],
        stderr=terminal.slave,
        env={**os.environ, "TERM": term},
        check=True,
    )
    shown = terminal.close()
    assert ("\x1b" in shown) == (term != "dumb")
    assert "embedding: 4 pictures" in plain(shown)


def test_a_log_has_a_line_at_the_start_now_and_then_and_at_the_end():
    log = io.StringIO()
    progress = ProgressLines(log, PlainLines(), interval_s=0.05, quick_s=0.01)
    progress.tell("Flat: chosen")
    with progress.step("embedding", 10, "pictures") as step:
        time.sleep(0.03)
        step.advance(6, failed=1)
        time.sleep(0.1)
        step.advance(3)
    lines = log.getvalue().splitlines()
    assert lines[:2] == ["lookalike: Flat: chosen", "lookalike: embedding: 0 of 10 pictures"]
    assert lines[2].startswith("lookalike: embedding: 7 of 10 pictures, 1 failed, ")
    assert lines[2].endswith(" s left")
    assert re.fullmatch(r"lookalike: embedding: 10 pictures, 1 failed, done in 0\.\d s", lines[-1])


def test_a_quick_step_has_one_line_in_a_log_and_none_where_nothing_was_counted():
    log = io.StringIO()
    progress = ProgressLines(log, PlainLines())
    with progress.step("embedding", 3, "pictures") as step:
        step.advance(3)
    with progress.step("publishing"):
        pass
    assert log.getvalue() == "lookalike: embedding: 3 pictures, done in 0.0 s\n"


def test_a_step_that_was_stopped_is_not_called_done():
    for form, said in ((PlainLines(), "4 of 10 a, stopped after"), (JsonLines(), '"stop"')):
        log = io.StringIO()
        progress = ProgressLines(log, form)
        stopped, step = contextlib.suppress(ZeroDivisionError), progress.step("embedding", 10, "a")
        with stopped, step as count:
            count.advance(4)
            raise ZeroDivisionError
        assert said in log.getvalue()
        assert "done in" not in log.getvalue()


def test_machines_get_an_object_a_line_with_numbers():
    log = io.StringIO()
    progress = ProgressLines(log, JsonLines(), interval_s=0.05, quick_s=0)
    progress.tell("Flat: chosen")
    with progress.step("embedding", 10, "pictures") as step:
        step.advance(6, failed=1)
        time.sleep(0.08)
    line, begin, under_way, *_, end = map(json.loads, log.getvalue().splitlines())
    assert line == {"event": "line", "text": "Flat: chosen"}
    assert begin.pop("seconds") < 0.05
    assert begin == {
        "event": "begin",
        "step": "embedding",
        "done": 0,
        "failed": 0,
        "total": 10,
        "unit": "pictures",
    }
    assert (under_way["event"], under_way["done"], under_way["failed"]) == ("progress", 6, 1)
    assert end["event"] == "end"
    assert end["seconds"] >= 0.08


def test_downloads_are_counted_in_sizes_and_may_start_again():
    step = StepCount("pulling", 3 << 20, "bytes")
    step.advance(2 << 20)
    step.advance(-(1 << 20))  # what was there is of no use
    assert step.amount() == "1.0 MiB of 3.0 MiB"
    step = StepCount("pulling", 300 << 20, "bytes", done=100 << 20, seconds=10)
    assert step.speed() == "10.0 MiB a second"


def test_a_count_is_right_whatever_threads_count():
    step = StepCount("embedding", 80_000, "pictures")
    threads = [
        threading.Thread(target=lambda: [step.advance(1, failed=1) for _ in range(10_000)])
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (step.done, step.failed, step.left_s) == (40_000, 40_000, 0)


def test_a_finished_step_has_no_time_left():
    assert StepCount("embedding", 10, "pictures", done=5, seconds=5.0).time_left() == ""
    assert StepCount("embedding", 10, "pictures").time_left() == ""
    assert StepCount("embedding", 10, "pictures").speed() == ""


def test_a_stream_that_is_gone_stops_nobody():
    reader, writer = os.pipe()
    os.close(reader)
    closed = io.StringIO()
    closed.close()
    full = os.open("/dev/full", os.O_WRONLY)
    for stream in (os.fdopen(writer, "w"), os.fdopen(full, "w"), closed):
        lasting = LastingStream(stream)
        for show in (ProgressBars(lasting), ProgressLines(lasting, PlainLines(), 0.01)):
            with show.step("embedding", 10, "pictures") as step:
                step.advance(10)
                time.sleep(0.03)
            assert step.seen == 10
        with contextlib.suppress(OSError):
            stream.close()


def test_quiet_shows_nothing_and_json_shows_lines(capfd):
    for flags, shown in (
        ({"quiet": True}, 0),
        ({"json": True}, 2),
        ({"quiet": True, "json": True}, 0),
    ):
        with ProgressFlags(**flags).show_progress() as progress, progress.step("training"):
            pass
        lines = capfd.readouterr().err.splitlines()
        assert len([json.loads(line) for line in lines]) == shown
