"""What stands in an output before, during and after a run of embed."""

import numpy as np
import pytest

from index.embedding_dataset import EmbeddingDataset
from index.output_folder import OutputFolder
from index.output_lock import only_writer
from pipelines.command_line import main
from tests.conftest import picture
from tests.pipelines.conftest import embed, failures
from transforms import embedding_plan


def test_a_finished_output_is_refused_and_stays_as_it_is(out, photos, variants, capsys):
    before = (out / "manifest.json").read_bytes()
    assert embed(photos, out, variants=variants) == 1
    assert "--overwrite" in capsys.readouterr().err
    assert (out / "manifest.json").read_bytes() == before


def test_overwriting_replaces_everything(photos, tiny_tf2, tiny_hub, tmp_path, monkeypatch):
    out = tmp_path / "out"
    monkeypatch.setattr(embedding_plan, "CHUNK_FILES", 2)
    assert embed(photos, out, variants=f"old={tiny_tf2}") == 3
    assert len(list((out / "embeddings/variant=old").iterdir())) > 3
    assert main(["index", str(out)]) == 0
    assert main(["dedup", str(out)]) == 0
    monkeypatch.setattr(embedding_plan, "CHUNK_FILES", 100)
    few = tmp_path / "few"
    few.mkdir()
    (few / "one.jpg").write_bytes(picture(1))
    assert embed(few, out, "--overwrite", variants=f"new={tiny_hub}") == 0
    left = sorted(str(path.relative_to(out)) for path in out.rglob("*") if path.is_file())
    assert len(left) == 2
    assert left[0].startswith("embeddings/variant=new/part-00000-")
    assert left[1] == "manifest.json"


def test_a_run_that_stops_publishes_nothing(photos, tiny_tf2, tmp_path, monkeypatch, capsys):
    from transforms import write_embeddings

    out = tmp_path / "out"

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as broken:
        broken.setattr(write_embeddings, "encode_part", full)
        assert embed(photos, out, variants=f"v={tiny_tf2}") == 1
    shown = capsys.readouterr().err
    assert "No space left on device" in shown
    assert "Traceback" not in shown
    assert [path.name for path in out.iterdir()] == [".unfinished"]
    assert "the same command carries on" in shown
    assert main(["index", str(out)]) == 1
    assert embed(photos, out, "--max-failure-rate", "1", variants=f"v={tiny_tf2}") == 0
    assert sorted(path.name for path in out.iterdir()) == [
        "embeddings",
        "failures",
        "manifest.json",
    ]


def test_the_old_output_stays_whole_when_overwriting_stops(photos, tiny_tf2, tmp_path, monkeypatch):
    from transforms import write_embeddings

    out = tmp_path / "out"
    assert embed(photos, out, "--max-failure-rate", "1", variants=f"v={tiny_tf2}") == 0
    before = EmbeddingDataset.open(str(out)).vectors()
    monkeypatch.setattr(write_embeddings, "encode_part", None)
    assert embed(photos, out, "--overwrite", variants=f"v={tiny_tf2}") == 1
    assert np.array_equal(EmbeddingDataset.open(str(out)).vectors(), before)


def test_a_folder_that_is_not_ours_is_never_replaced(photos, tiny_tf2, tmp_path, capsys):
    (tmp_path / "index").mkdir()
    (tmp_path / "index/precious.txt").write_text("mine")
    for flags in ([], ["--overwrite"]):
        assert embed(photos, tmp_path, *flags, variants=f"v={tiny_tf2}") == 1
        assert "choose another folder" in capsys.readouterr().err
    (tmp_path / "manifest.json").write_text("{}")
    assert embed(photos, tmp_path, "--overwrite", variants=f"v={tiny_tf2}") == 1
    assert (tmp_path / "index/precious.txt").read_text() == "mine"


def test_an_output_among_its_own_pictures_is_not_embedded(tmp_path, tiny_tf2):
    (tmp_path / "a.jpg").write_bytes(picture(1))
    for flags in ([], ["--overwrite"]):
        assert embed(tmp_path, tmp_path, *flags, variants=f"v={tiny_tf2}") == 0
        assert len(EmbeddingDataset.open(str(tmp_path))) == 1
    assert (tmp_path / "a.jpg").read_bytes() == picture(1)


@pytest.mark.parametrize("way", ["pictures", "output"])
def test_an_output_among_its_pictures_is_known_by_any_path(tmp_path, tiny_tf2, way):
    folder, link = tmp_path / "pictures", tmp_path / "link"
    folder.mkdir()
    (folder / "a.jpg").write_bytes(picture(1))
    (folder / "b.jpg").write_bytes(b"no picture")
    link.symlink_to(folder)
    photos, out = (link, folder / "out") if way == "pictures" else (folder, link / "out")
    for flags in ([], ["--update"], ["--update"]):
        flags = ["--max-failure-rate", "1", *flags]
        assert embed(photos, out, *flags, variants=f"v={tiny_tf2}") == 0
        assert len(EmbeddingDataset.open(str(out))) == 1
        assert len(failures(out)) == 1


def test_two_runs_cannot_write_into_one_output(photos, tiny_tf2, tmp_path, capsys):
    out = tmp_path / "out"
    with only_writer(OutputFolder.at(out), create=True):
        assert embed(photos, out, variants=f"v={tiny_tf2}") == 1
        assert "another run is writing" in capsys.readouterr().err
    assert embed(photos, out, "--max-failure-rate", "1", variants=f"v={tiny_tf2}") == 0


@pytest.mark.parametrize("command", ["index", "dedup"])
def test_what_is_derived_is_not_made_while_its_source_is(
    photos, tiny_tf2, tmp_path, command, capsys
):
    out = tmp_path / "out"
    assert embed(photos, out, "--max-failure-rate", "1", variants=f"v={tiny_tf2}") == 0
    with only_writer(OutputFolder.at(out)):
        assert main([command, str(out)]) == 1
        assert "another run is writing" in capsys.readouterr().err


def test_an_interrupt_is_not_a_failure_of_the_pipeline(
    photos, tiny_tf2, tmp_path, monkeypatch, capsys
):
    from transforms import write_embeddings

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(write_embeddings, "encode_part", interrupt)
    assert embed(photos, tmp_path / "out", variants=f"v={tiny_tf2}") == 130
    assert capsys.readouterr().err.endswith("lookalike: interrupted\n")


def test_a_damaged_manifest_is_named_with_a_way_out(photos, tiny_tf2, tmp_path, capsys):
    (tmp_path / "manifest.json").write_text('{"kind": "embed')
    for flags in ([], ["--overwrite"]):
        assert embed(photos, tmp_path, *flags, variants=f"v={tiny_tf2}") == 1
        assert "choose another folder" in capsys.readouterr().err


def test_an_empty_output_is_not_the_current_folder(photos, tiny_tf2):
    assert embed(photos, "", variants=f"v={tiny_tf2}") == 2
