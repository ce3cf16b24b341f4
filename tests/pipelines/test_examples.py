"""Every example runs as it stands, where its library installs."""

import importlib.util
import runpy
import sys
from pathlib import Path

import pytest

from tests.copies import VARIANT

EXAMPLES = Path(__file__).parents[2] / "examples"
LIBRARIES = {"pandas": "pandas", "duckdb": "duckdb", "datasets": "datasets", "fiftyone": "fiftyone"}


def run(name: str, *arguments: object, capsys, monkeypatch) -> str:
    monkeypatch.setattr(sys, "argv", [name, *map(str, arguments)])
    capsys.readouterr()
    runpy.run_path(str(EXAMPLES / name), run_name="__main__")
    return capsys.readouterr().out


def test_every_example_is_described():
    described = (EXAMPLES / "README.md").read_text()
    assert all(f"]({path.name})" in described for path in EXAMPLES.glob("*.py"))


def test_embeddings_are_read_in_batches(searchable, capsys, monkeypatch):
    told = run("read_embeddings.py", searchable, capsys=capsys, monkeypatch=monkeypatch)
    assert "pictures, vectors of width" in told


def test_a_picture_finds_itself(searchable, copies, capsys, monkeypatch):
    query = copies / "in/train/5.jpg"
    told = run("search_pictures.py", searchable, query, capsys=capsys, monkeypatch=monkeypatch)
    assert told.splitlines()[0] == f"1.0000  {query}"


def test_copies_are_found(searchable, capsys, monkeypatch):
    told = run("find_copies.py", searchable, capsys=capsys, monkeypatch=monkeypatch)
    assert "1_gray.png" in told


@pytest.mark.slow
# They warn of their own futures.
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("library", LIBRARIES)
def test_embeddings_open_as_they_are(searchable, tmp_path, capsys, monkeypatch, library):
    if importlib.util.find_spec(library) is None:
        pytest.skip(f"{library} is not installed here")
    monkeypatch.setenv("HF_HOME", str(tmp_path))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    folder = searchable / f"embeddings/variant={VARIANT}"
    told = run(f"open_in_{library}.py", folder, capsys=capsys, monkeypatch=monkeypatch)
    assert ".jpg" in told
