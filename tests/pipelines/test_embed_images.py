import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow.dataset
import pytest

from index.embedding_dataset import EmbeddingDataset
from index.manifest import EmbeddingsManifest
from index.output_folder import OutputFolder
from tests.authored_modules import save_tf2_module
from tests.conftest import broken_files, picture
from tests.pipelines.conftest import USABLE, embed, failures
from transforms import embedding_plan
from transforms.engines.litert_engine import LiteRTEngine
from transforms.image_embedder import ImageEmbedder


def test_every_usable_picture_is_a_row_of_every_variant(out, photos):
    expected = {str(path) for path in photos.rglob("*.jpg") if path.name not in broken_files()}
    for variant in ("tf1", "tf2"):
        dataset = EmbeddingDataset.open(str(out), variant)
        uris = dataset.pictures().column("uri").to_pylist()
        assert len(uris) == len(dataset) == USABLE
        assert set(uris) == expected
        assert uris == sorted(uris)


def test_every_unusable_file_is_a_line_with_its_reason(out):
    found = {Path(line["uri"]).name: line for line in failures(out)}
    assert set(found) == set(broken_files())
    for line in found.values():
        assert line["stage"] == "decode"
        assert line["bytes"] == Path(line["uri"]).stat().st_size
        assert line["modified_s"] == Path(line["uri"]).stat().st_mtime
        assert line["variant"] is None
        assert line["message"]
    assert found["empty.jpg"]["error"] == "EmptyFile"
    assert found["text.jpg"]["error"] == "NotAnImage"
    assert "truncated" in found["truncated.jpg"]["message"]


def test_stored_vectors_are_those_of_a_query(out, tiny_tf2):
    dataset = EmbeddingDataset.open(str(out), "tf2")
    embedder = ImageEmbedder.open(f"any={tiny_tf2}")
    again = embedder.embed(dataset.pictures().column("uri").to_pylist())
    assert np.allclose(dataset.vectors(), again, atol=1e-5)
    dataset.space.require_same(embedder.space)


def test_both_formats_give_the_same_vectors(out):
    tf1, tf2 = (EmbeddingDataset.open(str(out), name).vectors() for name in ("tf1", "tf2"))
    assert np.abs(tf1 - tf2).max() < 1e-4


def test_the_output_describes_itself(out, tiny_tf2):
    manifest = EmbeddingsManifest.read(OutputFolder.at(out))
    assert (manifest.pictures, manifest.failures) == (USABLE + 5, 5)
    record = manifest.variants["tf2"]
    assert record.rows == USABLE
    assert (record.engine, record.precision, record.vector_type) == ("litert", "float32", "float32")
    assert 0.9999 <= record.worst_cosine <= 1
    assert record.space.handle == str(tiny_tf2)
    assert record.space.recipe == "bilinear-aa-1"
    assert record.space.input_size == (32, 32)
    assert sum(one.rows for one in manifest.failure_files) == 5
    assert manifest.versions["tensorflow"].startswith("2.")
    table = pyarrow.dataset.dataset(out / "embeddings", partitioning="hive").to_table()
    assert table.num_rows == 2 * USABLE
    assert sorted(path.name for path in out.iterdir()) == [
        "embeddings",
        "failures",
        "manifest.json",
    ]


def test_rows_carry_the_facts_of_their_pictures(out, photos):
    rows = EmbeddingDataset.open(str(out), "tf2").pictures().to_pylist()
    by_name = {Path(row["uri"]).name: row for row in rows}
    copy, original = by_name["again_05.jpg"], by_name["05.jpg"]
    assert copy["content_hash"] == original["content_hash"]
    assert (original["width"], original["height"], original["format"]) == (80, 60, "JPEG")
    assert original["bytes"] == (photos / "05.jpg").stat().st_size
    assert original["modified"].timestamp() == pytest.approx((photos / "05.jpg").stat().st_mtime)


def test_running_again_gives_the_same_bytes(out, photos, variants, tmp_path):
    assert embed(photos, tmp_path / "again", variants=variants) == 3
    first = EmbeddingsManifest.read(OutputFolder.at(out)).variants
    assert EmbeddingsManifest.read(OutputFolder.at(tmp_path / "again")).variants == first


