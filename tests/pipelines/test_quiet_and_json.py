"""--quiet and --json: what a person who asked for silence sees, and what a machine reads."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from index.errors import OutputMissing
from pipelines.command_line import JOBS, _job_class, main, parse_job
from pipelines.progress_flags import ProgressFlags
from tests.conftest import random_vectors, write_dataset
from tests.copies import VARIANT
from tests.pipelines.conftest import USABLE

BROKEN = 5  # of the pictures in `photos`


@pytest.fixture
def copied(copies, tmp_path) -> Path:
    return Path(shutil.copytree(copies / "out", tmp_path / "out"))


def read(capfd, *command: str) -> tuple[int, dict, list[dict]]:
    """The exit code, the one object on standard output, and the lines on standard error."""
    capfd.readouterr()
    code = main([*command, "--json"])
    shown = capfd.readouterr()
    [result] = shown.out.splitlines()
    return code, json.loads(result), [json.loads(line) for line in shown.err.splitlines()]


def ended(lines: list[dict], step: str) -> dict:
    [line] = [line for line in lines if line["event"] == "end" and line["step"] == step]
    return line


def test_embed_gives_its_counts(photos, tiny_tf2, tmp_path, capfd):
    flags = ["--variants", f"tf2={tiny_tf2}", "--output", str(tmp_path / "out")]
    code, result, lines = read(capfd, "embed", str(photos), *flags)
    assert code == result["exit_code"] == 3
    assert (result["command"], result["pictures"], result["failures"]) == ("embed", 17, BROKEN)
    assert result["failure_rate"] == pytest.approx(BROKEN / 17)
    assert result["variants"]["tf2"]["rows"] == USABLE
    assert result["variants"]["tf2"]["engine"] in ("litert", "openvino")
    assert result["output"] == str(tmp_path / "out")
    assert result["seconds"] > 0
    embedding = ended(lines, "embedding")
    assert (embedding["done"], embedding["failed"], embedding["total"]) == (USABLE, BROKEN, 17)
    _, result, _ = read(capfd, "embed", str(photos), *flags, "--update")
    assert (result["added"], result["unchanged"]) == (0, 17)


@pytest.mark.parametrize("workers", [[], ["--runner", "FnApiRunner"]])
def test_index_gives_its_recall_whoever_encodes(tmp_path, capfd, workers):
    write_dataset(tmp_path, random_vectors(600))
    code, result, lines = read(capfd, "index", str(tmp_path), *workers)
    assert code == result["exit_code"] == 0
    assert (result["vectors"], result["factory_string"]) == (600, "Flat")
    assert (result["recall_at_10"], result["min_recall"]) == (1.0, 0.95)
    assert result["build_seconds"] > 0
    assert ended(lines, "encoding")["done"] == 600
    write_dataset(tmp_path, random_vectors(630))
    _, result, _ = read(capfd, "index", str(tmp_path), "--update", *workers)
    assert (result["vectors"], result["added"], result["removed"]) == (630, 30, 0)


def test_an_index_of_one_vector_has_no_recall(tmp_path, capfd):
    write_dataset(tmp_path, random_vectors(1))
    assert read(capfd, "index", str(tmp_path))[1]["recall_at_10"] is None


@pytest.mark.parametrize(
    "workers",
    [
        [],
        ["--runner", "FnApiRunner"],
        pytest.param(
            ["--direct_num_workers", "2", "--direct_running_mode", "multi_processing"],
            marks=pytest.mark.slow,
        ),
    ],
)
def test_dedup_and_apply_give_what_they_found_and_did_whoever_compares(
    copied, tmp_path, capfd, workers
):
    code, result, lines = read(capfd, "dedup", str(copied), "--check", *workers)
    assert code == result["exit_code"] == 4
    assert (result["pictures"], result["groups"], result["removed"]) == (13, 4, 5)
    assert sum(result["copies"].values()) == 5
    assert Path(result["to_remove"]).is_file()
    compared = ended(lines, "comparing vectors")
    assert compared["done"] == compared["total"] > 0
    assert ended(lines, "looking at pairs")["done"] > 0
    pages = ended(lines, "drawing pages")
    assert pages["done"] == pages["total"] == 9

    to = ["--to", str(tmp_path / "clean")]
    _, result, _ = read(capfd, "apply", str(copied), *to)
    assert (result["pictures"], result["staying"], result["done"]) == (8, 5, 0)
    _, result, lines = read(capfd, "apply", str(copied), *to, "--do")
    assert result["done"] == ended(lines, "linking")["done"] == 8
    _, result, lines = read(capfd, "apply", str(copied), "--undo", result["undo"])
    assert (result["undone"], result["left"]) == (8, [])
    assert ended(lines, "taking back")["done"] == 8


def test_plan_gives_sizes_in_bytes(tiny_tf2, capfd):
    _, result, _ = read(capfd, "plan", "--count", "9", "--variants", f"a={tiny_tf2}")
    assert (result["pictures"], result["workers"]) == (9, 1)
    assert 1 << 20 < result["memory_bytes"] < result["most_memory_bytes"]
    assert result["variants"]["a"]["parquet_bytes"] > 0
    assert result["variants"]["a"]["index"]["factory_string"] == "Flat"


@pytest.mark.slow
def test_the_demo_gives_the_results_of_its_commands(tmp_path, capfd):
    code, result, lines = read(capfd, "demo", "--output", str(tmp_path / "demo"))
    assert code == 0
    assert (result["planted_copies_found"], result["scenes"]) == (20, 12)
    assert result["embed"]["pictures"] > result["embed"]["failures"] > 0
    assert result["dedup"]["groups"] == 12
    assert len(result["search"]) == 5
    assert ended(lines, "embedding")["done"] > 0
    assert main(["demo", "--output", str(tmp_path / "demo"), "--overwrite", "--quiet"]) == 0
    assert capfd.readouterr() == ("", "")


def test_quiet_says_nothing_but_errors(copied, tmp_path, capfd):
    for command in (
        ["index", str(copied), "--variant", VARIANT],
        ["dedup", str(copied), "--overwrite"],
        ["apply", str(copied), "--to", str(tmp_path / "clean"), "--do"],
    ):
        assert main([*command, "--quiet"]) == 0
        assert capfd.readouterr() == ("", "")
    assert main(["index", str(copied), "--quiet"]) == 1
    shown = capfd.readouterr()
    assert shown.out == ""
    assert shown.err.startswith("lookalike: ")
    assert shown.err.count("\n") == 1


def test_quiet_and_json_give_the_object_alone(copied, capfd):
    assert main(["dedup", str(copied), "--quiet", "--json"]) == 0
    shown = capfd.readouterr()
    assert json.loads(shown.out)["groups"] == 4
    assert shown.err == ""


@pytest.mark.parametrize(
    ("command", "code", "kind", "said"),
    [
        (["index", "none"], 1, "OutputMissing", "none"),
        (["dedup", "none", "--thorough", "--by-score"], 2, "UsageError", "choose one"),
        (
            ["embed", "x.jpg", "--variants", "mobilnet", "--output", "o"],
            2,
            "UnknownVariant",
            "mobi",
        ),
    ],
)
def test_an_error_is_the_object_where_machines_read(
    command, code, kind, said, tmp_path, capfd, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    got, result, lines = read(capfd, *command)
    assert got == result["exit_code"] == code
    assert result["command"] == command[0]
    assert result["error"]["type"] == kind
    assert said in result["error"]["message"]
    assert lines == []


def test_a_wrong_flag_is_the_object_where_machines_read(capfd):
    with pytest.raises(SystemExit) as end:
        main(["index", "out", "--max-memory", "lots", "--json"])
    assert end.value.code == 2
    shown = capfd.readouterr()
    assert shown.err == ""
    result = json.loads(shown.out)
    assert (result["command"], result["exit_code"]) == ("index", 2)
    assert result["error"]["type"] == "UsageError"
    assert "must be a size" in result["error"]["message"]


def test_an_interrupt_is_the_object_where_machines_read(tmp_path, capfd, monkeypatch):
    write_dataset(tmp_path, random_vectors(20))

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("index.builder.exact_neighbors", interrupted)
    code, result, _ = read(capfd, "index", str(tmp_path))
    assert code == result["exit_code"] == 130
    assert result["error"] == {"type": "KeyboardInterrupt", "message": "interrupted"}


@pytest.mark.parametrize("debug", ["", "1"])
def test_an_error_of_ours_is_the_object_beside_its_traceback(tmp_path, capfd, monkeypatch, debug):
    write_dataset(tmp_path, random_vectors(20))
    code = (
        "import sys, index.builder\n"
        "def broken(*_): raise ZeroDivisionError('a bug')\n"
        "index.builder.exact_neighbors = broken\n"
        "from pipelines.command_line import console\n"
        f"sys.argv = ['lookalike', 'index', {str(tmp_path)!r}, '--json']\n"
        "raise SystemExit(console())\n"
    )
    monkeypatch.setenv("LOOKALIKE_DEBUG", debug)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 1
    result = json.loads(done.stdout)
    assert (result["command"], result["exit_code"]) == ("index", 1)
    assert result["error"] == {"type": "ZeroDivisionError", "message": "a bug"}
    assert "Traceback" in done.stderr


def test_an_error_is_the_object_also_where_its_traceback_is_asked_for(tmp_path, capfd, monkeypatch):
    monkeypatch.setenv("LOOKALIKE_DEBUG", "1")
    with pytest.raises(OutputMissing):
        main(["index", str(tmp_path / "none"), "--json"])
    assert json.loads(capfd.readouterr().out)["error"]["type"] == "OutputMissing"


@pytest.mark.parametrize("folder", ["", "/none"])
def test_a_standard_output_that_takes_nothing_is_told(tmp_path, folder):
    write_dataset(tmp_path, random_vectors(20))
    command = f"{sys.executable} -m pipelines.command_line index {tmp_path}{folder} --quiet --json"
    done = subprocess.run(["bash", "-c", f"{command} >/dev/full"], capture_output=True, text=True)
    assert done.returncode == 1
    first, last = done.stderr.splitlines()
    assert first == "lookalike: standard output cannot be written to (No space left on device)"
    assert ("none" if folder else "No space left") in last


def test_a_path_in_whatever_bytes_can_be_printed(copied, tmp_path, capfd):
    assert main(["dedup", str(copied), "--quiet"]) == 0
    _, result, _ = read(capfd, "apply", str(copied), "--to", str(tmp_path / "\udcff"))
    assert result["folder"] == str(tmp_path / "\udcff")


@pytest.mark.parametrize("closed", ["2>&-", "2>/dev/full", "2> >(true)"])
def test_a_closed_standard_error_stops_no_job(tmp_path, closed):
    write_dataset(tmp_path, random_vectors(20))
    command = f"{sys.executable} -m pipelines.command_line index {tmp_path} {closed}"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True)
    assert done.returncode == 0
    assert "recall@10" in done.stdout


def test_every_job_that_takes_long_has_both_flags():
    instant = {
        "search",
        "variants",
        "serve",
    }  # two whose --json prints what they give; one for ever
    for name in JOBS:
        assert issubclass(_job_class(name), ProgressFlags) == (name not in instant), name


def test_what_is_shown_does_not_make_another_run_of_it():
    flags = ["embed", "a.jpg", "--variants", "v", "--output", "o"]
    shown = [parse_job([*flags, *more]) for more in ([], ["--quiet"], ["--json"])]
    assert len({job._command for job in shown}) == 1
