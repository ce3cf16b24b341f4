import json
import shutil
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from index.embedding_dataset import EmbeddingDataset
from pipelines.command_line import main
from tests.authored_modules import save_tf2_module
from tests.conftest import TINY_SIZE, TINY_WIDTH, picture


def search(out, *flags, capsys) -> list[dict]:
    assert main(["search", str(out), "--json", *map(str, flags)]) == 0
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_a_picture_of_the_set_finds_itself_first(indexed, photos, capsys):
    for path in sorted(photos.rglob("*.jpg")):
        if path.name[:2].isdigit() or path.name == "again_05.jpg":
            hits = search(indexed, "--image", path, "-k", 3, capsys=capsys)
            assert (hits[0]["uri"], hits[0]["score"]) == (str(path), 1.0)
            assert [hit["rank"] for hit in hits] == [1, 2, 3]
            assert hits[1]["score"] >= hits[2]["score"]


def test_a_copy_elsewhere_finds_the_picture_first(indexed, photos, tmp_path, capsys):
    shutil.copyfile(photos / "07.jpg", tmp_path / "query.jpg")
    hits = search(indexed, "--image", tmp_path / "query.jpg", "-k", 1, capsys=capsys)
    assert [Path(hit["uri"]).name for hit in hits] == ["07.jpg"]


def test_a_uri_of_the_set_is_searched_without_its_module(indexed, photos, capsys, monkeypatch):
    monkeypatch.chdir(photos)
    by_path = search(indexed, "--uri", "05.jpg", capsys=capsys)
    by_uri = search(indexed, "--uri", photos / "05.jpg", capsys=capsys)
    assert [hit["uri"] for hit in by_path] == [hit["uri"] for hit in by_uri]
    assert (by_uri[0]["uri"], by_uri[0]["score"]) == (str(photos / "05.jpg"), 1.0)
    assert (by_uri[1]["uri"], by_uri[1]["score"]) == (str(photos / "again_05.jpg"), 1.0)


def test_picture_uri_and_vector_give_the_same_neighbors(indexed, photos, tmp_path, capsys):
    dataset = EmbeddingDataset.open(str(indexed), "tf2")
    row = dataset.pictures().column("uri").to_pylist().index(str(photos / "08.jpg"))
    np.save(tmp_path / "query.npy", dataset.vectors()[row])
    ways = [
        search(indexed, "--image", photos / "08.jpg", capsys=capsys),
        search(indexed, "--uri", photos / "08.jpg", capsys=capsys),
        search(indexed, "--vector", tmp_path / "query.npy", capsys=capsys),
    ]
    uris = [[hit["uri"] for hit in hits] for hits in ways]
    assert uris[0] == uris[1] == uris[2]
    assert len(uris[0]) == 10


def test_several_queries_are_answered_in_turn(indexed, photos, tmp_path, capsys):
    np.save(tmp_path / "two.npy", EmbeddingDataset.open(str(indexed), "tf2").vectors()[:2])
    flags = ["--image", photos / "01.jpg", photos / "02.jpg", "--vector", tmp_path / "two.npy"]
    hits = search(indexed, *flags, "-k", 2, capsys=capsys)
    assert len(hits) == 8
    assert len({hit["query"] for hit in hits}) == 4


def test_more_neighbors_than_pictures_are_all_pictures(indexed, photos, capsys):
    assert len(search(indexed, "--uri", photos / "01.jpg", "-k", 99, capsys=capsys)) == 12


