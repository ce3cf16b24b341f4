"""Runs that were stopped: what they had computed stands, and the end is that of an undisturbed run."""

import shutil

import numpy as np
import pytest

from index import publishing
from index.embedding_dataset import EmbeddingDataset
from index.manifest import EmbeddingsManifest
from index.output_folder import OutputFolder
from pipelines.command_line import main
from tests.conftest import broken_files, contents, picture, picture_table
from tests.pipelines.conftest import MANY, embed, failures, files
from transforms import chunk_embedder, embedding_plan, write_embeddings
from transforms.attempt import Attempt, ChunkRecord
from transforms.embedded_task import EmbeddedTask


@pytest.fixture
def counted(decoded, monkeypatch) -> list[int]:
    """The sizes of the files that are decoded, in chunks of eight and tasks of two."""
    monkeypatch.setattr(embedding_plan, "CHUNK_FILES", 8)
    monkeypatch.setattr(chunk_embedder, "TASK_PICTURES", 2)
    return decoded


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
    assert EmbeddingsManifest.read(OutputFolder.at(out)).last_run.pictures == len(counted)
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
    assert len(EmbeddingDataset.open(str(out))) == MANY
    counted.clear()
    assert embed(photos, out, "--update", *FLAGS, **options) == 0
    assert first + len(counted) == 30
    assert len(EmbeddingDataset.open(str(out))) == MANY + 30

    broken = list(broken_files())
    for seed, name in enumerate(broken[:4]):
        (photos / f"1_{name}").write_bytes(picture(90 + seed))
    first = stop(photos, out, "--retry-failures", parts=1, **options)
    counted.clear()
    assert embed(photos, out, "--retry-failures", *FLAGS, **options) == 0
    assert first + len(counted) == len(broken)
    assert [line["uri"] for line in failures(out)] == [str(photos / f"1_{broken[4]}")]


@pytest.mark.parametrize("flags", [[], ["--update"], ["--overwrite"]])
def test_what_was_decided_is_published_and_only_that_command_is_done(
    many, tiny_tf2, tmp_path, monkeypatch, counted, capsys, flags
):
    out, options = tmp_path / "out", {"variants": f"v={tiny_tf2}"}
    few = tmp_path / "few"
    few.mkdir()
    (few / "a.jpg").write_bytes(picture(1))
    if flags:
        assert embed(few, out, **options) == 0

    def die(*_: object) -> None:
        raise Stopped

    with monkeypatch.context() as dying:
        dying.setattr(publishing, "_carry_through", die)
        with pytest.raises(Stopped):
            embed(many, out, *FLAGS, *flags, **options)
    counted.clear()
    shutil.copytree(out, tmp_path / "another")
    assert embed(many, out, *FLAGS, *flags, **options) == 0
    assert counted == []
    assert len(EmbeddingDataset.open(str(out))) == MANY
    assert not (out / ".unfinished").exists()

    assert embed(few, tmp_path / "another", **options) == 1
    assert "holds finished embeddings" in capsys.readouterr().err
    assert len(EmbeddingDataset.open(str(tmp_path / "another"))) == MANY


def test_an_index_is_of_what_was_decided(many, tiny_tf2, tmp_path, monkeypatch):
    out, options = tmp_path / "out", {"variants": f"v={tiny_tf2}"}
    assert embed(many, out, *FLAGS, **options) == 0

    def die(*_: object) -> None:
        raise Stopped

    with monkeypatch.context() as dying:
        dying.setattr(publishing, "_carry_through", die)
        with pytest.raises(Stopped):
            embed(many, out, "--overwrite", *FLAGS, **options)
    assert main(["index", str(out)]) == 0
    assert embed(many, out, "--update", *FLAGS, **options) == 0
    assert (out / "index").exists()


def test_a_task_of_a_dead_attempt_is_there_for_the_next(tmp_path):
    output = OutputFolder.at(tmp_path)
    first = Attempt.begin(output, {})
    task = EmbeddedTask(picture_table(1), {}, ())
    first.write_task(3, task)
    second = Attempt.begin(output, {})
    first.write_record(ChunkRecord(number=3, parts={}, failures=()))  # its worker lived on
    assert len(list(first.tasks())) == 1
    second.write_task(4, task)
    second.write_record(ChunkRecord(number=4, parts={}, failures=()))
    assert list(second.tasks()) == []
