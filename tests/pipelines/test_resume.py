"""Runs that were stopped: what they had computed stands, and the end is that of an undisturbed run."""

import contextlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from index.embedding_dataset import EmbeddingDataset
from index.output_folder import OutputFolder
from pipelines.command_line import main
from tests.conftest import broken_files, contents, picture
from tests.killed_run import PLACES
from tests.pipelines.conftest import embed, failures
from transforms import chunk_embedder, embedding_plan, model_inputs, write_embeddings

PICTURES, THREADS = 40, 2
CHUNK, TASK = 8, 2  # smaller than usual, so that few pictures have many moments
MOST_CALLS = {
    "listing": 30,
    "loading": 1,
    "planning": 1,
    "writing": 2,
    "completing": 1,
    "deciding": 1,
}


@pytest.fixture(scope="module")
def many(tmp_path_factory) -> Path:
    """Forty pictures, and five files that cannot be used."""
    folder = tmp_path_factory.mktemp("many")
    for seed in range(PICTURES):
        (folder / f"{seed:02}.jpg").write_bytes(picture(seed))
    for name, data in broken_files().items():
        (folder / f"1_{name}").write_bytes(data)
    return folder


def files(out) -> dict[str, bytes]:
    """Every file of an output but its manifest, which says when it was made."""
    found = contents(OutputFolder.at(out))
    manifest = json.loads(found.pop("manifest.json"))
    return {**found, "manifest": json.dumps([manifest["variants"], manifest["failure_files"]])}


class Run:
    """A command, in a process of its own that may be told to kill itself."""

    def __init__(self, folder: Path, photos: Path, out: Path, variants: str, *flags: str) -> None:
        self.out, self._decoded = out, folder / f"{out.name}.decoded"
        self._arguments = [
            *("embed", str(photos), "--output", str(out), "--variants", variants),
            *("--threads", str(THREADS), "--max-failure-rate", "1", *flags),
        ]

    @property
    def decoded(self) -> int:
        return self._decoded.stat().st_size if self._decoded.exists() else 0

    def __call__(self, place: str = "listing", calls: int = 0) -> int:
        how = map(str, (self._decoded, place, calls, CHUNK, TASK))
        driver = [sys.executable, "-m", "tests.killed_run", *how]
        root = Path(__file__).resolve().parents[2]
        done = subprocess.run(
            [*driver, *self._arguments], cwd=root, capture_output=True, text=True, timeout=120
        )
        assert done.returncode in (0, -signal.SIGKILL), done.stderr
        return done.returncode


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2])
def test_killed_at_any_moment_a_run_ends_as_if_it_had_not_been(
    many, tiny_tf2, tiny_hub, tmp_path, seed
):
    variants = f"v={tiny_tf2},w={tiny_hub}"
    undisturbed = Run(tmp_path, many, tmp_path / "undisturbed", variants)
    assert undisturbed() == 0
    run = Run(tmp_path, many, tmp_path / "killed", variants)
    rng = random.Random(seed)
    expected, allowed, kills = files(undisturbed.out), undisturbed.decoded, 0
    for place in PLACES:
        code = run(place, rng.randint(1, MOST_CALLS.get(place, 5)))
        if code == 0:  # it ended before it came to that
            assert files(run.out) == expected
            shutil.rmtree(run.out)
            allowed += undisturbed.decoded
        kills += code != 0
    assert kills >= 10
    if not (run.out / "manifest.json").exists() or (run.out / ".unfinished").exists():
        assert run() == 0
    assert files(run.out) == expected
    assert run.decoded <= allowed + kills * THREADS * TASK


@pytest.fixture
def counted(monkeypatch) -> list[int]:
    """The sizes of the files that are decoded; chunks of eight, tasks of two."""
    sizes: list[int] = []
    monkeypatch.setattr(embedding_plan, "CHUNK_FILES", CHUNK)
    monkeypatch.setattr(chunk_embedder, "TASK_PICTURES", TASK)
    real = model_inputs.prepare_picture

    def prepare(data, into):
        sizes.append(len(data))
        return real(data, into)

    monkeypatch.setattr(model_inputs, "prepare_picture", prepare)
    return sizes


class Stopped(Exception):
    """Stands for a disk that is full, or whatever ends a pipeline."""


