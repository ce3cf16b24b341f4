"""A server's answer, and a note beside a part of a file -> whether that is one version."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import requests
from pydantic import BaseModel, ConfigDict, ValidationError

MOST_DIGITS: Final = 15  # of a size that is believed: a petabyte


class Version(BaseModel):
    """Which file a partial one is part of.

    Attributes:
        url: it was asked for at.
        tag: its ETag; None where the server says none.
        modified: the time it was changed, in the server's words; None where it says none.
        size: of the whole file, in bytes; None where the server does not say it before the end.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    url: str
    tag: str | None = None
    modified: str | None = None
    size: int | None

    @property
    def strong_tag(self) -> str | None:
        """A weak one does not promise the same bytes."""
        return self.tag if self.tag and self.tag.startswith('"') else None

    @property
    def validator(self) -> str | None:
        """By which the server is asked for the rest of the same file; None where there is nothing."""
        return self.strong_tag or self.modified

    def may_be(self, other: Version) -> bool:
        """Whether nothing that was said of both keeps them from being the same bytes."""
        if self.strong_tag and other.strong_tag:
            return self.strong_tag == other.strong_tag
        said = ((self.tag, other.tag), (self.modified, other.modified))
        return all(not one or not two or one == two for one, two in said)


def version_said(answer: requests.Response, url: str) -> Version:
    """Which file an answer with status 200 holds.

    Raises:
        OSError: of a size that no file has.
    """
    said = answer.headers.get("Content-Length", "")
    is_number = said.isascii() and said.isdecimal()
    if is_number and len(said) > MOST_DIGITS:
        raise OSError(f"{answer.url} says that it sends {said[:MOST_DIGITS]}... bytes")
    return Version(
        url=url,
        tag=answer.headers.get("ETag"),
        modified=answer.headers.get("Last-Modified"),
        size=int(said) if is_number else None,
    )


def continues(answer: requests.Response, held: int, version: Version) -> bool:
    """Whether a partial answer begins where the file ends, and is of the same version.

    If-Range is not understood by every server, and where it is not, another version may be sent.
    """
    unit, _, where = answer.headers.get("Content-Range", "").partition(" ")
    span, _, size = where.partition("/")
    fits = version.size is None or size in ("*", str(version.size))
    same = version.may_be(
        Version(
            url=version.url,
            tag=answer.headers.get("ETag"),
            modified=answer.headers.get("Last-Modified"),
            size=None,
        )
    )
    return unit == "bytes" and span.partition("-")[0] == str(held) and fits and same


def noted_version(url: str, part: Path) -> Version | None:
    """What the file `part` is a part of; None where nobody knows, or it is longer than that can be."""
    try:
        version = Version.model_validate_json(note_of(part).read_bytes())
    except (OSError, ValidationError):
        return None
    fits = version.size is None or size_of(part) <= version.size
    return version if fits and version.url == url else None


def note_version(version: Version, part: Path) -> None:
    """Note beside the file `part` what it is a part of."""
    scratch = part.with_name(f".{part.name}.json")
    scratch.write_text(version.model_dump_json())
    scratch.replace(note_of(part))


def note_of(part: Path) -> Path:
    """Where it is said what a file is a part of."""
    return part.with_name(f"{part.name}.json")


def size_of(part: Path) -> int:
    """Of a part, in bytes; 0 where there is none."""
    return part.stat().st_size if part.is_file() else 0
