"""`lookalike index` as a user runs it: by several workers, and again after the pictures changed."""

import json
import shutil

import numpy as np
import pytest

from index import shards
from index.manifest import IndexManifest
from index.output_folder import OutputFolder
from index.vector_index import VectorIndex
from pipelines.command_line import main
from tests.conftest import picture, random_vectors, write_dataset
from tests.pipelines.conftest import embed

OURS = "PCAR24,IVF16,PQ12x4fs,Refine(SQ8)"
ON_DISK = "PCAR24,IVF16,PQ12x4,Refine(SQ8)"
TWO_WORKERS = ["--direct_num_workers", "2", "--direct_running_mode", "multi_processing"]


def manifest_of(out, variant="tiny") -> IndexManifest:
    return IndexManifest.read(OutputFolder.at(out).folder("index", f"variant={variant}"))


@pytest.mark.slow
@pytest.mark.parametrize("factory", [OURS, ON_DISK, "Flat"])
def test_two_workers_build_what_one_process_builds(tmp_path, monkeypatch, factory):
    monkeypatch.setattr(shards, "SHARD_ROWS", 700)
    vectors, flags = random_vectors(5000), ["--factory", factory]
    for name, workers in (("one", []), ("two", TWO_WORKERS)):
        write_dataset(tmp_path / name, vectors)
        assert main(["index", str(tmp_path / name), *flags, *workers]) == 0
    one, two = manifest_of(tmp_path / "one"), manifest_of(tmp_path / "two")
    assert one.searched_files == two.searched_files  # byte for byte
    assert one.search_parameters == two.search_parameters
    indexes = [VectorIndex.of_variant(str(tmp_path / name), "tiny") for name in ("one", "two")]
    found = [index.search(random_vectors(50, seed=7), 10) for index in indexes]
    assert np.array_equal(found[0].ids, found[1].ids)
    assert np.array_equal(found[0].scores, found[1].scores)
    assert sorted(path.name for path in (tmp_path / "two/index").iterdir()) == ["variant=tiny"]


def test_the_in_process_runner_builds_the_same(tmp_path):
    for name, workers in (("one", []), ("beam", ["--runner", "FnApiRunner"])):
        write_dataset(tmp_path / name, random_vectors(600))
        assert main(["index", str(tmp_path / name), "--factory", OURS, *workers]) == 0
    assert manifest_of(tmp_path / "one").index_file == manifest_of(tmp_path / "beam").index_file


def test_a_type_that_is_not_built_in_shards_is_refused_for_workers(tmp_path, capsys):
    write_dataset(tmp_path, random_vectors(100))
    flags = ["--factory", "HNSW16", "--runner", "FnApiRunner"]
    assert main(["index", str(tmp_path), *flags]) == 2
    assert "'HNSW16' is not built by several workers" in capsys.readouterr().err
    assert not (tmp_path / "index/variant=tiny").exists()


def test_a_damaged_part_stops_workers_and_publishes_nothing(tmp_path, capsys):
    write_dataset(tmp_path, random_vectors(300))
    part = tmp_path / "embeddings/variant=tiny/part-00001.parquet"
    data = bytearray(part.read_bytes())
    data[len(data) // 2] ^= 1
    part.write_bytes(data)
    for flags in ([], ["--runner", "FnApiRunner"]):
        assert main(["index", str(tmp_path), *flags]) == 1
        assert "part-00001.parquet has sha256" in capsys.readouterr().err
        assert not (tmp_path / "index/variant=tiny").exists()


def test_an_update_follows_the_pictures_and_search_says_when_it_must(tiny_tf2, tmp_path, capsys):
    pictures, out = tmp_path / "pictures", tmp_path / "out"
    pictures.mkdir()
    for seed in range(8):
        (pictures / f"{seed}.jpg").write_bytes(picture(seed))
    variants = f"v={tiny_tf2}"
    assert embed(pictures, out, variants=variants) == 0
    assert main(["index", str(out)]) == 0
    (pictures / "0.jpg").unlink()
    (pictures / "9.jpg").write_bytes(picture(9))
    assert embed(pictures, out, "--update", variants=variants) == 0
    capsys.readouterr()

    assert main(["search", str(out), "--uri", str(pictures / "5.jpg"), "--json"]) == 0
    shown = capsys.readouterr()
    assert "the index is behind: it covers 8 pictures" in shown.err
    assert "0.jpg" in shown.out

    assert main(["index", str(out), "--update"]) == 0
    shown = capsys.readouterr().out
    assert "added             1" in shown
    assert "removed           1" in shown
    assert main(["search", str(out), "--uri", str(pictures / "5.jpg"), "--json"]) == 0
    shown = capsys.readouterr()
    assert shown.err == ""
    hits = [json.loads(line) for line in shown.out.splitlines()]
    assert {hit["uri"] for hit in hits} == {str(path) for path in pictures.iterdir()}
    assert {hit["id"] for hit in hits} == set(range(1, 9))
    before = manifest_of(out, "v")
    assert main(["index", str(out), "--update"]) == 0  # nothing to do
    assert manifest_of(out, "v") == before


@pytest.mark.parametrize("flag", [["--overwrite"], ["--factory", "Flat"], ["--min-recall", "0.9"]])
def test_an_update_takes_no_flag_that_would_build_another_index(indexed, capsys, flag):
    assert main(["index", str(indexed), "--variant", "tf2", "--update", *flag]) == 2
    assert "--update keeps" in capsys.readouterr().err


def test_an_update_of_no_index_names_the_cure(indexed, capsys):
    assert main(["index", str(indexed), "--variant", "tf1", "--update"]) == 1
    assert "build it with: lookalike index" in capsys.readouterr().err


def test_the_choice_is_told_with_its_reason_and_figures(indexed, capsys):
    assert main(["index", str(indexed), "--variant", "tf2", "--overwrite"]) == 0
    shown = capsys.readouterr().out
    for name in ("why", "recall@1 ", "recall@10", "queries a second", "bytes a vector", "build"):
        assert name in shown


@pytest.mark.parametrize("made", [False, True])
def test_an_update_carries_on_where_one_was_killed_between_its_renames(tmp_path, capsys, made):
    write_dataset(tmp_path, random_vectors(50))
    assert main(["index", str(tmp_path)]) == 0
    indexes = tmp_path / "index"
    (indexes / "variant=tiny").rename(indexes / ".replaced-variant=tiny")
    if made:
        shutil.copytree(indexes / ".replaced-variant=tiny", indexes / ".unfinished/variant=tiny")
    write_dataset(tmp_path, random_vectors(60))
    assert main(["index", str(tmp_path), "--update"]) == 0
    assert manifest_of(tmp_path).count == 60
    assert [path.name for path in indexes.iterdir()] == ["variant=tiny"]


def test_an_update_by_workers_keeps_the_type_that_was_asked_for(tmp_path):
    write_dataset(tmp_path, random_vectors(100))
    assert main(["index", str(tmp_path), "--factory", "HNSW16"]) == 0
    write_dataset(tmp_path, random_vectors(250))  # outgrown: made anew
    assert main(["index", str(tmp_path), "--update", "--runner", "FnApiRunner"]) == 0
    manifest = manifest_of(tmp_path)
    assert (manifest.factory_string, manifest.asked_for, manifest.count) == ("HNSW16", True, 250)