@pytest.fixture
def stop(monkeypatch, counted):
    """Runs embed, which stops when it writes its n-th part; gives how many pictures were decoded."""

    def run(photos, out, *flags, parts: int, variants: str) -> int:
        written = iter(range(parts - 1))
        real = write_embeddings.encode_part

        def encode(*arguments):
            if next(written, None) is None:
                raise Stopped
            return real(*arguments)

        counted.clear()
        with monkeypatch.context() as stopping:
            stopping.setattr(write_embeddings, "encode_part", encode)
            assert embed(photos, out, *flags, variants=variants) == 1
        return len(counted)

    return run


FLAGS = ("--max-failure-rate", "1")


def test_what_was_computed_is_not_computed_again(many, tiny_tf2, tmp_path, stop, counted, capsys):
    options = {"variants": f"v={tiny_tf2}"}
    assert embed(many, tmp_path / "undisturbed", *FLAGS, **options) == 0
    whole = len(counted)
    out = tmp_path / "out"
    first = stop(many, out, parts=3, **options)
    assert "the same command carries on from here" in capsys.readouterr().err
    assert main(["index", str(out)]) == 1
    second = stop(many, out, parts=2, **options)
    counted.clear()
    assert embed(many, out, *FLAGS, **options) == 0
    assert first + second + len(counted) == whole
    assert files(out) == files(tmp_path / "undisturbed")
    assert sorted(path.name for path in out.iterdir()) == [
        "embeddings",
        "failures",
        "manifest.json",
    ]


def test_overwriting_is_carried_on_too(many, tiny_tf2, tiny_hub, tmp_path, stop, counted):
    out = tmp_path / "out"
    assert embed(many, out, *FLAGS, variants=f"v={tiny_tf2}") == 0
    old = files(out)
    counted.clear()
    assert embed(many, tmp_path / "undisturbed", *FLAGS, variants=f"v={tiny_hub}") == 0
    whole = len(counted)
    first = stop(many, out, "--overwrite", parts=3, variants=f"v={tiny_hub}")
    assert {name: data for name, data in files(out).items() if ".unfinished" not in name} == old
    counted.clear()
    assert embed(many, out, "--overwrite", *FLAGS, variants=f"v={tiny_hub}") == 0
    assert first + len(counted) == whole
    assert files(out) == files(tmp_path / "undisturbed")


def test_an_unfinished_run_of_something_else_is_refused_or_dropped(
    many, tiny_tf2, tiny_hub, tmp_path, stop, capsys
):
    out = tmp_path / "out"
    stop(many, out, parts=2, variants=f"v={tiny_tf2}")
    kept = contents(OutputFolder.at(out))
    for variants, flags, told in (
        (f"v={tiny_tf2},w={tiny_hub}", [], "an unfinished run of v, this one is of v, w"),
        (f"v={tiny_hub}", [], "variant 'v' with signature '__call__', this run has 'default'"),
        (f"v={tiny_tf2}", ["--vector-type", "float16"], "'float32', this run has 'float16'"),
        (f"v={tiny_tf2}", ["--engine", "tensorflow"], "'litert', this run has 'tensorflow'"),
    ):
        assert embed(many, out, *flags, variants=variants) == 1
        shown = capsys.readouterr().err
        assert told in shown
        assert ".unfinished to drop" in shown
    assert contents(OutputFolder.at(out)) == kept
    assert embed(many, out, "--overwrite", *FLAGS, variants=f"v={tiny_hub}") == 0
    assert embed(many, tmp_path / "undisturbed", *FLAGS, variants=f"v={tiny_hub}") == 0
    assert files(out) == files(tmp_path / "undisturbed")


