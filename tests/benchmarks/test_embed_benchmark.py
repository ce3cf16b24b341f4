"""A tiny size of the embedding benchmark: every arm runs, and says what it should."""

import json

import numpy as np
import pytest
from PIL import Image

from benchmarks import embed
from benchmarks.pictures import gather_pictures, parse_or_author
from tests.conftest import picture


@pytest.fixture
def jpegs(tmp_path):
    folder = tmp_path / "jpegs"
    folder.mkdir()
    for seed in range(5):
        (folder / f"{seed}.jpg").write_bytes(picture(seed, (120, 90)))
    (folder / "not a picture.jpg").write_bytes(b"text")
    return folder


@pytest.fixture(autouse=True)
def environment(monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", "")  # the benchmark sets its own; this puts it back


@pytest.mark.slow
def test_every_arm_runs_on_any_folder_and_any_module(jpegs, tiny_tf2, tmp_path, capsys):
    flags = ["--count", "12", "--rounds", "2", "--engines", "auto", "tensorflow"]
    report = tmp_path / "report.json"
    embed.main([str(jpegs), "--variants", f"tiny={tiny_tf2}", *flags, "--json", str(report)])
    results = json.loads(report.read_text())
    [figures] = results["runs"].values()
    arms = ["pipeline:auto:float32", "pipeline:tensorflow:float32", "plain:auto:float32"]
    for name in [*arms, "tf.data loop", "one at a time", "Beam RunInference"]:
        assert figures[name]["pictures_a_second"] > 0
        assert figures[name]["cpu_ms"] > 0
        assert figures[name]["peak_bytes"] > 50 << 20
    assert figures["tf.data loop"]["ratio"] == 1
    assert figures["pipeline:auto:float32"]["note"] == "litert float32"
    for name in (*arms[:2], "one at a time"):
        assert figures[name]["cosine"]["mean"] > 0.999
    assert figures["beam_share"] < 1
    assert set(figures["profile_ms"]) == {
        *("read", "hash", "decode", "resize", "model", "keep tasks", "write Parquet")
    }
    assert min(figures["profile_ms"].values()) > 0
    assert "tensorflow" in results["machine"]
    shown = capsys.readouterr().out
    assert "Beam's share" in shown
    assert "CPU ms a picture on one thread" in shown


@pytest.mark.slow
def test_several_variants_in_one_pass_are_held_against_a_run_of_each(
    jpegs, tiny_tf2, tiny_hub, capsys
):
    variants = f"a={tiny_tf2},b={tiny_hub}"
    flags = ["--count", "6", "--rounds", "1"]
    results = embed.main([str(jpegs), "--variants", variants, *flags])
    figures = results["runs"][variants]
    assert set(figures) == {"ratio", "one pass", "a", "b"}
    assert 0 < figures["ratio"] < 2
    assert "one pass / the sum of 2 runs" in capsys.readouterr().out


@pytest.mark.parametrize(
    "flags",
    [("--engines", "openvino:bf16"), ("--engines", "fast"), ("--count", "0"), ("--rounds", "-1")],
)
def test_what_cannot_be_measured_is_refused(jpegs, flags, capsys):
    with pytest.raises(SystemExit):
        embed.main([str(jpegs), *flags])
    assert flags[1] in capsys.readouterr().err


def test_pictures_that_cannot_be_decoded_are_passed_over(jpegs, tmp_path):
    (jpegs / "0.jpg").write_bytes((jpegs / "0.jpg").read_bytes()[:300])
    found = gather_pictures(jpegs, 5, tmp_path / "pictures", megapixels=None)
    assert len({path.resolve() for path in found}) == 4


def test_a_module_that_is_held_is_not_authored(tiny_tf2, tmp_path, monkeypatch):
    mirror = tmp_path / "mirror"
    held = mirror / "google/imagenet/mobilenet_v2_100_96/feature_vector/3"
    held.parent.mkdir(parents=True)
    held.symlink_to(tiny_tf2)
    asked = f"mobilenet_v2_100_96,tiny={tiny_tf2}"
    assert parse_or_author(asked, str(mirror), tmp_path, []) == asked
    monkeypatch.setenv("LOOKALIKE_MODULES", str(mirror))
    assert parse_or_author(asked, None, tmp_path, []) == asked


def test_pictures_are_repeated_and_enlarged(jpegs, tmp_path):
    (tmp_path / "work").mkdir()
    found = gather_pictures(jpegs, 7, tmp_path / "work/pictures", megapixels=0.5)
    assert len(set(found)) == 7
    for path in found:
        with Image.open(path) as image:
            assert image.width * image.height == pytest.approx(500_000, rel=0.01)
            assert np.asarray(image).std() > 5
    assert found[0].read_bytes() == found[5].read_bytes() != found[1].read_bytes()
