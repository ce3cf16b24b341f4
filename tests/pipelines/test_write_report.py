"""`lookalike report`: one page, whole and self-contained, whatever is there and whatever is not."""

import json
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote

import numpy as np
import pytest

from index.manifest import EmbeddingsManifest, RunRecord
from index.output_folder import OutputFolder
from pipelines.command_line import main
from tests.conftest import picture, random_vectors, write_dataset
from tests.copies import dedup
from tests.pipelines.conftest import USABLE
from transforms.dead_letters import write_dead_letters
from transforms.elements import Failure


class Page(HTMLParser):
    """What a page loads and links to, its headings, and its scripts."""

    def __init__(self, place: Path):
        super().__init__()
        self.text = place.read_text()
        self.links, self.loaded, self.headings, self.tags = [], [], [], []
        self.feed(self.text)

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        found = dict(attributes)
        self.links += [found["href"]] if tag == "a" else []
        self.loaded += [found["src"]] if "src" in found else []

    def handle_data(self, data):
        if self.tags and self.tags[-1] == "h2" and data.strip():
            self.headings.append(data)
            self.tags.append("")

    def maps(self) -> list[dict]:
        found = re.findall(r'<script type="application/json">(.*?)</script>', self.text, re.DOTALL)
        return [json.loads(one) for one in found]

    def section(self, heading: str) -> str:
        return re.search(rf'<h2 id="\w+">{heading}</h2>(.*?)(<h2|</body>)', self.text, re.DOTALL)[1]


def report(out: Path, *flags: str, code: int = 0) -> Page:
    assert main(["report", str(out), "--map", "pca", *flags]) == code
    return Page(out / "report.html")


@pytest.fixture(scope="session")
def searched(copies, tmp_path_factory) -> Path:
    """An output with an index, groups of copies, and leaks; not to be changed."""
    out = tmp_path_factory.mktemp("searched") / "out"
    shutil.copytree(copies / "out", out)
    assert main(["index", str(out)]) == 0
    assert dedup(out) == 0
    assert dedup(out, "--between", "train/**", "test/**") == 0
    return out


@pytest.fixture
def own(searched, tmp_path) -> Path:
    """The same, to be changed."""
    return Path(shutil.copytree(searched, tmp_path / "out"))


SECTIONS = ["Map", "Nearest neighbors", "Index", "Duplicates", "Leaks", "Failures", "Throughput"]


def test_the_page_has_every_part_and_loads_nothing(own, copies, capsys):
    page = report(own)
    assert page.headings == [*SECTIONS, "Modules"]
    assert all(one.startswith("data:image/jpeg;base64,") for one in page.loaded)
    assert not re.search(r"url\(|@import|<link", page.text)
    [data] = page.maps()
    names = {str(one) for one in (copies / "in").rglob("*.*")}
    assert set(data["uris"]) == names == set(data["thumbnails"])
    assert all(one.startswith("data:image/jpeg") for one in data["thumbnails"].values())
    kinds = [[one["label"] for one in coloring["classes"]] for coloring in data["colorings"]]
    assert kinds == [["train", "test"], ["no copy found", "kept of a group", "copy of a kept one"]]
    assert "4, with 5 pictures beside the kept ones" in page.section("Duplicates")
    assert page.section("Duplicates").count("<figure") == 9
    assert "recall@10" in page.section("Index")
    assert "all 13 pictures" in page.section("Map")
    assert "with an equal vector" in page.section("Nearest neighbors")
    shown = capsys.readouterr()
    assert str(own / "report.html") in shown.out
    assert sorted(path.name for path in own.iterdir() if "tmp" in path.name) == []


def test_links_lead_to_pages_that_are_there_wherever_the_report_is(own, tmp_path):
    place = tmp_path / "a b" / "page.html"
    place.parent.mkdir()
    assert main(["report", str(own), "--map", "pca", "--report", str(place)]) == 0
    links = [one for one in Page(place).links if not one.startswith("#")]
    assert len(links) == 3
    assert all((place.parent / unquote(link)).is_file() for link in links)


