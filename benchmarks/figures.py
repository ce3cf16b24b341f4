"""The passes of an arm -> its figures, and a row of a table."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from rich import box
from rich.table import Table

from benchmarks.arm_process import Pass
from index.unit_vectors import unit_vectors

MIB: Final = 1 << 20


def arm_figures(ours: Sequence[Pass], yardstick: Sequence[Pass], count: int) -> dict[str, Any]:
    """What the passes of an arm over `count` pictures came to, beside the yardstick's."""
    seconds = statistics.median(one.seconds for one in ours)
    return {
        "ratio": median_ratio(yardstick, ours),
        "pictures_a_second": count / seconds,
        "cpu_ms": statistics.median(one.cpu_seconds for one in ours) / count * 1e3,
        "peak_bytes": max(one.peak_bytes for one in ours),
        "note": ours[0].note,
    }


def median_ratio(above: Sequence[Pass], below: Sequence[Pass]) -> float:
    """How many times as long the one took, round by round."""
    return statistics.median(
        one.seconds / other.seconds for one, other in zip(above, below, strict=True)
    )


def empty_table(title: str, headings: Sequence[str]) -> Table:
    """A table whose first column names the arm."""
    table = Table(title=title, title_justify="left", box=box.SIMPLE)
    table.add_column("", no_wrap=True)
    for heading in headings:
        table.add_column(heading, justify="right")
    return table


def cells(figures: Mapping[str, Any]) -> list[str]:
    """The figures of an arm as a row of a table."""
    cosine = figures.get("cosine")
    return [
        f"{figures['ratio']:.2f}",
        f"{figures['pictures_a_second']:.0f}",
        f"{figures['cpu_ms']:.2f}",
        f"{figures['peak_bytes'] / MIB:.0f}",
        "" if cosine is None else f"{cosine['mean']:.6f} {cosine['worst']:.4f}",
    ]


def cosine_to(
    vectors: NDArray[np.float32] | None, reference: NDArray[np.float32] | None
) -> dict[str, float] | None:
    """Mean and worst cosine to the reference recipe, which the tf.data loop follows."""
    if vectors is None or reference is None:
        return None
    cosines = np.sum(unit_vectors(vectors) * unit_vectors(reference), axis=1)
    return {"mean": float(np.nanmean(cosines)), "worst": float(np.nanmin(cosines))}
