"""The page of a service, as its tests look at it."""

import re
import shutil
import time

CHROMIUM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)
CHROMIUM_FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-background-networking",
    "--disable-component-update",
]


def names(page) -> list[str]:
    return page.locator("#grid .card:not([hidden]) .name").all_text_contents()


def status(page, text: str) -> None:
    page.locator("#status", has_text=re.compile(rf"\b{text}")).wait_for()


def wait_until(page, condition: str) -> None:
    """Wait for a condition in JavaScript; the page forbids what Playwright's own waiting does."""
    deadline = time.monotonic() + 20
    while not page.evaluate(condition):
        assert time.monotonic() < deadline, condition
        page.wait_for_timeout(50)


def upload(page, *files) -> None:
    page.locator("#file").set_input_files(*files)
