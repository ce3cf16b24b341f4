"""Neighbors and groups as one self-contained HTML page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal

import jinja2

_TEMPLATE: Final = Path(__file__).with_name("report.html.jinja")


@dataclass(frozen=True)
class PictureCard:
    """A picture on the page.

    Attributes:
        uri: what it is called.
        thumbnail: a data: URI, or None where the picture cannot be shown.
        caption: a few words under it, such as its score.
        role: "kept" and "query" are framed.
    """

    uri: str
    thumbnail: str | None
    caption: str
    role: Literal["query", "kept", "exact", "near", "transformed", "neighbor"] = "neighbor"

    @property
    def name(self) -> str:
        """The last part of the URI."""
        return self.uri.rstrip("/").rsplit("/", 1)[-1]


@dataclass(frozen=True)
class PictureRow:
    """Pictures that belong together: a group, or a query and its neighbors."""

    label: str
    pictures: Sequence[PictureCard]


@dataclass(frozen=True)
class LineList:
    """Lines that belong together: what each is about, and what there is to say of it."""

    label: str
    lines: Sequence[tuple[str, str]]


@dataclass(frozen=True)
class Section:
    """A heading, a sentence, and what stands under it.

    Attributes:
        heading: of the section.
        note: the sentence.
        rows: of pictures.
        drawing: SVG, or other HTML, that we drew; it goes into the page as it is.
        table: of figures, the first row its headings.
        facts: by their names.
        lists: of lines.
        command: to run next.
        links: what to call other pages, and where they are.
        chapter: what this section is the first of several of.
    """

    heading: str
    note: str
    rows: Sequence[PictureRow] = ()
    drawing: str = ""
    table: Sequence[Sequence[str]] = ()
    facts: Mapping[str, str] = field(default_factory=dict)
    lists: Sequence[LineList] = ()
    command: str = ""
    links: Sequence[tuple[str, str]] = ()
    chapter: str = ""


def render_report(
    title: str,
    facts: Mapping[str, str],
    sections: Sequence[Section],
    pages: Sequence[tuple[str, str]] = (),
    figures: Sequence[tuple[str, str]] = (),
) -> str:
    """The page: its title, a table of facts, and the sections; nothing on it is loaded from outside.

    Args:
        title: of the page.
        facts: by their names.
        sections: in order.
        pages: what to call each of several pages, and its file; no file for this one.
        figures: to read first, large: each with what it counts. With them come links to the sections.
    """
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    template = environment.from_string(_TEMPLATE.read_text(encoding="utf-8"))
    return template.render(
        title=title, facts=facts, sections=sections, pages=pages, figures=figures
    )
