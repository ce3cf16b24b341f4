"""Pairs that may be copies -> a drawing: how many at each score, what they are, and the threshold."""

from __future__ import annotations

import math
from typing import Final

import numpy as np

from index.copy_evidence import VERDICTS, CopyEvidence
from index.drawings import Bar, Tick, axis_step, draw

WIDTH, HEIGHT, LEGEND = 680, 330, 26
LEFT, RIGHT, TOP, BOTTOM = 70, 660, 34, 280
BARS: Final = 45
COPY, OPEN, STRANGER = "#1a8f4c", "#c9a227", "#8a94a3"
LEGEND_TEXT: Final = (
    ("copies", COPY),
    ("not looked at, or undecided", OPEN),
    ("looked at, different", STRANGER),
)


def draw_score_histogram(evidence: CopyEvidence) -> str:
    """SVG; empty where there are no pairs."""
    scores = evidence.pairs.scores
    if not len(scores):
        return ""
    low = min(math.floor(float(scores.min()) * 20) / 20, 0.95)
    edges = np.linspace(low, 1, BARS + 1)
    copies = evidence.are_copies()
    different = evidence.verdicts == VERDICTS.index("different")
    by_color = (
        (COPY, "copies", copies),
        (OPEN, "not looked at, or undecided", ~copies & ~different),
        (STRANGER, "different", different & ~copies),
    )
    counts = [np.histogram(scores[mask], edges)[0] for _, _, mask in by_color]
    highest = int(max(sum(counts).max(), 1))  # type: ignore[union-attr]
    step = axis_step(highest)
    top = math.ceil(highest / step) * step

    def across(score: float) -> float:
        return round(LEFT + (score - low) / (1 - low) * (RIGHT - LEFT), 1)

    def up(count: float) -> float:
        return round(BOTTOM - count / top * (BOTTOM - TOP), 1)

    bars = []
    for bin in range(BARS):
        below = 0
        for (color, name, _), found in zip(by_color, counts, strict=True):
            count = int(found[bin])
            if count:
                x, y = across(edges[bin]), up(below + count)
                label = f"{edges[bin]:.3f} to {edges[bin + 1]:.3f}: {count:,} {name}"
                width = round(across(edges[bin + 1]) - x - 1, 1)
                bars.append(Bar(x, y, width, round(up(below) - y, 1), color, label))
            below += count
    tick = 0.05 if low >= 0.5 else 0.1
    ticks = np.arange(math.ceil(low / tick - 1e-9), round(1 / tick) + 1) * tick
    threshold = evidence.threshold
    is_drawn = threshold is not None and threshold >= low
    return draw(
        "histogram.svg.jinja",
        width=WIDTH,
        height=HEIGHT,
        left=LEFT,
        right=RIGHT,
        top=TOP,
        bottom=BOTTOM,
        across=[Tick(across(score), f"{score:.2f}") for score in ticks.tolist()],
        up=[Tick(up(count), f"{count:,}") for count in range(0, top + 1, step)],
        bars=bars,
        about="pairs by their score",
        across_label="cosine of a pair",
        up_label="pairs",
        marker=across(threshold) if is_drawn and threshold is not None else None,
        marker_label="" if threshold is None else f"threshold {threshold:.3f}",
        legend=LEGEND_TEXT,
    )
