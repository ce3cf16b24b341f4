from pipelines.progress_line import progress_text, show_progress
from transforms.progress import send_progress


def test_progress_in_a_log_is_plain_lines(capsys, monkeypatch):
    monkeypatch.setattr("pipelines.progress_line.PLAIN_INTERVAL_S", 0.0)
    with show_progress(10) as address:
        send_progress(address, done=6, failed=1)
    assert "7 of 10 pictures, 1 failed" in capsys.readouterr().err


def test_progress_on_a_terminal_is_one_live_line(capsys, monkeypatch):
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    with show_progress(10) as address:
        send_progress(address, done=9, failed=1)
    shown = capsys.readouterr().err
    assert "10/10" in shown
    assert "1 failed" in shown


def test_a_finished_run_has_no_time_left():
    assert "left" not in progress_text(10, 0, 10, 5.0)
    assert progress_text(0, 0, 10, 0.0) == "0 of 10 pictures, 0 failed, 0.0 a second"
