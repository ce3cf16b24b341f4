"""Running again after pictures were added, changed or removed, or a variant was."""

import os
import shutil

import numpy as np
import pytest

from index.embedding_dataset import EmbeddingDataset
from index.manifest import EmbeddingsManifest
from index.output_folder import OutputFolder
from pipelines.command_line import main
from tests.conftest import picture
from tests.pipelines.conftest import embed, failures, files
from transforms import embedding_plan


@pytest.fixture
def pictures(tmp_path, monkeypatch):
    """Ten pictures in chunks of four, and one that cannot be used."""
    monkeypatch.setattr(embedding_plan, "CHUNK_FILES", 4)
    folder = tmp_path / "pictures"
    folder.mkdir()
    for seed in range(10):
        (folder / f"{seed:02}.jpg").write_bytes(picture(seed))
    (folder / "05b.jpg").write_bytes(b"no picture")
    return folder


def rows(out, variant=None) -> dict[str, tuple]:
    """What is stored of every picture, by its name."""
    dataset = EmbeddingDataset.open(str(out), variant)
    columns = dataset.pictures().select(["uri", "content_hash", "bytes", "modified"]).to_pylist()
    found = {
        os.path.basename(row["uri"]): (*row.values(), vector.tobytes())
        for row, vector in zip(columns, dataset.vectors(), strict=True)
    }
    assert len(found) == len(columns), "a picture has two rows"
    return found


def fresh(pictures, place, **options):
    """What a run that knows nothing of the past makes of the pictures."""
    assert embed(pictures, place, "--max-failure-rate", "1", **options) == 0
    return rows(place)


def test_an_update_computes_what_is_new_and_drops_what_is_gone(
    pictures, tiny_tf2, tmp_path, decoded, capsys
):
    out, options = tmp_path / "out", {"variants": f"v={tiny_tf2}"}
    fresh(pictures, out, **options)
    assert main(["index", str(out)]) == 0
    (pictures / "00.jpg").unlink()
    (pictures / "05b.jpg").unlink()
    (pictures / "03.jpg").write_bytes(picture(33))
    (pictures / "20.jpg").write_bytes(picture(20))
    (pictures / "21.jpg").write_bytes(b"broken too")
    decoded.clear()
    capsys.readouterr()
    assert embed(pictures, out, "--update", "--max-failure-rate", "1", **options) == 0
    shown = {line[:20].strip(): line[20:] for line in capsys.readouterr().out.splitlines()}
    told = {name.split()[0]: name.split()[-1] for name in map(str.strip, shown)}
    assert len(decoded) == 3
    assert rows(out) == fresh(pictures, tmp_path / "fresh", **options)
    assert [line["uri"].rpartition("/")[2] for line in failures(out)] == ["21.jpg"]
    assert (told["added"], told["changed"], told["removed"], told["unchanged"]) == (
        "2",
        "1",
        "2",
        "8",
    )
    assert (out / "index").is_dir()
    assert main(["search", str(out), "--uri", str(pictures / "01.jpg")]) == 0
    assert "the index is behind" in capsys.readouterr().err


def test_an_update_of_what_has_not_changed_changes_nothing(pictures, tiny_tf2, tmp_path, decoded):
    out, options = tmp_path / "out", {"variants": f"v={tiny_tf2}"}
    fresh(pictures, out, **options)
    before = files(out)
    decoded.clear()
    assert embed(pictures, out, "--update", "--max-failure-rate", "1", **options) == 0
    assert files(out) == before
    assert decoded == []


def test_content_settles_what_the_time_leaves_open(pictures, tiny_tf2, tmp_path, decoded):
    out, options = tmp_path / "out", {"variants": f"v={tiny_tf2}"}
    (pictures / "07.jpg").write_bytes(b"1" * 900)
    (pictures / "08.jpg").write_bytes(picture(8, format="BMP"))
    fresh(pictures, out, **options)
    os.utime(pictures / "01.jpg", (1, 1))  # the same picture, touched
    os.utime(pictures / "07.jpg", (2, 2))  # a failure, touched
    (pictures / "08.jpg").write_bytes(picture(88, format="BMP"))  # as many bytes, another picture
    decoded.clear()
    for again in (1, 0):
        decoded.clear()
        assert embed(pictures, out, "--update", "--max-failure-rate", "1", **options) == 0
        assert len(decoded) == again
        assert rows(out) == fresh(pictures, tmp_path / f"fresh{again}", **options)
        assert failures(out) == failures(tmp_path / f"fresh{again}")


