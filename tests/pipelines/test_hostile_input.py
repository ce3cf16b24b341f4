"""Files that nobody should have to decode: each is a row, or a failure with its reason."""

import os
import resource
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from index.embedding_dataset import EmbeddingDataset
from tests.conftest import contents, picture
from tests.fuzz import fuzz_artifacts, fuzz_pictures
from tests.mutations import mutated_pictures
from tests.pipelines.conftest import embed, failures
from transforms import plan_file

FLAGS = ("--max-failure-rate", "1")


def outcome(out: Path) -> dict[str, str]:
    """Of every file, by its URI: "row", or the failure's kind."""
    found = {line["uri"]: line["error"] for line in failures(out)}
    uris = EmbeddingDataset.open(str(out)).pictures().column("uri").to_pylist()
    assert not set(uris) & set(found)
    return {**found, **dict.fromkeys(uris, "row")}


def test_a_folder_of_traps_is_read_to_its_end(tmp_path, tiny_tf2):
    folder = tmp_path / "traps"
    folder.mkdir()
    names = {
        "new\nline.jpg": "row",
        "quote's \"and\" 'more'.jpg": "row",
        "..hidden-looking..jpg": None,  # a hidden name
        "a..b.jpg": "row",
        "dots/../deep/../trap.jpg": "row",
        "%2e%2e%2f.jpg": "row",
        "*?[x].jpg": "row",
        " .jpg": "row",
        "\N{COMBINING ACUTE ACCENT}\u202e.jpg": "row",
    }
    (folder / "dots").mkdir()
    (folder / "deep").mkdir()
    for seed, name in enumerate(names):
        (folder / name).write_bytes(picture(seed))
    Path(os.fsdecode(bytes(folder) + b"/\xff\xfe.jpg")).write_bytes(picture(20))
    os.mkfifo(folder / "pipe.jpg")
    (folder / "loop").symlink_to(folder)
    (folder / "self.jpg").symlink_to("self.jpg")
    (folder / "nowhere.jpg").symlink_to("gone.jpg")
    (folder / "zero.jpg").write_bytes(b"")
    (folder / "text.jpg").write_text("not a picture")
    (folder / "claims.ppm").write_bytes(b"P6 65000 65000 255\n")
    (folder / "folder.jpg").mkdir()
    with (folder / "huge.jpg").open("wb") as sparse:
        sparse.truncate(2 << 30)
    assert embed(folder, tmp_path / "out", *FLAGS, variants=f"v={tiny_tf2}") == 0

    found = outcome(tmp_path / "out")
    expected = {
        os.path.abspath(folder / name): kind for name, kind in names.items() if kind is not None
    }
    expected |= {
        str(folder / name): kind
        for name, kind in {
            "\\udcff\\udcfe.jpg": "UndecodableName",
            "pipe.jpg": "NotAFile",
            "self.jpg": "Unlistable",
            "nowhere.jpg": "DanglingLink",
            "zero.jpg": "EmptyFile",
            "text.jpg": "NotAnImage",
            "claims.ppm": "TooManyPixels",
            "huge.jpg": "OSError",
        }.items()
    }
    found[str(folder / "self.jpg")] = "Unlistable"  # a system may name it otherwise
    assert found == expected


def test_of_two_thousand_damaged_files_every_one_is_accounted_for(tmp_path, tiny_tf2):
    folder = tmp_path / "damaged"
    folder.mkdir()
    written = {}
    for name, data in mutated_pictures(2000, seed=4):
        (folder / name).write_bytes(data)
        written[str(folder / name)] = data
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert embed(folder, tmp_path / "out", *FLAGS, variants=f"v={tiny_tf2}") == 0
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    found = outcome(tmp_path / "out")
    assert set(found) == set(written)
    assert list(found.values()).count("row") > 500
    assert {"NotAnImage", "TruncatedFile", "DamagedFile"} <= set(found.values())
    assert grown < 1 << 20  # KiB: a gibibyte


