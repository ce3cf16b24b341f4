"""The files of the page, read once: what stands beside this file in page/."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

_FOLDER: Final = Path(__file__).with_name("page")
_MEDIA_TYPES: Final = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}


def read_page_files() -> Mapping[str, tuple[bytes, str]]:
    """Path -> the bytes and their media type; the page itself is at /."""
    files = {
        f"/{file.name}": (file.read_bytes(), _MEDIA_TYPES[file.suffix])
        for file in sorted(_FOLDER.iterdir())
        if file.suffix in _MEDIA_TYPES
    }
    files["/"] = files.pop("/index.html")
    return files


PAGE_FILES: Final = read_page_files()