def test_what_cannot_be_listed_is_told_anew_and_counts_as_no_change(
    pictures, tiny_tf2, tmp_path, capsys
):
    out, options = tmp_path / "out", {"variants": f"v={tiny_tf2}"}
    (pictures / "dangling.jpg").symlink_to("nowhere")
    fresh(pictures, out, **options)
    before = files(out)
    capsys.readouterr()
    assert embed(pictures, out, "--update", "--max-failure-rate", "1", **options) == 0
    assert "removed    0" in capsys.readouterr().out
    assert files(out) == before


def test_a_variant_is_added_by_computing_it_alone(
    pictures, tiny_tf2, tiny_hub, tmp_path, monkeypatch, capsys
):
    from transforms import chunk_embedder

    out = tmp_path / "out"
    one, both = f"v={tiny_tf2}", f"v={tiny_tf2},w={tiny_hub}"
    fresh(pictures, out, variants=one)
    before = rows(out, "v")
    computed = []
    real = chunk_embedder.embed_inputs

    def counted(engine, images):
        computed.append(engine.variant.name)
        return real(engine, images)

    monkeypatch.setattr(chunk_embedder, "embed_inputs", counted)
    flags = ["--update", "--max-failure-rate", "1"]
    assert embed(pictures, out, *flags, variants=f"w={tiny_hub}") == 0
    assert set(computed) == {"w"}
    assert rows(out, "v") == before
    assert embed(pictures, tmp_path / "both", *flags, variants=both) == 0
    assert files(out) == files(tmp_path / "both")

    (pictures / "30.jpg").write_bytes(picture(30))
    assert embed(pictures, out, *flags, variants=one) == 1
    assert (
        "also holds w, and 1 pictures that are listed have no row of it" in capsys.readouterr().err
    )
    computed.clear()
    assert embed(pictures, out, *flags, variants=both) == 0
    assert sorted(computed) == ["v", "w"]
    assert set(rows(out, "v")) == set(rows(out, "w")) == {*before, "30.jpg"}


def test_dead_letters_are_tried_again_only_when_asked(pictures, tiny_tf2, tmp_path, decoded):
    out, options = tmp_path / "out", {"variants": f"v={tiny_tf2}"}
    (pictures / "04b.jpg").write_bytes(b"none either")
    fresh(pictures, out, **options)
    status = (pictures / "05b.jpg").stat()
    (pictures / "40.jpg").write_bytes(picture(40))  # new: not for this run
    (pictures / "00.jpg").unlink()
    mended = picture(5, (8, 8))
    (pictures / "05b.jpg").write_bytes(mended)
    os.utime(pictures / "05b.jpg", ns=(status.st_atime_ns, status.st_mtime_ns))
    decoded.clear()
    flags = ["--retry-failures", "--max-failure-rate", "1"]
    assert embed(pictures, out, *flags, **options) == 0
    assert sorted(decoded) == sorted([len(mended), len(b"none either")])
    assert sorted(rows(out)) == sorted([*(f"{seed:02}.jpg" for seed in range(10)), "05b.jpg"])
    assert [line["uri"].rpartition("/")[2] for line in failures(out)] == ["04b.jpg"]
    manifest = EmbeddingsManifest.read(OutputFolder.at(out))
    assert (manifest.pictures, manifest.failures) == (12, 1)

    decoded.clear()
    assert embed(pictures, out, "--update", *flags, **options) == 0
    assert sorted(decoded) == sorted([len(picture(40)), len(b"none either")])
    assert "00.jpg" not in rows(out)
    assert "40.jpg" in rows(out)


def test_a_dead_letter_that_is_gone_stays_one(pictures, tiny_tf2, tmp_path):
    out, options = tmp_path / "out", {"variants": f"v={tiny_tf2}"}
    (pictures / "dangling.jpg").symlink_to("nowhere")
    fresh(pictures, out, **options)
    (pictures / "05b.jpg").unlink()
    flags = ["--retry-failures", "--max-failure-rate", "1"]
    assert embed(pictures, out, *flags, **options) == 0
    found = {line["uri"].rpartition("/")[2]: line["error"] for line in failures(out)}
    assert found == {"05b.jpg": "FileNotFoundError", "dangling.jpg": "DanglingLink"}


def test_other_modules_and_settings_do_not_mix(pictures, tiny_tf2, tiny_hub, tmp_path, capsys):
    out = tmp_path / "out"
    fresh(pictures, out, variants=f"v={tiny_tf2}")
    before = files(out)
    for flags, fact in (
        (["--vector-type", "float16"], "vector_type 'float32', this run has 'float16'"),
        (["--engine", "tensorflow"], "engine 'litert', this run has 'tensorflow'"),
    ):
        for mode in ("--update", "--retry-failures"):
            assert embed(pictures, out, mode, *flags, variants=f"v={tiny_tf2}") == 1
            assert fact in capsys.readouterr().err
    assert embed(pictures, out, "--update", variants=f"v={tiny_hub}") == 1
    assert (
        "variant 'v' with signature '__call__', this run has 'default'" in capsys.readouterr().err
    )
    assert files(out) == before


