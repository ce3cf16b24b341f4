import json
import shutil
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from index.output_folder import OutputFolder
from pipelines.command_line import main
from tests.conftest import broken_files, contents, picture
from tests.copies import draw_copies
from tests.copies import embed as embed_copies
from tests.page import CHROMIUM, CHROMIUM_FLAGS
from transforms import model_inputs

USABLE = 12  # of the pictures in `photos`
MANY = 40  # of those in `many`


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


def files(out) -> dict[str, bytes]:
    """Every file of an output but its manifest, which says when it was made."""
    found = contents(OutputFolder.at(out))
    manifest = json.loads(found.pop("manifest.json"))
    return {**found, "manifest": json.dumps([manifest["variants"], manifest["failure_files"]])}


@pytest.fixture
def decoded(monkeypatch) -> list[int]:
    """The sizes of the files that are decoded."""
    sizes: list[int] = []
    real = model_inputs.prepare_picture

    def prepare(data, into):
        sizes.append(len(data))
        return real(data, into)

    monkeypatch.setattr(model_inputs, "prepare_picture", prepare)
    return sizes


@pytest.fixture(scope="session")
def many(tmp_path_factory) -> Path:
    """Forty pictures, and five files that cannot be used."""
    folder = tmp_path_factory.mktemp("many")
    for seed in range(MANY):
        (folder / f"{seed:02}.jpg").write_bytes(picture(seed))
    for name, data in broken_files().items():
        (folder / f"1_{name}").write_bytes(data)
    return folder


@pytest.fixture(scope="session")
def copies(tmp_path_factory, tiny_tf2) -> Path:
    """Pictures with known copies, in the folder `in`, and their embeddings in `out`."""
    folder = tmp_path_factory.mktemp("copies")
    draw_copies(folder)
    embed_copies(folder / "in", folder / "out", tiny_tf2)
    return folder


@pytest.fixture(scope="session")
def searchable(copies, tmp_path_factory) -> Path:
    """The output of `copies` with its index and its groups of copies; not to be changed."""
    folder = tmp_path_factory.mktemp("searchable") / "out"
    shutil.copytree(copies / "out", folder)
    assert main(["index", str(folder)]) == 0
    assert main(["dedup", str(folder), "--overwrite"]) == 0
    return folder


@pytest.fixture(scope="module")
def browser():
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=CHROMIUM_FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def open_page(browser):
    """Opens a page; in the end nothing may have gone wrong on it, or come from elsewhere."""
    contexts, troubles = [], []

    def opened(address: str, path: str = "/", **how):
        context = browser.new_context(**how)
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(20_000)
        page.on("pageerror", lambda error: troubles.append(str(error)))
        host = urlsplit(address).netloc
        page.on(
            "request",
            lambda request: (
                None
                if request.url.startswith("blob:") or urlsplit(request.url).netloc == host
                else troubles.append(request.url)
            ),
        )
        page.goto(address + path)
        return page

    yield opened
    for context in contexts:
        context.close()
    assert troubles == []
