import dataclasses
import json
import subprocess
import sys
import time
from argparse import ArgumentTypeError

import pytest

from pipelines.command_line import JOBS, _job_class, main, parse_job
from pipelines.job import above_zero, flags_of, fraction, memory_size, positive

HEAVY = ("tensorflow", "apache_beam", "faiss", "pyarrow", "numpy")


def run(code: str) -> str:
    return subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True
    ).stdout


@pytest.mark.parametrize("command", [[], *([name] for name in JOBS)])
def test_help_loads_nothing_heavy(command):
    heavy = HEAVY[:3] if command else HEAVY
    found = run(
        "import sys\n"
        "from pipelines.command_line import main\n"
        "try: main({!r})\n"
        "except SystemExit as end: assert end.code == 0\n"
        "print('LOADED', [name for name in {!r} if name in sys.modules])".format(
            [*command, "--help"], heavy
        )
    )
    assert "LOADED []" in found


def test_help_is_quick():
    def seconds() -> float:
        started = time.perf_counter()
        run(
            "import contextlib, pipelines.command_line\n"
            "with contextlib.suppress(SystemExit): pipelines.command_line.main(['--help'])"
        )
        return time.perf_counter() - started

    assert min(seconds() for _ in range(3)) < 0.5


def test_help_names_every_command_and_exit_code(capsys):
    with pytest.raises(SystemExit) as end:
        main(["--help"])
    assert end.value.code == 0
    shown = capsys.readouterr().out
    assert all(name in shown for name in JOBS)
    assert "3 finished but more pictures failed" in shown


@pytest.mark.parametrize("command", list(JOBS))
def test_every_field_of_a_job_is_a_flag_with_help(command, capsys):
    job = _job_class(command)
    fields = {field.name for field in dataclasses.fields(job)} - {"beam_args"}
    assert set(flags_of(job)) == fields
    with pytest.raises(SystemExit):
        main([command, "--help"])
    shown = capsys.readouterr().out
    for name, (_, how) in flags_of(job).items():
        assert how.positional or how.short or f"--{name.replace('_', '-')}" in shown
        assert len(how.help) > 4


@pytest.mark.parametrize(
    "arguments",
    [
        ["embd"],
        ["--nonsense"],
        ["embed"],
        ["embed", "photos", "--variants", "mobilenet_v2_035_96"],
        ["embed", "photos", "--output", "out"],
        ["embed", "photos", "--variants", "v", "--output", "o", "--varients", "x"],
        ["embed", "photos", "--variants", "v", "--output", "o", "--batch-size", "0"],
        ["embed", "photos", "--variants", "v", "--output", "o", "--max-failure-rate", "7"],
        ["search", "out", "--uri", "x", "--runner", "FlinkRunner"],
        ["index", "out", "--max-memory", "lots"],
        ["search"],
        ["apply", "out", "--how", "copy"],
        ["dedup", "out", "--thresh", "0.9"],
        ["variants", "extra"],
    ],
)
def test_a_wrong_command_line_ends_with_2_and_says_why(arguments, capsys):
    with pytest.raises(SystemExit) as end:
        main(arguments)
    assert end.value.code == 2
    assert "error:" in capsys.readouterr().err


def test_what_a_job_refuses_as_usage_ends_with_2(tmp_path, capsys):
    code = main(["embed", "x.jpg", "--variants", "mobilnet_v2_035_96", "--output", str(tmp_path)])
    assert code == 2
    shown = capsys.readouterr().err
    assert shown.startswith("lookalike: ")
    assert shown.count("\n") == 1
    assert main(["search", str(tmp_path)]) == 2


def test_flags_of_beam_go_to_beam_untouched():
    flags = ["--runner", "FlinkRunner", "--direct_num_workers=2", "--experiments", "a"]
    job = parse_job(
        [
            "embed",
            *flags,
            "photos",
            "--variants",
            "v",
            "more",
            "--output",
            "o",
            "--save_main_session",
        ]
    )
    assert job.beam_args == (*flags, "--save_main_session")
    assert (job.inputs, job.variants, job.output) == (("photos", "more"), "v", "o")


def test_no_flag_of_ours_hides_one_of_beams():
    from apache_beam.options.pipeline_options import PipelineOptions

    beam = set(PipelineOptions().get_all_options())
    # Beam's `update` replaces a running job of unbounded data; ours ends.
    assert beam & set(flags_of(_job_class("embed"))) == {"update"}


def test_the_in_process_runner_is_the_default():
    from apache_beam.options.pipeline_options import StandardOptions

    from pipelines.start_beam import start_beam

    for flags in ([], ["--runner=DirectRunner"]):
        assert start_beam(flags).view_as(StandardOptions).runner == "FnApiRunner"
    chosen = start_beam(["--runner=FlinkRunner"]).view_as(StandardOptions)
    assert chosen.runner == "FlinkRunner"


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--direct_num_workers", "many"], "direct_num_workers: invalid int value"),
        (["--runner", "Bogus"], "'Bogus' is none that Apache Beam has"),
    ],
)
def test_what_beam_does_not_take_is_a_usage_error_of_one_line(flags, message, capsys):
    command = ["embed", "photos", "--variants", "mobilenet_v2_035_96", "--output", "o"]
    assert main([*command, *flags]) == 2
    shown = capsys.readouterr().err
    assert message in shown
    assert shown.count("\n") == 1


def test_a_reader_that_has_seen_enough_is_no_error():
    command = f"{sys.executable} -m pipelines.command_line variants | head -1"
    done = subprocess.run(command, shell=True, capture_output=True, text=True)
    assert done.stdout.startswith("NAME")
    assert done.stderr == ""


def test_a_full_disk_under_the_output_is_one_line():
    command = f"{sys.executable} -m pipelines.command_line variants > /dev/full"
    done = subprocess.run(command, shell=True, capture_output=True, text=True)
    assert done.returncode == 1
    assert "No space left on device" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("closed", ["2>&-", ">&-", ">&- 2>&-", "<&- >&- 2>&-"])
def test_closed_streams_are_no_error(closed):
    command = f"{sys.executable} -m pipelines.command_line variants {closed}"
    assert subprocess.run(command, shell=True, capture_output=True).returncode == 0


def test_a_flag_given_twice_keeps_both_values():
    job = parse_job(["search", "out", "--image", "a", "b", "--image", "c", "-k", "3"])
    assert job.image == ("a", "b", "c")
    assert parse_job(["search", "out"]).image == ()


@pytest.mark.parametrize(
    ("parse", "good", "bad"),
    [
        (fraction, {"0": 0.0, "0.5": 0.5, "1": 1.0}, ["-1", "1.1", "x", "nan"]),
        (above_zero, {"0.01": 0.01, "1": 1.0}, ["0", "1.01", "nan"]),
        (positive, {"1": 1, "7": 7}, ["0", "-1", "1.5", "x"]),
        (memory_size, {"10B": 10, "1kb": 1024, "2GiB": 2 << 30}, ["10", "GB", "-1GB", "0B"]),
    ],
)
def test_values_are_checked_as_they_are_parsed(parse, good, bad):
    assert {text: parse(text) for text in good} == good
    for text in bad:
        with pytest.raises(ArgumentTypeError, match="must be"):
            parse(text)


def test_the_catalogue_is_a_table_or_json(capsys):
    assert main(["variants"]) == 0
    table = capsys.readouterr().out
    assert len(table.splitlines()) == 53
    assert main(["variants", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert len(rows) == 52
    [row] = [row for row in rows if row["name"] == "mobilenet_v2_140_224"]
    assert (row["input_size"], row["num_features"]) == ([224, 224], 1792)