def test_update_makes_what_is_not_there_yet_and_goes_with_no_overwrite(
    pictures, tiny_tf2, tmp_path, capsys
):
    options = {"variants": f"v={tiny_tf2}"}
    flags = ["--update", "--max-failure-rate", "1"]
    assert embed(pictures, tmp_path / "o", *flags, **options) == 0
    assert rows(tmp_path / "o") == fresh(pictures, tmp_path / "fresh", **options)
    assert embed(pictures, tmp_path / "o", "--overwrite", *flags, **options) == 2
    assert "leave out the other flag" in capsys.readouterr().err
    assert embed(pictures, tmp_path / "none", "--retry-failures", **options) == 1
    assert "holds no finished embeddings" in capsys.readouterr().err


def test_a_damaged_part_is_not_updated(pictures, tiny_tf2, tmp_path, capsys):
    out, options = tmp_path / "out", {"variants": f"v={tiny_tf2}"}
    fresh(pictures, out, **options)
    part = sorted((out / "embeddings/variant=v").iterdir())[1]
    data = bytearray(part.read_bytes())
    data[100] ^= 4
    part.write_bytes(data)
    assert embed(pictures, out, "--update", **options) == 1
    assert "sha256" in capsys.readouterr().err


def test_everything_may_be_gone_but_one(pictures, tiny_tf2, tmp_path):
    out, options = tmp_path / "out", {"variants": f"v={tiny_tf2}"}
    fresh(pictures, out, **options)
    for path in pictures.iterdir():
        if path.name != "04.jpg":
            path.unlink()
    assert embed(pictures, out, "--update", **options) == 0
    assert list(rows(out)) == ["04.jpg"]
    assert not (out / "failures").exists()
    assert len(list((out / "embeddings/variant=v").iterdir())) == 1
    shutil.rmtree(pictures)
    assert embed(pictures, out, "--update", **options) == 1
    assert np.isfinite(EmbeddingDataset.open(str(out)).vectors()).all()


def test_overwriting_mends_what_is_damaged(pictures, tiny_tf2, tmp_path):
    out, options = tmp_path / "out", {"variants": f"v={tiny_tf2}"}
    fresh(pictures, out, **options)
    before = files(out)
    for damaged in (*out.glob("embeddings/*/*"), *out.glob("failures/*")):
        damaged.write_bytes(damaged.read_bytes()[:-1] + b"?")
    assert embed(pictures, out, "--overwrite", "--max-failure-rate", "1", **options) == 0
    assert files(out) == before


def test_variants_of_an_output_have_the_same_vector_type(
    pictures, tiny_tf2, tiny_hub, tmp_path, capsys
):
    out = tmp_path / "out"
    fresh(pictures, out, variants=f"v={tiny_tf2}")
    flags = ["--update", "--vector-type", "float16"]
    assert embed(pictures, out, *flags, variants=f"w={tiny_hub}") == 1
    assert (
        "variant 'v' with vector_type 'float32', this run has 'float16'" in capsys.readouterr().err
    )


def test_rows_below_a_folder_that_cannot_be_reached_are_kept(pictures, tiny_tf2, tmp_path):
    out, options = tmp_path / "out", {"variants": f"v={tiny_tf2}"}
    disk = tmp_path / "disk"
    disk.mkdir()
    (disk / "50.jpg").write_bytes(picture(50))
    (pictures / "mounted").symlink_to(disk)
    fresh(pictures, out, **options)
    before = rows(out)
    disk.rename(tmp_path / "away")
    flags = ["--update", "--max-failure-rate", "1"]
    assert embed(pictures, out, *flags, **options) == 0
    assert rows(out) == before
    assert "mounted" in {line["uri"].rpartition("/")[2] for line in failures(out)}
    (tmp_path / "away").rename(disk)
    assert embed(pictures, out, *flags, **options) == 0
    assert rows(out) == before
    assert "mounted" not in {line["uri"].rpartition("/")[2] for line in failures(out)}


def test_many_small_updates_leave_few_files(pictures, tiny_tf2, tmp_path, monkeypatch):
    from transforms import computed_rows

    monkeypatch.setattr(computed_rows, "MOST_SMALL", 4)
    out, options = tmp_path / "out", {"variants": f"v={tiny_tf2}"}
    fresh(pictures, out, **options)
    for seed in range(60, 68):
        (pictures / f"{seed}.jpg").write_bytes(picture(seed))
        assert embed(pictures, out, "--update", "--max-failure-rate", "1", **options) == 0
        assert len(list((out / "embeddings/variant=v").iterdir())) <= 5
    assert rows(out) == fresh(pictures, tmp_path / "fresh", **options)
