import logging
from pathlib import Path

import pytest

from pipelines.command_line import main

LOGGERS = ("root", "apache_beam", "tensorflow", "absl")


@pytest.fixture(autouse=True)
def _logging_as_before():
    """The command line quiets the libraries' loggers for its process; a test must not keep that."""
    levels = {name: logging.getLogger(name).level for name in LOGGERS}
    yield
    for name, level in levels.items():
        logging.getLogger(name).setLevel(level)


@pytest.fixture(scope="session")
def indexed(photos, tiny_tf2, tiny_hub, tmp_path_factory) -> Path:
    """An output with two variants, and an index of one of them."""
    out = tmp_path_factory.mktemp("indexed") / "out"
    variants = f"tf2={tiny_tf2},tf1={tiny_hub}"
    flags = ["--output", str(out), "--max-failure-rate", "1"]
    assert main(["embed", str(photos), "--variants", variants, *flags]) == 0
    assert main(["index", str(out), "--variant", "tf2"]) == 0
    return out