def test_the_table_is_for_people(indexed, photos, capsys):
    assert main(["search", str(indexed), "--uri", str(photos / "01.jpg"), "-k", "2"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[1].split() == ["1", "1.0000", str(photos / "01.jpg")]


def test_a_page_shows_query_and_neighbors(indexed, photos, tmp_path, capsys):
    page = tmp_path / "page.html"
    search(indexed, "--image", photos / "01.jpg", "-k", 3, "--report", page, capsys=capsys)
    assert page.read_text().count("data:image/jpeg") == 4


@pytest.mark.parametrize(
    ("flags", "code", "message"),
    [
        ([], 2, "give --image, --uri or --vector"),
        (["--image", "nowhere.jpg"], 1, "nowhere.jpg"),
        (["--uri", "nowhere.jpg"], 1, "not a picture of this index"),
        (["--vector", "nowhere.npy"], 1, "nowhere.npy"),
        (["--variant", "tf1", "--uri", "x"], 1, "lookalike index"),
        (["--variant", "other", "--uri", "x"], 1, "no index of variant 'other'"),
    ],
)
def test_what_cannot_be_searched_is_named(indexed, capsys, flags, code, message):
    assert main(["search", str(indexed), *flags]) == code
    assert message in capsys.readouterr().err


def test_a_query_that_is_no_picture_is_named(indexed, tmp_path, capsys):
    (tmp_path / "q.jpg").write_bytes(b"text")
    assert main(["search", str(indexed), "--image", str(tmp_path / "q.jpg")]) == 1
    assert "q.jpg" in capsys.readouterr().err


@pytest.mark.parametrize(
    "array",
    [
        np.zeros((1, 7), np.float32),
        np.full(24, np.nan),
        np.zeros((0, 24)),
        np.zeros(24),
        np.zeros((1, 1, 24)),
    ],
)
def test_a_vector_that_does_not_fit_is_refused(indexed, tmp_path, capsys, array):
    np.save(tmp_path / "q.npy", array)
    assert main(["search", str(indexed), "--vector", str(tmp_path / "q.npy")]) == 1
    assert "vector" in capsys.readouterr().err


def test_a_vector_file_that_would_run_code_is_refused(indexed, tmp_path, capsys):
    np.save(tmp_path / "q.npy", np.array([{"a": 1}], object), allow_pickle=True)
    assert main(["search", str(indexed), "--vector", str(tmp_path / "q.npy")]) == 1
    assert "not a .npy file of numbers" in capsys.readouterr().err


def test_an_index_that_is_behind_its_embeddings_says_so(
    indexed, photos, tiny_tf2, tmp_path, capsys
):
    out = tmp_path / "out"
    flags = ["--variants", f"tf2={tiny_tf2}", "--output", str(out)]
    assert main(["embed", str(photos / "01.jpg"), *flags]) == 0
    shutil.copytree(indexed / "index/variant=tf2", out / "index/variant=tf2")
    assert main(["search", str(out), "--uri", str(photos / "01.jpg")]) == 0
    shown = capsys.readouterr()
    assert "covers 12 pictures" in shown.err
    assert "holds 1 of" in shown.err
    assert "--update" in shown.err
    assert "1  1.0000" in shown.out  # by what the index holds itself


def test_an_index_away_from_its_embeddings_can_be_searched(indexed, photos, tmp_path, capsys):
    shutil.copytree(indexed / "index", tmp_path / "out/index")
    query = ["--uri", photos / "08.jpg", "-k", 4]
    assert search(tmp_path / "out", *query, capsys=capsys) == search(indexed, *query, capsys=capsys)


def test_only_pictures_that_match_a_filter_are_found(indexed, photos, capsys):
    query = ["--uri", photos / "08.jpg", "-k", 20]
    every = search(indexed, *query, capsys=capsys)
    some = search(indexed, *query, "--filter", "uri like '%/more/%'", capsys=capsys)
    ranks = [hit["uri"] for hit in every if "/more/" in hit["uri"]]
    assert [hit["uri"] for hit in some] == ranks
    assert len(ranks) == 4
    assert search(indexed, *query, "--filter", "width > 10000", capsys=capsys) == []


@pytest.mark.parametrize(
    "condition",
    ["widht > 3", "uri", "1; drop table rows", "", "uri in (select * from '/etc/passwd')", "(1"],
)
def test_a_filter_that_is_no_condition_is_refused(indexed, photos, capsys, condition):
    query = ["--uri", str(photos / "08.jpg"), "--filter", condition]
    assert main(["search", str(indexed), *query]) == 2
    assert "is no condition" in capsys.readouterr().err


def test_neighbors_are_written_as_parquet(indexed, photos, tmp_path, capsys):
    query = ["--uri", photos / "08.jpg", photos / "01.jpg", "-k", 3]
    printed = search(indexed, *query, capsys=capsys)
    query = [str(flag) for flag in query]
    assert main(["search", str(indexed), *query, "--parquet", str(tmp_path / "hits.parquet")]) == 0
    assert capsys.readouterr().out == ""
    written = pq.read_table(tmp_path / "hits.parquet").to_pylist()
    assert [{**hit, "score": round(hit["score"], 4)} for hit in written] == [
        {**hit, "score": round(hit["score"], 4)} for hit in printed
    ]


def test_a_query_prepared_with_another_module_is_refused(indexed, photos, tmp_path, capsys):
    other = save_tf2_module(tmp_path / "other", TINY_SIZE, TINY_WIDTH, seed=9)
    flags = ["--variant", f"tf2={other}", "--image", str(photos / "01.jpg")]
    assert main(["search", str(indexed), *flags]) == 1
    shown = capsys.readouterr().err
    assert "fingerprint" in shown
    assert shown.count("variant 'tf2'") == 2


@pytest.mark.parametrize("factory", ["SQ4", "PCAR4,Flat", "HNSW8,SQ8"])
def test_an_approximate_index_gives_exact_scores(indexed, photos, tmp_path, capsys, factory):
    out = shutil.copytree(indexed, tmp_path / "out")
    flags = ["--variant", "tf2", "--overwrite", "--factory", factory]
    assert main(["index", str(out), *flags]) == 0
    query = ["--uri", photos / "08.jpg", "--variant", "tf2", "-k", 4]
    capsys.readouterr()
    exact = search(indexed, *query, capsys=capsys)
    assert search(out, *query, capsys=capsys) == exact
    assert (exact[0]["uri"], exact[0]["score"]) == (str(photos / "08.jpg"), 1.0)


def test_the_same_weights_from_another_place_are_taken(indexed, photos, tiny_tf2, tmp_path, capsys):
    shutil.copytree(tiny_tf2, tmp_path / "moved")
    flags = ["--variant", f"tf2={tmp_path / 'moved'}", "--image", photos / "01.jpg"]
    assert search(indexed, *flags, capsys=capsys)[0]["score"] == 1.0


def test_many_copies_do_not_push_the_query_out(tmp_path, tiny_tf2, capsys):
    folder = tmp_path / "p"
    folder.mkdir()
    for number in range(8):
        (folder / f"copy_{number}.jpg").write_bytes(picture(1))
    out = tmp_path / "out"
    assert main(["embed", str(folder), "--variants", f"v={tiny_tf2}", "--output", str(out)]) == 0
    assert main(["index", str(out)]) == 0
    capsys.readouterr()
    for flag in ("--image", "--uri"):
        hits = search(out, flag, folder / "copy_6.jpg", "-k", 3, capsys=capsys)
        assert len(hits) == 3
        assert hits[0]["uri"].endswith("copy_6.jpg")
        assert len({hit["uri"] for hit in hits}) == 3


def test_neighbors_are_printed_or_written_not_both(indexed, photos, tmp_path, capsys):
    query = ["--uri", str(photos / "08.jpg"), "--json", "--parquet", str(tmp_path / "hits.parquet")]
    assert main(["search", str(indexed), *query]) == 2
    assert "give one of them" in capsys.readouterr().err


def test_a_parquet_that_cannot_be_written_is_one_line(indexed, photos, capsys):
    query = ["--uri", str(photos / "08.jpg"), "--parquet", "/nowhere/hits.parquet"]
    assert main(["search", str(indexed), *query]) == 1
    assert "'/nowhere/hits.parquet' cannot be written" in capsys.readouterr().err
