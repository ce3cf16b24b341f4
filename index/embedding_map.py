"""Places, colors and thumbnails of pictures -> a map to look around in, as a piece of a page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from index.drawings import draw
from index.map_colors import PALETTE, ColorClass, Coloring

WIDTH, HEIGHT, MARGIN = 1000, 600, 26
_SCRIPT: Final = Path(__file__).with_name("embedding_map.js")


def draw_embedding_map(
    uris: Sequence[str],
    places: NDArray[np.float32],
    distances: NDArray[np.float32] | None,
    colorings: Sequence[Coloring],
    thumbnails: Mapping[str, str | None],
) -> str:
    """HTML with its own style and script; nothing of it is loaded from outside.

    Args:
        uris: of the pictures.
        places: float32 [n, 2], from 0 to 1 each way.
        distances: float32 [n], to the nearest other picture; None where there is none.
        colorings: to choose from, the first one shown; without any, all have one color.
        thumbnails: data: URIs of pictures; those that another map on the page has are left out.
    """
    shown = list(colorings) or [
        Coloring("", [ColorClass("", PALETTE[0], len(uris))], [0] * len(uris))
    ]
    data = {
        "uris": list(uris),
        "places": np.round(places, 4).tolist(),
        "nearest": None if distances is None else [f"{one:.3f}" for one in distances.tolist()],
        "colorings": [
            {
                "classes": [vars(one) for one in coloring.classes],
                "members": list(coloring.members),
            }
            for coloring in shown
        ],
        "thumbnails": dict(thumbnails),
    }
    dots = [
        (
            round(MARGIN + x * (WIDTH - 2 * MARGIN), 1),
            round(MARGIN + (1 - y) * (HEIGHT - 2 * MARGIN), 1),
            shown[0].classes[member].color,
        )
        for (x, y), member in zip(places.tolist(), shown[0].members, strict=True)
    ]
    return draw(
        "embedding_map.html.jinja",
        width=WIDTH,
        height=HEIGHT,
        dots=dots,
        legend=shown[0].classes if colorings else (),
        choices=[coloring.by for coloring in shown],
        data=data,
        script=_SCRIPT.read_text(encoding="utf-8"),
    )
