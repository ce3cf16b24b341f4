"""Rows of text -> a table in columns."""

from __future__ import annotations

from collections.abc import Iterable, Sequence


def text_table(rows: Iterable[Sequence[str]]) -> list[str]:
    """The lines of a table; the first row is its heading.

    >>> text_table([("NAME", "SIZE"), ("a", "12")])
    ['NAME  SIZE', 'a     12']
    """
    lines = list(rows)
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    padded = (
        (f"{cell:<{width}}" for cell, width in zip(line, widths, strict=True)) for line in lines
    )
    return ["  ".join(cells).rstrip() for cells in padded]