def test_several_variants_share_a_page_and_its_pictures(out, tmp_path):
    place = tmp_path / "page.html"
    assert main(["report", str(out), "--report", str(place)]) == 0
    page = Page(place)
    assert page.headings.count("Map") == 2
    assert [one for one in page.headings if one not in [*SECTIONS, "Modules"]] == [
        "tf2",
        "tf1",
        "The run",
    ]
    first, second = page.maps()
    assert len(first["thumbnails"]) == USABLE
    assert second["thumbnails"] == {}
    assert main(["report", str(out), "--variant", "tf1", "--report", str(place)]) == 0
    assert len(Page(place).maps()) == 1


def test_failures_stand_by_their_reason_with_some_samples(out, tmp_path):
    place = tmp_path / "page.html"
    assert main(["report", str(out), "--report", str(place)]) == 0
    failed = Page(place).section("Failures")
    for name in ("empty.jpg", "text.jpg", "truncated.jpg", "header.png", "bomb.ppm"):
        assert name in failed
    assert "5 of 17 pictures (29.41%)" in place.read_text()


def test_thousands_of_failures_are_a_few_lines(tmp_path):
    write_dataset(tmp_path, random_vectors(3))
    output = OutputFolder.at(tmp_path)
    several = [Failure(f"/p/<b>{number}", "decode", "bad", "x" * 900) for number in range(3000)]
    several += [Failure("/p/9", "compute", "odd", "why", variant=name) for name in ("a", "b")]
    files = write_dead_letters(output, several)
    manifest = EmbeddingsManifest.read(output)
    changes = {"failures": 3001, "failure_files": files, "pictures": 3004}
    manifest.model_copy(update=changes).write(output)
    failed = report(tmp_path).section("Failures")
    assert failed.count("<li>") == 6
    assert "<td>3,000</td>" in failed
    assert "odd, at compute: 1 picture" in failed
    assert "<b>" not in failed
    assert len(failed) < 6000


def test_what_is_missing_is_told_with_the_command_that_makes_it(tmp_path):
    vectors = random_vectors(30)
    vectors[4] = vectors[9]
    write_dataset(tmp_path, vectors)
    page = report(tmp_path)
    assert "lookalike index" in page.section("Index")
    assert "lookalike dedup" in page.section("Duplicates")
    assert "--between" in page.section("Leaks")
    assert "did not tell how long" in page.section("Throughput")
    assert "2 of 30" in page.section("Nearest neighbors")
    assert set(page.maps()[0]["thumbnails"].values()) == {None}


@pytest.mark.parametrize("count", [0, 1, 2])
def test_an_output_of_no_one_or_two_equal_rows_has_a_page(tmp_path, count):
    write_dataset(tmp_path, np.ones((count, 8), np.float32))
    page = report(tmp_path)
    assert page.headings[0] == "Map"
    assert len(page.maps()) == (count > 0)
    assert ("<svg" in page.section("Nearest neighbors")) == (count > 1)


def test_names_of_any_kind_are_names(tmp_path):
    names = ["</script><script>alert(1)//", "a'b\"c", "two\nlines", "übung 図"]
    folder = tmp_path / "<i>pictures"
    for name in names:
        place = folder / f"{name}.jpg"
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(picture(1))
    uris = [str(folder / f"{name}.jpg") for name in names]
    write_dataset(tmp_path / "out", random_vectors(4), uri=uris)
    page = report(tmp_path / "out")
    assert page.maps()[0]["uris"] == uris
    assert None not in page.maps()[0]["thumbnails"].values()
    assert page.tags.count("script") == 2
    assert "<i>" not in page.text


def test_artefacts_of_earlier_embeddings_are_told_to_be_behind(own):
    output = OutputFolder.at(own)
    manifest = EmbeddingsManifest.read(output)
    record = manifest.variants["v"]
    parts = tuple(one.model_copy(update={"name": f"part-9{one.name}"}) for one in record.parts)
    folder = own / "embeddings/variant=v"
    for old, new in zip(record.parts, parts, strict=True):
        (folder / old.name).rename(folder / new.name)
    twice = tuple(reversed(parts)) + tuple(parts)
    changed = record.model_copy(update={"parts": twice, "rows": 2 * record.rows})
    manifest.model_copy(update={"variants": {"v": changed}}).write(output)
    page = report(own)
    assert "It is behind: it covers 13 pictures" in page.section("Index")
    assert "--update" in page.section("Index")
    assert "have changed since this search" in page.section("Duplicates")


