from pathlib import Path

import pytest

from pipelines.command_line import main


@pytest.fixture(scope="session")
def indexed(photos, tiny_tf2, tiny_hub, tmp_path_factory) -> Path:
    """An output with two variants, and an index of one of them."""
    out = tmp_path_factory.mktemp("indexed") / "out"
    variants = f"tf2={tiny_tf2},tf1={tiny_hub}"
    flags = ["--output", str(out), "--max-failure-rate", "1"]
    assert main(["embed", str(photos), "--variants", variants, *flags]) == 0
    assert main(["index", str(out), "--variant", "tf2"]) == 0
    return out
