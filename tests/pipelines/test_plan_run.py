import pytest

from pipelines.command_line import main
from pipelines.plan_run import worker_memory
from pipelines.start_beam import start_beam, threads_of_a_worker, worker_processes
from transforms.work_threads import usable_cores


def planned(capsys, *arguments: str) -> dict[str, str]:
    assert main(["plan", *arguments]) == 0
    lines = capsys.readouterr().out.splitlines()
    return dict(line.split("  ", 1) for line in lines)


def test_a_plan_says_what_a_run_will_take(capsys, photos, tiny_tf2, tiny_hub):
    facts = planned(
        capsys, str(photos), "--variants", f"a={tiny_tf2},b={tiny_hub}", "--threads", "3"
    )
    facts = {name: value.strip() for name, value in facts.items()}
    assert facts["pictures"] == "17"
    assert facts["chunks"] == "1 of at most 256 pictures"
    assert (facts["workers"], facts["threads a worker"]) == ("1", "3")
    for name in ("a", "b"):
        assert facts[name].startswith("litert in float32, width 24")
        assert facts[name].endswith("workers x model copies x batch: 1 x 3 x 1")
        assert facts[f"index of {name}"].startswith("Flat, about 1.6 KiB")
    assert "MiB" in facts["memory a worker"]
    assert facts["with the largest pictures"].startswith("at most")


def test_a_plan_needs_no_pictures(capsys, tiny_tf2):
    wide = planned(capsys, "--count", "1000000", "--variants", f"a={tiny_tf2}")
    halves = planned(
        *(capsys, "--count", "1000000", "--variants", f"a={tiny_tf2}"),
        *("--vector-type", "float16", "--engine", "tensorflow", "--batch-size", "16"),
    )
    assert wide["chunks"].strip() == "3,907 of at most 256 pictures"
    assert wide["Parquet of a"].strip() == "about 209.0 MiB"
    assert halves["Parquet of a"].strip() == "about 176.0 MiB"
    assert halves["a"].strip().endswith("1 x 1 x 16")
    assert wide["index of a"].strip().startswith("PCAR")


def test_no_batch_is_larger_than_a_chunk(capsys, tiny_tf2):
    flags = ("--count", "9", "--variants", f"a={tiny_tf2}", "--batch-size", "1000000")
    facts = planned(capsys, *flags)
    assert facts["a"].strip().endswith(" x 256")
    assert "MiB" in facts["memory a worker"]


def test_the_workers_of_a_machine_share_its_cores(capsys, tiny_tf2):
    flags = ["--direct_running_mode", "multi_processing", "--direct_num_workers", "2"]
    options = start_beam(flags)
    assert worker_processes(options) == 2
    assert threads_of_a_worker(options) == max(1, usable_cores() // 2)
    assert threads_of_a_worker(start_beam([])) == usable_cores()
    assert threads_of_a_worker(start_beam(["--runner", "PortableRunner"])) is None
    facts = planned(capsys, "--count", "9", "--variants", f"a={tiny_tf2}", *flags)
    assert facts["workers"].strip() == "2"


@pytest.mark.parametrize("arguments", [(), ("photos", "--count", "3")])
def test_either_pictures_or_their_number(capsys, tiny_tf2, arguments):
    assert main(["plan", *arguments, "--variants", f"a={tiny_tf2}"]) == 2
    assert "--count" in capsys.readouterr().err


def test_memory_grows_with_threads_chunks_and_models():
    class Model:
        batch_size, memory_bytes = 1, 30 << 20

        class space:  # noqa: N801
            input_size = (224, 224)

    least = worker_memory([Model()], 1, 1 << 20)
    assert worker_memory([Model()], 2, 1 << 20) > least
    assert worker_memory([Model()], 1, 64 << 20) - least == 3 * (63 << 20)
    assert worker_memory([Model(), Model()], 1, 1 << 20) - least == 30 << 20
