"""A tiny size of the copy-detection benchmark: the set is what it says, and ours is right on it."""

import json
from collections import Counter

import pytest
from PIL import Image

from benchmarks import dedup, join
from benchmarks.copy_metrics import FoundGroups, judge
from benchmarks.copy_set import EXACT, TRANSFORMATIONS, CopySetPicture, make_copy_set
from index.errors import UsageError
from tests.conftest import encoded, scene, shared


@pytest.fixture(scope="module")
def scenes(tmp_path_factory):
    folder = tmp_path_factory.mktemp("scenes")
    for seed in range(10):
        (folder / f"{seed}.jpg").write_bytes(encoded(scene(seed, (200 + 10 * seed, 180))))
    (folder / "notes.txt").write_text("no picture")
    (folder / "broken.jpg").write_bytes(b"no picture")
    return folder


def test_a_set_has_the_copies_it_says(scenes, tmp_path):
    made = make_copy_set(scenes, tmp_path / "set/pictures", originals=7, copies=6, distractors=3)
    files = {path.name for path in (tmp_path / "set/pictures").iterdir()}
    assert files == {one.name for one in made}
    assert json.loads((tmp_path / "set/truth.json").read_text())[0]["transformation"] is None
    kinds = Counter(one.transformation for one in made)
    assert kinds[None] == 10
    assert len(made) == 10 + 7 * 6
    assert set(kinds) - {None, EXACT} == set(TRANSFORMATIONS)
    assert len(TRANSFORMATIONS) == 30
    for one in made:
        with Image.open(tmp_path / "set/pictures" / one.name) as image:
            image.load()
    again = make_copy_set(scenes, tmp_path / "again/pictures", originals=7, copies=6, distractors=3)
    assert again == made
    for one in made:
        data = [
            (tmp_path / place / one.name).read_bytes()
            for place in ("set/pictures", "again/pictures")
        ]
        assert data[0] == data[1]


def test_too_few_photographs_are_refused(tmp_path):
    with pytest.raises(UsageError, match="at least three"):
        make_copy_set(tmp_path, tmp_path / "set", originals=1, copies=1, distractors=1)


def test_figures_are_those_of_the_groups():
    pictures = [
        *(CopySetPicture(f"a{at}", 0, "text" if at else None) for at in range(4)),
        *(CopySetPicture(f"b{at}", 1, "text" if at else None) for at in range(2)),
    ]
    found = FoundGroups([["a0", "a1"], ["a2", "a3", "b0"]], {"a1": "a0", "b0": "a2"}, 1.0)
    figures = judge(found, pictures)
    assert figures.precision == pytest.approx(2 / 4)
    assert figures.recall == pytest.approx(2 / 7)
    assert figures.group_precision == 0.5
    assert (figures.removed, figures.removed_wrongly) == (2, 1)
    assert figures.with_original == {"text": pytest.approx(1 / 4)}


@pytest.mark.slow
def test_ours_takes_no_stranger_and_most_copies(tmp_path, capsys):
    report = tmp_path / "figures.json"
    arms = ["lookalike", "lookalike --by-score", "cosine >= 0.9"]
    dedup.main(
        [
            str(shared("images")),
            *("--modules", str(shared("modules")), "--json", str(report)),
            *("--originals", "15", "--copies", "4", "--distractors", "10", "--arms", *arms),
        ]
    )
    found = json.loads(report.read_text())["arms"]
    ours = found["lookalike"]
    assert (ours["precision"], ours["group_precision"], ours["removed_wrongly"]) == (1, 1, 0)
    assert ours["recall"] >= 0.86
    assert ours["recall"] > found["cosine >= 0.9"]["recall"] + 0.2
    assert "by transformation" in capsys.readouterr().out


def test_the_join_is_timed_beside_its_products(capsys):
    found = join.main(["--count", "3000", "--dim", "64"])
    assert found["pairs"] >= 300  # the copies
    assert min(found["join_seconds"], found["product_seconds"]) > 0
    assert "times as long" in capsys.readouterr().out.replace("\n", " ")