@pytest.mark.parametrize(
    ("damaged", "section"),
    [
        ("embeddings/variant=v/*.parquet", "Map"),
        ("index/variant=v/index.faiss", "Index"),
        ("index/variant=v/manifest.json", "Index"),
        ("duplicates/variant=v/groups.parquet", "Duplicates"),
        ("duplicates/variant=v/manifest.json", "Duplicates"),
        ("leaks/variant=v/manifest.json", "Leaks"),
    ],
)
@pytest.mark.parametrize("gone", [True, False])
def test_damage_is_told_in_its_place_and_the_rest_stands(own, capsys, damaged, section, gone):
    [place] = own.glob(damaged)
    if gone:
        place.unlink()
    else:
        data = bytearray(place.read_bytes())
        data[len(data) // 2] ^= 0xFF
        place.write_bytes(data)
    page = report(own, code=1)
    assert place.name in page.section(section)
    assert page.headings[-3:] == ["Failures", "Throughput", "Modules"]
    shown = capsys.readouterr().err
    assert place.name in shown
    assert "Traceback" not in shown


def test_failures_that_cannot_be_read_are_told(out, tmp_path):
    own = Path(shutil.copytree(out, tmp_path / "out"))
    [place] = (own / "failures").glob("*.jsonl")
    place.write_bytes(b"{}\n")
    assert place.name in report(own, code=1).section("Failures")


def test_where_there_is_no_output_there_is_no_page(tmp_path, capsys):
    assert main(["report", str(tmp_path)]) == 1
    assert "lookalike embed" in capsys.readouterr().err
    assert main(["report", str(tmp_path / "none")]) == 1
    write_dataset(tmp_path, random_vectors(2))
    assert main(["report", str(tmp_path), "--variant", "other"]) == 1
    assert "it holds tiny" in capsys.readouterr().err
    assert not (tmp_path / "report.html").exists()


def test_a_page_that_cannot_be_written_is_one_line_and_leaves_the_old_one(tmp_path, capsys):
    write_dataset(tmp_path, random_vectors(2))
    place = tmp_path / "folder"
    place.mkdir()
    assert main(["report", str(tmp_path), "--report", str(place)]) == 1
    assert main(["report", str(tmp_path), "--report", str(tmp_path / "no/where.html")]) == 1
    shown = capsys.readouterr().err
    assert shown.count("cannot be written") == 2
    assert not list(tmp_path.rglob("*.tmp"))


def test_throughput_is_that_of_the_last_run_that_read_pictures(out, tmp_path):
    output = OutputFolder.at(out)
    run = EmbeddingsManifest.read(output).last_run
    assert (run.pictures, run.variants) == (17, ("tf2", "tf1"))
    assert 0 < run.seconds < 600
    write_dataset(tmp_path, random_vectors(9))
    mine = OutputFolder.at(tmp_path)
    record = RunRecord(pictures=3, seconds=1.5, variants=("tiny",))
    EmbeddingsManifest.read(mine).model_copy(update={"last_run": record}).write(mine)
    told = report(tmp_path).section("Throughput")
    assert "read 3 pictures in 1.5 s" in told
    assert "The other 6" in told
    assert "<dd>2</dd>" in told


def test_a_report_in_the_folder_of_the_pictures_is_no_picture(tiny_tf2, tmp_path):
    (tmp_path / "a.jpg").write_bytes(picture(1))
    command = ["embed", str(tmp_path), "--variants", f"v={tiny_tf2}", "--output", str(tmp_path)]
    assert main(command) == 0
    report(tmp_path)
    assert main([*command, "--update"]) == 0
    assert EmbeddingsManifest.read(OutputFolder.at(tmp_path)).pictures == 1
