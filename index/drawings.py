"""Drawings of reports: SVG from templates that stand beside this file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import jinja2

_ENVIRONMENT: Final = jinja2.Environment(
    autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
)


@dataclass(frozen=True)
class Tick:
    """A place on an axis, and what stands there."""

    at: float
    label: str


def draw(template: str, **values: Any) -> str:
    """The SVG of a template, by the name of its file."""
    text = Path(__file__).with_name(template).read_text(encoding="utf-8")
    return _ENVIRONMENT.from_string(text).render(**values)
