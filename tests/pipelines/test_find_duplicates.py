import shutil
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from PIL import Image

from index.output_folder import OutputFolder
from pipelines.command_line import main
from tests.conftest import encoded, scene
from tests.copies import GROUPS, VARIANT, dedup, embed, found, manifest, rows


@pytest.fixture
def out(copies, tmp_path) -> Path:
    return Path(shutil.copytree(copies / "out", tmp_path / "out"))


def test_copies_are_grouped_with_their_evidence_and_nothing_is_touched(out, copies, capsys):
    before = {path: path.read_bytes() for path in (copies / "in").rglob("*.*")}
    assert dedup(out, "--prefer", "train/**") == 0
    assert found(out) == GROUPS
    by_name = {Path(row["uri"]).name: row for row in rows(out)}
    assert by_name["0_same.jpg"]["kind"] == "exact"
    assert by_name["0_same.jpg"]["proof"] == "bytes"
    assert by_name["0_small.jpg"]["kind"] == "near"
    assert by_name["2_mirrored.jpg"]["kind"] == "transformed"
    assert by_name["2_mirrored.jpg"]["change"] == "mirrored"
    assert by_name["3_turned.jpg"]["change"] == "turned 180°"
    for name in ("0_small.jpg", "1_gray.png", "2_mirrored.jpg", "3_turned.jpg"):
        row = by_name[name]
        assert (row["proof"], row["evidence"], row["remove"]) == ("pictures", "direct", True)
        assert row["agreement"] >= 0.8
        assert row["copy_of"] == by_name[f"{name[0]}.jpg"]["uri"]
    folder = out / f"duplicates/variant={VARIANT}"
    removed = (folder / "to_remove.txt").read_text().splitlines()
    kept = (folder / "kept.txt").read_text().splitlines()
    assert {Path(uri).name for uri in removed} == set().union(*GROUPS.values())
    assert sorted([*removed, *kept]) == sorted(map(str, before))
    assert {path: path.read_bytes() for path in (copies / "in").rglob("*.*")} == before
    page = (folder / "report.html").read_text()
    assert page.count("data:image/jpeg") == 9
    assert "<svg" in page
    assert "http" not in page.replace("http-equiv", "")
    said = capsys.readouterr()
    assert "none was touched" in said.out
    assert "pairs to compare: about" in said.err
    assert "looking at" in said.err


def test_the_whole_record_stands_in_the_manifest(out):
    dedup(out, "--thorough", "--keep", "oldest")
    record = manifest(out)
    assert (record.settings.looks, record.settings.keep, record.settings.precision) == (
        10,
        "oldest",
        0.99,
    )
    assert (record.pictures, record.groups, record.join) == (13, 4, "exact")
    assert sum(record.members.values()) == 5
    assert record.removed == 5
    assert set(record.looked_at) <= {"same", "different", "undecided"}
    assert record.looked_at["same"] >= 4


def test_by_score_looks_at_no_picture(out, copies, monkeypatch):
    from transforms import compared_pictures

    monkeypatch.setattr(compared_pictures, "local_features", None)
    assert dedup(out, "--by-score", "--threshold", "0.99999") == 0
    assert {one["proof"] for one in rows(out)} <= {None, "bytes", "score"}
    record = manifest(out)
    assert (record.threshold, record.looked_at, record.settings.precision) == (0.99999, {}, None)


def test_pictures_that_are_gone_leave_it_to_the_score(tmp_path, copies, tiny_tf2, capsys):
    shutil.copytree(copies / "in", tmp_path / "in")
    embed(tmp_path / "in", tmp_path / "out", tiny_tf2)
    shutil.rmtree(tmp_path / "in")
    assert dedup(tmp_path / "out", "--threshold", "1") == 0
    assert (tmp_path / f"out/duplicates/variant={VARIANT}/to_remove.txt").read_text() == ""
    assert {"0_same.jpg", "0.jpg"} in [
        {keep, *others} for keep, others in found(tmp_path / "out").items()
    ]
    assert set(manifest(tmp_path / "out").looked_at) == {"unreadable"}
    page = (tmp_path / f"out/duplicates/variant={VARIANT}/report.html").read_text()
    assert "not readable now" in page


def test_a_picture_that_was_changed_since_is_not_taken_for_what_it_was(tmp_path, copies, tiny_tf2):
    shutil.copytree(copies / "in", tmp_path / "in")
    embed(tmp_path / "in", tmp_path / "out", tiny_tf2)
    for name in ("train/0.jpg", "test/2_mirrored.jpg"):
        (tmp_path / "in" / name).write_bytes(encoded(scene(30)))
    (tmp_path / "in/train/1.jpg").unlink()
    assert dedup(tmp_path / "out", "--prefer", "train/**", "--threshold", "1") == 0
    groups = found(tmp_path / "out")
    assert groups["3.jpg"] == {"3_turned.jpg"}
    assert groups["0.jpg"] == {"0_same.jpg"}  # of the bytes that they had; but nothing is proposed
    assert not set(groups) & {"1.jpg", "2.jpg"}
    held_back = {Path(row["uri"]).name: row["held_back"] for row in rows(tmp_path / "out")}
    assert "changed" in held_back["0_same.jpg"]
    removed = tmp_path / f"out/duplicates/variant={VARIANT}/to_remove.txt"
    assert [Path(line).name for line in removed.read_text().split()] == ["3_turned.jpg"]


