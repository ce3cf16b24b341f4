import json
import os
import shutil
from pathlib import Path

import pytest

from pipelines.command_line import main
from tests.conftest import encoded, scene
from tests.copies import GROUPS, VARIANT, dedup, embed


@pytest.fixture
def out(copies, tmp_path) -> Path:
    return Path(shutil.copytree(copies / "out", tmp_path / "out"))


def apply(out: Path, *flags: str) -> int:
    return main(["apply", str(out), *flags])


def test_kept_pictures_are_linked_into_a_folder_when_asked_and_that_can_be_undone(
    out, copies, tmp_path, capsys
):
    assert apply(out, "--to", str(tmp_path / "clean")) == 1
    assert "lookalike dedup" in capsys.readouterr().err
    dedup(out, "--prefer", "train/**")
    clean = tmp_path / "clean"
    before = sorted(str(path) for path in (copies / "in").rglob("*.*"))
    assert apply(out, "--to", str(clean)) == 0
    assert "pass --do" in capsys.readouterr().out
    assert not clean.exists()
    assert apply(out, "--to", str(clean), "--do") == 0
    linked = sorted(path.name for path in clean.rglob("*.*"))
    assert linked == [f"{seed}.jpg" for seed in range(8)]
    assert os.path.samefile(clean / "0.jpg", copies / "in/train/0.jpg")
    [notes] = (out / "applied").iterdir()
    assert len([json.loads(line) for line in notes.read_text().splitlines()]) == 8
    assert apply(out, "--undo", str(notes)) == 0
    assert not [path for path in clean.rglob("*") if path.is_file()]
    assert sorted(str(path) for path in (copies / "in").rglob("*.*")) == before


def test_moving_moves_the_kept_and_leaves_the_others(tmp_path, copies, tiny_tf2):
    shutil.copytree(copies / "in", tmp_path / "in")
    embed(tmp_path / "in", tmp_path / "out", tiny_tf2)
    dedup(tmp_path / "out", "--prefer", "train/**")
    before = {path: path.read_bytes() for path in (tmp_path / "in").rglob("*.*")}
    assert apply(tmp_path / "out", "--to", str(tmp_path / "clean"), "--how", "move", "--do") == 0
    left = {path.name for path in (tmp_path / "in").rglob("*.*")}
    assert left == set().union(*GROUPS.values())
    assert len(list((tmp_path / "clean").rglob("*.*"))) == 8
    [notes] = (tmp_path / "out/applied").iterdir()
    assert apply(tmp_path / "out", "--undo", str(notes)) == 0
    assert {path: path.read_bytes() for path in (tmp_path / "in").rglob("*.*")} == before


def test_groups_of_other_embeddings_are_not_applied(tmp_path, copies, tiny_tf2, capsys):
    shutil.copytree(copies / "in", tmp_path / "in")
    embed(tmp_path / "in", tmp_path / "out", tiny_tf2)
    dedup(tmp_path / "out")
    (tmp_path / "in/more.png").write_bytes(encoded(scene(50), "PNG"))
    flags = ["--variants", f"{VARIANT}={tiny_tf2}", "--output", str(tmp_path / "out"), "--update"]
    assert main(["embed", str(tmp_path / "in"), *flags]) == 0
    assert apply(tmp_path / "out", "--to", str(tmp_path / "clean"), "--do") == 1
    assert "run dedup again" in capsys.readouterr().err
    assert not (tmp_path / "clean").exists()


def test_apply_needs_to_know_where(out, capsys):
    assert apply(out) == 2
    assert apply(out, "--to", "x", "--undo", "y") == 2
    assert apply(out, "--undo", str(out / "none.jsonl")) == 1
    assert "none.jsonl" in capsys.readouterr().err
