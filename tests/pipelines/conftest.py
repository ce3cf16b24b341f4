import json
from pathlib import Path

import pytest

from pipelines.command_line import main

USABLE = 12  # of the pictures in `photos`


def embed(photos, out, *flags: str, variants: str) -> int:
    return main(["embed", str(photos), "--variants", variants, "--output", str(out), *flags])


def failures(out: Path) -> list[dict]:
    files = sorted((out / "failures").glob("*.jsonl"))
    return [json.loads(line) for file in files for line in file.read_text().splitlines()]


@pytest.fixture(scope="session")
def variants(tiny_tf2, tiny_hub) -> str:
    return f"tf2={tiny_tf2},tf1={tiny_hub}"


@pytest.fixture(scope="session")
def out(photos, variants, tmp_path_factory) -> Path:
    """An output with two variants; not to be changed."""
    folder = tmp_path_factory.mktemp("run") / "out"
    assert embed(photos, folder, "--max-failure-rate", "1", variants=variants) == 0
    return folder


@pytest.fixture(scope="session")
def indexed(photos, variants, tmp_path_factory) -> Path:
    """An output with two variants, and an index of one of them."""
    folder = tmp_path_factory.mktemp("indexed") / "out"
    assert embed(photos, folder, "--max-failure-rate", "1", variants=variants) == 0
    assert main(["index", str(folder), "--variant", "tf2"]) == 0
    return folder