def test_another_name_of_a_kept_file_is_not_proposed(tmp_path, tiny_tf2):
    (tmp_path / "in").mkdir()
    (tmp_path / "in/b.jpg").write_bytes(encoded(scene(0)))
    (tmp_path / "in/a.jpg").symlink_to("b.jpg")
    (tmp_path / "in/c.jpg").write_bytes(encoded(scene(0)))
    embed(tmp_path / "in", tmp_path / "out", tiny_tf2)
    assert dedup(tmp_path / "out") == 0
    assert found(tmp_path / "out") == {"a.jpg": {"b.jpg", "c.jpg"}}
    held_back = {Path(row["uri"]).name: row["held_back"] for row in rows(tmp_path / "out")}
    assert held_back == {"a.jpg": "", "b.jpg": "another name of a file that is kept", "c.jpg": ""}


def test_a_collage_is_no_copy_of_what_it_holds(tmp_path, tiny_tf2):
    (tmp_path / "in").mkdir()
    page = Image.new("RGB", (640, 240))
    for place, seed in enumerate((1, 2)):
        (tmp_path / "in" / f"{seed}.png").write_bytes(encoded(scene(seed), "PNG"))
        page.paste(scene(seed), (320 * place, 0))
    (tmp_path / "in/collage.png").write_bytes(encoded(page, "PNG"))
    for seed in range(10, 90):
        (tmp_path / "in" / f"{seed}.jpg").write_bytes(encoded(scene(seed, (96, 72))))
    embed(tmp_path / "in", tmp_path / "out", tiny_tf2)
    assert dedup(tmp_path / "out", "--thorough") == 0
    groups = found(tmp_path / "out")
    assert not any({"1.png", "2.png"} <= {keep, *others} for keep, others in groups.items())


def test_names_with_line_breaks_are_in_the_table_and_never_two_lines(tmp_path, tiny_tf2):
    (tmp_path / "in").mkdir()
    for name in ("a.png", "b\nc.png", "d.png"):
        (tmp_path / "in" / name).write_bytes(encoded(scene(0), "PNG"))
    embed(tmp_path / "in", tmp_path / "out", tiny_tf2)
    assert dedup(tmp_path / "out") == 0
    assert found(tmp_path / "out") == {"a.png": {"b\nc.png", "d.png"}}
    folder = tmp_path / f"out/duplicates/variant={VARIANT}"
    assert (folder / "to_remove.txt").read_text() == f"{tmp_path}/in/d.png\n"
    assert (folder / "kept.txt").read_text() == f"{tmp_path}/in/a.png\n"


@pytest.mark.slow
def test_beams_workers_find_the_same(out):
    dedup(out)
    alone = rows(out)
    assert dedup(out, "--direct_num_workers", "2", "--direct_running_mode", "multi_processing") == 0
    assert rows(out) == alone


def test_an_index_finds_the_same(out, capsys):
    dedup(out)
    exact = rows(out)
    assert dedup(out, "--max-memory", "1KB") == 2  # no index fits either
    assert "memory" in capsys.readouterr().err
    assert main(["index", str(out)]) == 0
    assert dedup(out, "--max-memory", "1KB") == 0
    assert manifest(out).join == "index"
    for one, other in zip(rows(out), exact, strict=True):
        assert one.pop("score") == pytest.approx(other.pop("score"), abs=1e-5)
        assert one == other


def test_finished_groups_are_replaced_only_when_asked(out, capsys):
    assert dedup(out) == 0
    place = out / f"duplicates/variant={VARIANT}/manifest.json"
    before = place.read_bytes()
    assert main(["dedup", str(out), "--check"]) == 4  # the same search has its result already
    assert main(["dedup", str(out), "--thorough"]) == 1
    assert "--overwrite" in capsys.readouterr().err
    assert place.read_bytes() == before


def test_a_check_fails_where_there_are_copies(out, tmp_path, tiny_tf2):
    assert dedup(out, "--check") == 4
    (tmp_path / "in").mkdir()
    for seed in range(5):
        (tmp_path / "in" / f"{seed}.png").write_bytes(encoded(scene(seed + 20), "PNG"))
    embed(tmp_path / "in", tmp_path / "other", tiny_tf2)
    assert dedup(tmp_path / "other", "--check") == 0
    assert rows(tmp_path / "other") == []
    page = (tmp_path / f"other/duplicates/variant={VARIANT}/report.html").read_text()
    assert "No duplicates found" in page


