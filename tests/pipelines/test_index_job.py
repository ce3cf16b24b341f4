import shutil
from pathlib import Path

import pytest

from index.manifest import IndexManifest
from index.output_folder import OutputFolder
from pipelines.command_line import main


def files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_an_index_is_files_that_describe_it(indexed):
    folder = indexed / "index/variant=tf2"
    assert files(folder) == ["index.faiss", "manifest.json", "report.html", "rows.parquet"]
    manifest = IndexManifest.read(OutputFolder.at(folder))
    assert (manifest.factory_string, manifest.metric, manifest.count) == ("Flat", "cosine", 12)
    assert manifest.measured.recall_at_10 == 1.0
    assert files(indexed / "index") == ["variant=tf2"]


def test_a_finished_index_is_replaced_only_when_asked(indexed, capsys):
    before = (indexed / "index/variant=tf2/manifest.json").read_bytes()
    assert main(["index", str(indexed), "--variant", "tf2"]) == 1
    assert "--overwrite" in capsys.readouterr().err
    assert (indexed / "index/variant=tf2/manifest.json").read_bytes() == before
    assert main(["index", str(indexed), "--variant", "tf2", "--overwrite"]) == 0


def test_a_factory_string_of_the_users_choice_is_built(indexed, tmp_path, capsys):
    out = shutil.copytree(indexed, tmp_path / "out")
    assert main(["index", str(out), "--variant", "tf1", "--factory", "HNSW8"]) == 0
    assert "HNSW8" in capsys.readouterr().out
    assert main(["index", str(out), "--variant", "tf1", "--factory", "X", "--overwrite"]) == 2
    assert IndexManifest.read(OutputFolder.at(out / "index/variant=tf1")).count == 12


def test_several_variants_must_be_named(indexed, capsys):
    for command in ("index", "dedup"):
        assert main([command, str(indexed)]) == 1
        assert "tf2, tf1" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["index", "dedup", "search"])
def test_an_output_that_is_not_there_is_named(command, tmp_path, capsys):
    flags = ["--uri", "x"] if command == "search" else []
    assert main([command, str(tmp_path / "none"), *flags]) == 1
    assert "none" in capsys.readouterr().err
    assert not (tmp_path / "none").exists()