def test_damaged_pictures_are_used_or_refused_by_name():
    tally = fuzz_pictures(4000, seed=5)
    assert tally.outcomes.total() == 4000
    assert tally.outcomes["used"] > 1000


def test_damaged_artifacts_are_refused_before_they_are_parsed(tmp_path):
    tally = fuzz_artifacts(2000, seed=6, folder=tmp_path / "out")
    assert set(tally.outcomes) == {"ArtifactDamaged"}
    assert tally.outcomes.total() > 1900


@pytest.mark.parametrize("place", ["embeddings/variant=v", "failures"])
def test_a_part_that_nobody_listed_is_no_row(photos, tiny_tf2, tmp_path, place):
    out = tmp_path / "out"
    assert embed(photos, out, *FLAGS, variants=f"v={tiny_tf2}") == 0
    before = outcome(out)
    part = next((out / place).iterdir())
    (out / place / f"part-99999{part.suffix}").write_bytes(part.read_bytes())
    assert len(EmbeddingDataset.open(str(out))) == len(EmbeddingDataset.open(str(out)).pictures())
    assert embed(photos, out, "--update", *FLAGS, variants=f"v={tiny_tf2}") == 0
    assert outcome(out) == before
    assert f"{place}/part-99999{part.suffix}" not in contents_of(out)


def contents_of(out: Path) -> set[str]:
    from index.output_folder import OutputFolder

    return set(contents(OutputFolder.at(out)))


def test_a_disk_that_takes_no_more_is_one_line_and_the_run_can_be_carried_on(
    photos, tiny_tf2, tmp_path
):
    out = tmp_path / "out"
    code = (
        "import resource, sys\n"
        "from pipelines.command_line import main\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (4000, 4000))\n"
        "sys.exit(main(sys.argv[1:]))"
    )
    arguments = ["embed", str(photos), "--output", str(out), "--variants", f"v={tiny_tf2}"]
    stopped = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        cwd=Path(__file__).resolve().parents[2],
        capture_output=True,
        text=True,
    )
    assert stopped.returncode == 1
    line = stopped.stderr.splitlines()[-1]
    assert line.startswith("lookalike: ")
    assert "cannot be written: File too large; nothing was published" in line
    assert not list(out.rglob("*.tmp"))
    assert embed(photos, out, *FLAGS, variants=f"v={tiny_tf2}") == 0
    assert sorted(path.name for path in out.iterdir()) == [
        "embeddings",
        "failures",
        "manifest.json",
    ]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_without_permission_is_one_line(photos, tiny_tf2, tmp_path, capsys):
    (tmp_path / "out").mkdir(mode=0o500)
    assert embed(photos, tmp_path / "out", variants=f"v={tiny_tf2}") == 1
    assert "cannot be written to (Permission denied)" in capsys.readouterr().err


@pytest.mark.slow
def test_a_module_that_vanishes_is_one_line_and_the_run_can_be_carried_on(
    photos, tiny_tf2, tmp_path, capsys, monkeypatch
):
    """Between the launcher, which has loaded it, and the workers, which are to."""
    module, out = tmp_path / "module", tmp_path / "out"
    shutil.copytree(tiny_tf2, module)
    real = plan_file.write_plan

    def vanish(folder, chunks):
        shutil.rmtree(module)
        real(folder, chunks)

    flags = ["--direct_num_workers", "2", "--direct_running_mode", "multi_processing"]
    engine = ["--engine", "tensorflow"]  # a converted one is kept, and outlives its module
    with monkeypatch.context() as vanishing:
        vanishing.setattr(plan_file, "write_plan", vanish)
        assert embed(photos, out, *flags, *engine, variants=f"v={module}") == 1
    shown = capsys.readouterr().err
    assert "the pipeline stopped" in shown
    assert str(module) in shown
    shutil.copytree(tiny_tf2, module)
    assert embed(photos, out, *engine, *FLAGS, variants=f"v={module}") == 0
