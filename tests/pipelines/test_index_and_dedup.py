import shutil
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from index.manifest import DuplicatesManifest, IndexManifest
from index.output_folder import OutputFolder
from pipelines.command_line import main


def dedup(out, *flags):
    return main(["dedup", str(out), "--variant", "tf1", *flags])


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


def test_duplicates_are_grouped_and_nothing_is_touched(indexed, photos, capsys):
    before = {path: path.read_bytes() for path in photos.rglob("*") if path.is_file()}
    assert dedup(indexed, "--threshold", "0.9999") == 0
    folder = indexed / "duplicates/variant=tf1"
    assert files(folder) == ["groups.parquet", "manifest.json", "report.html"]
    rows = pq.read_table(folder / "groups.parquet", partitioning=None).to_pylist()
    assert [(Path(row["uri"]).name, row["keep"], row["kind"]) for row in rows] == [
        ("05.jpg", True, "kept"),
        ("again_05.jpg", False, "exact"),
    ]
    assert rows[1]["score"] == 1.0
    manifest = DuplicatesManifest.read(OutputFolder.at(folder))
    assert (manifest.groups, manifest.exact_duplicates, manifest.near_duplicates) == (1, 1, 0)
    page = (folder / "report.html").read_text()
    assert page.count("data:image/jpeg") == 2
    assert "exact copy" in page
    assert {path: path.read_bytes() for path in photos.rglob("*") if path.is_file()} == before
    assert "no picture was touched" in capsys.readouterr().out


def test_finished_groups_are_replaced_only_when_asked(indexed, capsys):
    dedup(indexed, "--overwrite")
    assert dedup(indexed) == 1
    assert "--overwrite" in capsys.readouterr().err
    assert dedup(indexed, "--overwrite", "--keep", "first") == 0
    manifest = DuplicatesManifest.read(OutputFolder.at(indexed / "duplicates/variant=tf1"))
    assert (manifest.keep, manifest.threshold) == ("first", 0.9)


def test_a_report_survives_pictures_that_are_gone(tmp_path, photos, tiny_tf2):
    shutil.copytree(photos, tmp_path / "p")
    out = tmp_path / "out"
    flags = ["--variants", f"v={tiny_tf2}", "--output", str(out), "--max-failure-rate", "1"]
    assert main(["embed", str(tmp_path / "p"), *flags]) == 0
    shutil.rmtree(tmp_path / "p")
    assert main(["dedup", str(out), "--threshold", "0.9999"]) == 0
    assert "not readable now" in (out / "duplicates/variant=v/report.html").read_text()
