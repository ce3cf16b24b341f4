"""Patterns of paths, in Beam's language and with `**` as shells have it."""

from __future__ import annotations

import re
from itertools import product

from apache_beam.io.filesystem import FileSystem

from index.errors import UsageError


def compile_pattern(pattern: str) -> list[re.Pattern[str]]:
    """Expressions of which one matches a path, or URI, that the pattern stands for.

    Raises:
        UsageError: it is no pattern.
    """
    try:
        return [re.compile(FileSystem.translate_pattern(one)) for one in expand_stars(pattern)]
    except re.error as error:
        raise UsageError(f"{pattern!r} is not a pattern: {error}") from error


def compile_below_any(pattern: str) -> list[re.Pattern[str]]:
    """The same for the last folders and the name of a path; a whole path begins with `/` or a scheme.

    >>> bool(any(one.match("/data/train/a/1.jpg") for one in compile_below_any("train/**")))
    True
    """
    is_whole = pattern.startswith(("/", "**/")) or "://" in pattern
    return compile_pattern(pattern if is_whole else f"**/{pattern}")


def expand_stars(pattern: str) -> list[str]:
    """The pattern with each `/**/` also as `/`: to Beam, `**` stands for at least one folder.

    >>> expand_stars("/a/**/*.jpg")
    ['/a/**/*.jpg', '/a/*.jpg']
    """
    pieces = re.sub(r"(/\*\*)+/", "/**/", pattern).split("/**/")
    joints = product(("/**/", "/"), repeat=len(pieces) - 1)
    return [
        pieces[0] + "".join(joint + piece for joint, piece in zip(choice, pieces[1:], strict=True))
        for choice in joints
    ]