def test_the_failure_rate_decides_the_exit_code(photos, tiny_tf2, tmp_path, capsys):
    rates = {"0.29": 3, "0.3": 0}  # 5 of 17 files are broken: 0.294
    for number, (rate, code) in enumerate(rates.items()):
        out = tmp_path / str(number)
        found = embed(photos, out, "--max-failure-rate", rate, variants=f"v={tiny_tf2}")
        assert found == code
        assert len(EmbeddingDataset.open(str(out))) == USABLE
    assert "more than 29.00% of the pictures failed" in capsys.readouterr().out


def test_pictures_that_all_fail_are_still_accounted_for(tmp_path, tiny_tf2):
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad/a.jpg").write_bytes(b"")
    assert embed(tmp_path / "bad", tmp_path / "out", variants=f"v={tiny_tf2}") == 3
    assert len(EmbeddingDataset.open(str(tmp_path / "out"))) == 0
    assert len(failures(tmp_path / "out")) == 1


def test_the_model_fails_only_the_picture_it_cannot_take(tmp_path, fussy_module, tiny_tf2, capsys):
    from PIL import Image

    folder = tmp_path / "p"
    folder.mkdir()
    for seed in range(6):
        (folder / f"{seed}.jpg").write_bytes(picture(seed))
    Image.new("RGB", (40, 40), "white").save(folder / "white.png")
    Image.new("RGB", (40, 40), "black").save(folder / "black.png")
    variants = f"fussy={fussy_module},plain={tiny_tf2}"
    assert embed(folder, tmp_path / "out", "--max-failure-rate", "0.25", variants=variants) == 0
    found = {Path(line["uri"]).name: line for line in failures(tmp_path / "out")}
    assert {name: line["stage"] for name, line in found.items()} == {
        "white.png": "compute",
        "black.png": "compute",
    }
    assert len(EmbeddingDataset.open(str(tmp_path / "out"), "fussy")) == 6
    assert len(EmbeddingDataset.open(str(tmp_path / "out"), "plain")) == 8
    engines = {
        name: record.engine
        for name, record in EmbeddingsManifest.read(
            OutputFolder.at(tmp_path / "out")
        ).variants.items()
    }
    assert engines == {"fussy": "tensorflow", "plain": "litert"}
    said = capsys.readouterr().err
    assert "fussy: the module asserts something of its pictures" in said
    assert "tensorflow runs it instead" in said


@pytest.mark.parametrize("engine", ["tensorflow", "litert", "openvino"])
def test_every_engine_gives_the_same_rows(photos, tiny_tf2, out, tmp_path, engine):
    if engine == "openvino":
        pytest.importorskip("openvino")
    flags = ("--engine", engine, "--vector-type", "float16", "--threads", "1")
    assert embed(photos, tmp_path / "o", *flags, variants=f"tf2={tiny_tf2}") == 3
    halves, whole = (EmbeddingDataset.open(str(one), "tf2") for one in (tmp_path / "o", out))
    assert (halves.record.engine, halves.record.vector_type) == (engine, "float16")
    assert halves.pictures()["uri"] == whole.pictures()["uri"]
    assert halves.vectors().dtype == np.float32
    assert np.allclose(halves.vectors(), whole.vectors(), rtol=1e-3, atol=1e-3)
    stored = [sum(part.size for part in one.record.parts) for one in (halves, whole)]
    assert stored[0] < stored[1]


def test_chunks_of_any_size_give_the_same_rows(photos, tiny_tf2, out, tmp_path, monkeypatch):
    monkeypatch.setattr(embedding_plan, "CHUNK_FILES", 3)
    assert embed(photos, tmp_path / "o", variants=f"tf2={tiny_tf2}") == 3
    many, one = (EmbeddingDataset.open(str(folder), "tf2") for folder in (tmp_path / "o", out))
    assert len(many.record.parts) == 5  # the last chunk has only broken files
    assert many.pictures()["uri"] == one.pictures()["uri"]
    assert np.allclose(many.vectors(), one.vectors(), atol=1e-5)
    assert len(failures(tmp_path / "o")) == 5


