"""Drawings of reports: SVG from templates that stand beside this file, and pieces they share."""

from __future__ import annotations

import math
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


@dataclass(frozen=True)
class Bar:
    """A bar of a histogram; its label is shown when it is pointed at."""

    x: float
    y: float
    width: float
    height: float
    color: str
    label: str


def axis_step(highest: int) -> int:
    """The step of an axis with about five ticks, for counts up to `highest`.

    >>> axis_step(7), axis_step(180)
    (2, 50)
    """
    power: int = 10 ** int(math.log10(max(highest / 5, 1)))
    return next(factor * power for factor in (1, 2, 5, 10) if highest <= 5 * factor * power)


def draw(template: str, **values: Any) -> str:
    """The SVG of a template, by the name of its file."""
    text = Path(__file__).with_name(template).read_text(encoding="utf-8")
    return _ENVIRONMENT.from_string(text).render(**values)
