"""An index's manifest -> a page: what was chosen and why, and recall against speed."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from index.drawings import Tick, draw
from index.html_report import Section, render_report
from index.manifest import IndexManifest, MeasuredSearch

WIDTH, HEIGHT = 640, 360
LEFT, RIGHT, TOP, BOTTOM = 70, 620, 34, 310


@dataclass(frozen=True)
class _Point:
    x: float
    y: float
    label: str
    chosen: bool


def index_facts(manifest: IndexManifest) -> dict[str, str]:
    """What an index is and how well it searches, by the names users see."""
    measured = manifest.measured
    facts = {
        "vectors": f"{manifest.count:,} of width {manifest.space.num_features}",
        "index": manifest.factory_string,
        "why": manifest.reason,
        "search": setting_text(manifest.search_parameters) or "exhaustive",
    }
    if measured is None:
        facts["recall@10"] = "not measurable"
    else:
        facts["recall@1"] = f"{measured.recall_at_1:.4f}"
        facts["recall@10"] = f"{measured.recall_at_10:.4f} ± {measured.recall_error:.4f}" + (
            "" if measured.recall_at_10 >= manifest.min_recall else f", under {manifest.min_recall}"
        )
        facts["queries a second"] = f"{measured.queries_a_second:,.0f} in a batch"
    facts["bytes a vector"] = f"{manifest.bytes_a_vector:,.0f}"
    facts["build"] = f"{manifest.build_seconds:,.1f} s"
    return facts


def index_figures(manifest: IndexManifest) -> dict[str, object]:
    """The same for machines; recalls are None where they cannot be measured."""
    measured = manifest.measured
    names = ("recall_at_1", "recall_at_10", "recall_error", "queries_a_second")
    return {
        "variant": manifest.space.variant,
        "vectors": manifest.count,
        "width": manifest.space.num_features,
        "factory_string": manifest.factory_string,
        "reason": manifest.reason,
        "search_parameters": manifest.search_parameters,
        "min_recall": manifest.min_recall,
        **{name: measured and getattr(measured, name) for name in names},
        "bytes_a_vector": manifest.bytes_a_vector,
        "build_seconds": manifest.build_seconds,
    }


def index_report(manifest: IndexManifest) -> str:
    """The page, self-contained."""
    facts = {"variant": manifest.space.variant, **index_facts(manifest)}
    section = recall_section(manifest)
    return render_report("Index", facts, [] if section is None else [section])


def recall_section(manifest: IndexManifest) -> Section | None:
    """Recall against speed, drawn and as a table; None where nothing could be measured."""
    if manifest.measured is None:
        return None
    note = (
        f"Each point is a search setting, measured with {manifest.queries:,} of the index's own "
        "vectors against exact search, in one batch on the machine that built it; the large one was "
        "chosen. The line joins those that no other beats."
    )
    drawing = _draw(manifest.tried, manifest.measured, manifest.min_recall)
    table = [
        ("setting", "recall@1", "recall@10", "queries a second"),
        *(_table_row(one) for one in manifest.tried),
    ]
    return Section("Recall against speed", note, drawing=drawing, table=table)


def setting_text(setting: Mapping[str, int]) -> str:
    """A search setting in a few words.

    >>> setting_text({"nprobe": 32, "candidates": 160})
    'nprobe 32, candidates 160'
    """
    return ", ".join(f"{name} {value}" for name, value in setting.items())


def _table_row(one: MeasuredSearch) -> tuple[str, ...]:
    setting = setting_text(one.parameters) or "exhaustive"
    recalls = f"{one.recall_at_1:.4f}", f"{one.recall_at_10:.4f}"
    return setting, *recalls, f"{one.queries_a_second:,.0f}"


def _draw(tried: Sequence[MeasuredSearch], chosen: MeasuredSearch, min_recall: float) -> str:
    least = min(min_recall, *(one.recall_at_10 for one in tried))
    start = math.floor(least * 20 - 1e-9) / 20 if least < 0.9 else 0.9
    step = 0.01 if start >= 0.9 else 0.05 if start >= 0.5 else 0.1
    low = math.floor(math.log10(min(one.queries_a_second for one in tried)))
    high = math.ceil(math.log10(max(one.queries_a_second for one in tried)) + 1e-9)
    high = max(high, low + 1)

    def across(recall: float) -> float:
        return round(LEFT + (recall - start) / (1 - start) * (RIGHT - LEFT), 1)

    def up(speed: float) -> float:
        return round(BOTTOM - (math.log10(speed) - low) / (high - low) * (BOTTOM - TOP), 1)

    recalls = [start + step * number for number in range(round((1 - start) / step) + 1)]
    points = [
        _Point(
            across(one.recall_at_10),
            up(one.queries_a_second),
            ", ".join(_table_row(one)),
            one == chosen,
        )
        for one in tried
    ]
    fastest = sorted(tried, key=lambda one: -one.queries_a_second)
    bounds = itertools.accumulate((one.recall_at_10 for one in fastest), max, initial=-1.0)
    best = [one for one, bound in zip(fastest, bounds, strict=False) if one.recall_at_10 > bound]
    line = [f"{across(one.recall_at_10)},{up(one.queries_a_second)}" for one in best]
    return draw(
        "recall_plot.svg.jinja",
        width=WIDTH,
        height=HEIGHT,
        left=LEFT,
        right=RIGHT,
        top=TOP,
        bottom=BOTTOM,
        across=[Tick(across(recall), f"{recall:.2f}") for recall in recalls],
        up=[Tick(up(10**power), f"{10**power:,}") for power in range(low, high + 1)],
        target=across(min_recall),
        line=" ".join(line),
        points=sorted(points, key=lambda point: point.chosen),
    )