@pytest.mark.parametrize("pattern", ["nowhere/*.jpg", "nowhere"])
def test_no_pictures_is_an_error(tmp_path, tiny_tf2, capsys, pattern):
    assert embed(tmp_path / pattern, tmp_path / "out", variants=f"v={tiny_tf2}") == 1
    assert "matches no file" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_modules_are_checked_before_any_work(tmp_path, photos, capsys):
    assert embed(photos, tmp_path / "out", variants="v=/no/such/module") == 1
    assert "/no/such/module" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_module_is_loaded_once_for_launcher_and_stages(photos, tmp_path, tiny_tf2, monkeypatch):
    from transforms.engines.engine import load_once

    load_once.cache_clear()
    loads = []
    load = LiteRTEngine.load.__func__

    def counting(cls, module, settings):
        loads.append(module.path)
        return load(cls, module, settings)

    monkeypatch.setattr(LiteRTEngine, "load", classmethod(counting))
    assert embed(photos, tmp_path / "out", variants=f"v={tiny_tf2}") == 3
    assert loads == [str(tiny_tf2)]


def test_the_command_is_quiet(photos, tiny_tf2, tmp_path):
    done = subprocess.run(
        [
            *(sys.executable, "-m", "pipelines.command_line", "embed", str(photos)),
            *("--variants", f"v={tiny_tf2}", "--output", str(tmp_path / "out")),
        ],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONWARNINGS": ""},
    )
    assert done.returncode == 3
    assert all(line.startswith("lookalike: ") for line in done.stderr.splitlines())
    assert done.stdout.splitlines()[0] == "pictures     17"


def test_hostile_shapes_cost_a_run_one_line_each(tmp_path, tiny_tf2):
    from PIL import Image

    folder = tmp_path / "p"
    folder.mkdir()
    (folder / "good.jpg").write_bytes(picture(1))
    Image.new("1", (6_000_000, 1)).save(folder / "line.png")
    Image.new("1", (90_000, 1)).save(folder / "usable_line.png")
    os.mkfifo(folder / "pipe.jpg")
    (folder / "gone.jpg").symlink_to(tmp_path / "nowhere")
    out = tmp_path / "out"
    assert embed(folder, out, "--max-failure-rate", "1", variants=f"v={tiny_tf2}") == 0
    assert len(EmbeddingDataset.open(str(out))) == 2
    assert {Path(line["uri"]).name: (line["stage"], line["error"]) for line in failures(out)} == {
        "line.png": ("decode", "TooManyPixels"),
        "pipe.jpg": ("list", "NotAFile"),
        "gone.jpg": ("list", "DanglingLink"),
    }


def test_variants_of_different_widths_are_datasets_of_their_own(photos, tiny_tf2, tmp_path):
    wide = save_tf2_module(tmp_path / "wide", 32, 40)
    out = tmp_path / "out"
    assert embed(photos, out, variants=f"narrow={tiny_tf2},wide={wide}") == 3
    for variant, width in (("narrow", 24), ("wide", 40)):
        table = pyarrow.dataset.dataset(out / f"embeddings/variant={variant}").to_table()
        assert table.num_rows == USABLE
        assert table.schema.field("embedding").type.list_size == width


def test_buckets_are_listed_with_the_options_of_the_run(tiny_tf2, tmp_path, capsys):
    for bucket in ("s3://no-such-bucket/x*.jpg", "gs://no-such-bucket/x*.jpg"):
        assert embed(bucket, tmp_path / "out", variants=f"v={tiny_tf2}") == 1
        shown = capsys.readouterr().err
        assert "pip install 'apache-beam[" in shown
        assert "Must provide one of client or options" not in shown


@pytest.mark.slow
def test_several_processes_give_the_same_rows(photos, tiny_tf2, out, tmp_path, monkeypatch, capfd):
    monkeypatch.setattr(embedding_plan, "CHUNK_FILES", 4)
    flags = ["--direct_num_workers", "2", "--direct_running_mode", "multi_processing"]
    capfd.readouterr()
    assert embed(photos, tmp_path / "o", *flags, variants=f"tf2={tiny_tf2}") == 3
    said = capfd.readouterr().err.splitlines()
    assert all(line.startswith("lookalike: ") for line in said)
    assert any("embedding: 17 pictures, 5 failed" in line for line in said)
    many, one = (EmbeddingDataset.open(str(folder), "tf2") for folder in (tmp_path / "o", out))
    assert many.pictures()["uri"] == one.pictures()["uri"]
    assert np.allclose(many.vectors(), one.vectors(), atol=1e-5)
    assert len(failures(tmp_path / "o")) == 5