def test_the_policy_and_the_preferred_folder_choose_what_is_kept(out):
    dedup(out, "--keep", "biggest")
    for row in rows(out):
        sizes = [one["bytes"] for one in rows(out) if one["group"] == row["group"]]
        assert not row["keep"] or row["bytes"] == max(sizes)
    dedup(out, "--keep", "biggest", "--prefer", "train/**", "--overwrite")
    assert found(out) == GROUPS
    dedup(out, "--prefer", "test/**")
    assert set(found(out)) & {"0_same.jpg", "0_small.jpg"}
    dedup(out, "--keep", "sharpest")
    assert "0_small.jpg" not in found(out)
    dedup(out, "--keep", "bytes:ascending")
    assert "0_small.jpg" in found(out)


def test_copies_across_splits_are_reported_and_no_others(out, capsys):
    assert dedup(out, "--between", "train/**", "test/**", "--check") == 4
    assert found(out, "leaks") == GROUPS
    assert {row["kind"] for row in rows(out, "leaks")} == {"kept", "exact", "near", "transformed"}
    assert not (out / "duplicates").exists()
    assert manifest(out, "leaks").between == ("train/**", "test/**")
    assert dedup(out, "--between", "test/*_same.jpg", "train/**") == 0
    assert found(out, "leaks") == {"0_same.jpg": {"0.jpg"}}


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (("--between", "train/**"), "takes two"),
        (("--between", "train/**", "no/**"), "matches none"),
        (("--between", "**", "test/**"), "both patterns match"),
        (("--between", "train/**", "test/**", "--against", "x"), "choose one"),
        (("--thorough", "--by-score"), "choose one"),
        (("--precision", "0.9", "--threshold", "0.9"), "choose one"),
        (("--keep", "sharpest", "--by-score"), "sharpest"),
        (("--keep", "newest"), "'newest'"),
        (("--prefer", "no/**"), "matches none"),
    ],
)
def test_what_makes_no_sense_is_refused(out, capsys, flags, said):
    assert dedup(out, *flags) == 2
    assert said in capsys.readouterr().err
    assert not (out / "duplicates").exists()


def test_pictures_of_another_output_are_found(out, tmp_path, tiny_tf2, tiny_hub, capsys):
    (tmp_path / "in").mkdir()
    (tmp_path / "in/new.jpg").write_bytes(encoded(scene(40)))
    (tmp_path / "in/known.jpg").write_bytes(encoded(scene(4).resize((240, 180))))
    (tmp_path / "in/same.jpg").write_bytes(encoded(scene(5), quality=92))
    embed(tmp_path / "in", tmp_path / "mine", tiny_tf2)
    assert dedup(tmp_path / "mine", "--against", str(tmp_path / "mine")) == 2
    assert "this very output" in capsys.readouterr().err
    assert dedup(tmp_path / "mine", "--against", str(out)) == 0
    assert found(tmp_path / "mine", "leaks") == {"4.jpg": {"known.jpg"}, "5.jpg": {"same.jpg"}}
    folder = tmp_path / f"mine/leaks/variant={VARIANT}"
    names = [Path(line).name for line in (folder / "to_remove.txt").read_text().split()]
    assert names == ["known.jpg", "same.jpg"]
    assert [Path(line).name for line in (folder / "kept.txt").read_text().split()] == ["new.jpg"]
    embed(tmp_path / "in", tmp_path / "third", tiny_hub)
    assert dedup(tmp_path / "third", "--against", str(out)) == 1
    assert "query is of variant" in capsys.readouterr().err


def test_an_empty_picture_set_has_no_groups(tmp_path, tiny_tf2):
    (tmp_path / "in").mkdir()
    Image.new("RGB", (50, 50), "red").save(tmp_path / "in/one.png")
    embed(tmp_path / "in", tmp_path / "out", tiny_tf2)
    assert dedup(tmp_path / "out") == 0
    assert rows(tmp_path / "out") == []


def test_groups_do_not_depend_on_the_order_of_shards(out, copies):
    dedup(out)
    straight = rows(out)
    place = out / "manifest.json"
    from index.manifest import EmbeddingsManifest

    folder = OutputFolder.at(out)
    record = EmbeddingsManifest.read(folder)
    [(name, one)] = record.variants.items()
    table = pq.ParquetFile(out / f"embeddings/variant={name}/{one.parts[0].name}").read()
    from index.embedding_dataset import PICTURE_SCHEMA, encode_part, store_part, vectors_of

    turned = table.take(list(reversed(range(len(table)))))
    parts = []
    for number, start in enumerate(range(0, len(turned), 5)):
        piece = turned.slice(start, 5)
        data = encode_part(
            piece.select(PICTURE_SCHEMA.names), vectors_of(piece.column("embedding")), one.space
        )
        parts.append(store_part(folder, name, f"part-{number:05}", data, rows=len(piece)))
    changed = one.model_copy(update={"parts": tuple(parts)})
    record.model_copy(update={"variants": {name: changed}}).write(folder)
    assert place.exists()
    dedup(out)
    assert rows(out) == straight
