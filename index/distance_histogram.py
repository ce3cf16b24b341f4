"""Distances of pictures to their nearest other -> a histogram."""

from __future__ import annotations

import math
from typing import Final

import numpy as np
from numpy.typing import NDArray

from index.drawings import Bar, Tick, axis_step, draw

WIDTH, HEIGHT = 680, 310
LEFT, RIGHT, TOP, BOTTOM = 70, 660, 34, 264
BARS: Final = 40
COLOR: Final = "#3a6ea8"
LEAST_SPAN: Final = 0.02  # of the axis, so that equal vectors have one


def draw_distance_histogram(distances: NDArray[np.float32]) -> str:
    """SVG of the cosine distances float32 [n], each at least 0; empty where there are none."""
    if not len(distances):
        return ""
    step = _tick_step(max(float(distances.max()), LEAST_SPAN))
    end = math.ceil(max(float(distances.max()), LEAST_SPAN) / step - 1e-9) * step
    edges = np.linspace(0, end, BARS + 1)
    counts = np.histogram(distances, edges)[0]
    rise = axis_step(int(counts.max()))
    top = math.ceil(int(counts.max()) / rise) * rise
    median = float(np.median(distances))

    def across(distance: float) -> float:
        return round(LEFT + distance / end * (RIGHT - LEFT), 1)

    def up(count: float) -> float:
        return round(BOTTOM - count / top * (BOTTOM - TOP), 1)

    bars = [
        Bar(
            across(edges[bin]),
            up(count),
            round(across(edges[bin + 1]) - across(edges[bin]) - 1, 1),
            round(BOTTOM - up(count), 1),
            COLOR,
            f"{edges[bin]:.3f} to {edges[bin + 1]:.3f}: {count:,} pictures",
        )
        for bin, count in enumerate(counts.tolist())
        if count
    ]
    return draw(
        "histogram.svg.jinja",
        about="pictures by the distance to their nearest other picture",
        across_label="cosine distance to the nearest other picture",
        up_label="pictures",
        width=WIDTH,
        height=HEIGHT,
        left=LEFT,
        right=RIGHT,
        top=TOP,
        bottom=BOTTOM,
        across=[
            Tick(across(at), f"{at:.3f}" if step < 0.01 else f"{at:.2f}")
            for at in np.arange(0, end + step / 2, step).tolist()
        ],
        up=[Tick(up(count), f"{count:,}") for count in range(0, top + 1, rise)],
        bars=bars,
        marker=across(median),
        marker_label=f"median {median:.3f}",
        legend=(),
    )


def _tick_step(span: float) -> float:
    """Of an axis from 0 with at most eight ticks."""
    steps = (0.0025, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.25)
    return next(step for step in steps if span <= 8 * step)