@pytest.mark.parametrize("what", ["attempt.json", "chunks/*", "tasks/*/*", "embeddings/*/*"])
@pytest.mark.parametrize("damage", ["flipped", "cut", "empty"])
def test_what_is_damaged_of_it_is_computed_again(many, tiny_tf2, tmp_path, stop, what, damage):
    options = {"variants": f"v={tiny_tf2}"}
    assert embed(many, tmp_path / "undisturbed", *FLAGS, **options) == 0
    out = tmp_path / "out"
    stop(many, out, parts=4, **options)
    damaged = list(out.glob(f".unfinished/*/{what}"))
    assert damaged
    for file in damaged:
        data = bytearray(file.read_bytes())
        data[len(data) // 3] ^= 0x80
        half = bytes(data[: len(data) // 2])
        file.write_bytes({"flipped": bytes(data), "cut": half, "empty": b""}[damage])
    assert embed(many, out, *FLAGS, **options) == 0
    assert files(out) == files(tmp_path / "undisturbed")


def test_pictures_that_change_between_attempts_are_taken_as_they_are(
    many, tiny_tf2, tmp_path, stop
):
    photos = tmp_path / "photos"
    shutil.copytree(many, photos)
    options = {"variants": f"v={tiny_tf2}"}
    out = tmp_path / "out"
    stop(photos, out, parts=4, **options)
    for seed in (3, 11, 20, 27, 35):
        (photos / f"{seed:02}.jpg").write_bytes(picture(100 + seed, (90, 70)))
    for seed in (5, 12, 30):
        (photos / f"{seed:02}.jpg").unlink()
    (photos / "0a.jpg").write_bytes(picture(200))
    (photos / "1_empty.jpg").write_bytes(picture(201))
    assert embed(photos, out, *FLAGS, **options) == 0
    assert embed(photos, tmp_path / "undisturbed", *FLAGS, **options) == 0
    ours, theirs = (EmbeddingDataset.open(str(one)) for one in (out, tmp_path / "undisturbed"))
    order = [dataset.pictures().column("uri").to_numpy().argsort() for dataset in (ours, theirs)]
    assert (
        ours.pictures()
        .take(order[0])
        .drop(["part", "row"])
        .equals(theirs.pictures().take(order[1]).drop(["part", "row"]))
    )
    assert np.array_equal(ours.vectors()[order[0]], theirs.vectors()[order[1]])
    assert failures(out) == failures(tmp_path / "undisturbed")


def test_an_update_and_a_retry_are_carried_on(many, tiny_tf2, tmp_path, stop, counted):
    photos = tmp_path / "photos"
    shutil.copytree(many, photos)
    options = {"variants": f"v={tiny_tf2}"}
    out = tmp_path / "out"
    assert embed(photos, out, *FLAGS, **options) == 0
    for seed in range(50, 80):
        (photos / f"{seed}.jpg").write_bytes(picture(seed))
    first = stop(photos, out, "--update", parts=3, **options)
    assert len(EmbeddingDataset.open(str(out))) == PICTURES
    counted.clear()
    assert embed(photos, out, "--update", *FLAGS, **options) == 0
    assert first + len(counted) == 30
    assert len(EmbeddingDataset.open(str(out))) == PICTURES + 30

    broken = list(broken_files())
    for seed, name in enumerate(broken[:4]):
        (photos / f"1_{name}").write_bytes(picture(90 + seed))
    first = stop(photos, out, "--retry-failures", parts=1, **options)
    counted.clear()
    assert embed(photos, out, "--retry-failures", *FLAGS, **options) == 0
    assert first + len(counted) == len(broken)
    assert [line["uri"] for line in failures(out)] == [str(photos / f"1_{broken[4]}")]


def _workers_of(launcher: int) -> list[int]:
    """Beam's worker processes: the grandchildren of a process that runs them."""
    parents = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            parents[int(stat.parent.name)] = int(stat.read_text().rpartition(")")[2].split()[1])
    return [pid for pid, parent in parents.items() if launcher in (parent, parents.get(parent))]


@pytest.mark.slow
@pytest.mark.skipif(
    not Path("/proc/self/stat").exists(), reason="worker processes are found in /proc"
)
def test_a_worker_that_is_killed_ends_the_run_and_loses_nothing(many, tiny_tf2, tmp_path):
    arguments = [
        *("embed", str(many), "--output", str(tmp_path / "out"), "--variants", f"v={tiny_tf2}"),
        *(*FLAGS, "--direct_num_workers", "2", "--direct_running_mode", "multi_processing"),
    ]
    code = "import sys; from pipelines.command_line import main; sys.exit(main(sys.argv[1:]))"
    launcher = subprocess.Popen(
        [sys.executable, "-c", code, *arguments],
        cwd=Path(__file__).resolve().parents[2],
        stderr=subprocess.PIPE,
        text=True,
    )
    deadline = time.monotonic() + 60
    while launcher.poll() is None and not (workers := _workers_of(launcher.pid)):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    for worker in workers:
        with contextlib.suppress(ProcessLookupError):
            os.kill(worker, signal.SIGKILL)
    _, shown = launcher.communicate(timeout=60)
    assert launcher.returncode == 1
    assert "a worker process was killed" in shown
    assert "the same command carries on" in shown
    assert main(arguments[:-4]) == 0
    assert len(EmbeddingDataset.open(str(tmp_path / "out"))) == PICTURES
