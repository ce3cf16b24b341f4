import re

import numpy as np
import pytest

from index.distance_histogram import draw_distance_histogram


def counts(drawing: str) -> list[int]:
    return [
        int(one.replace(",", "")) for one in re.findall(r": ([\d,]+) pictures</title>", drawing)
    ]


@pytest.mark.parametrize(
    "distances",
    [[0.0], [0.0, 0.0, 0.0], [0.3], [2.0, 0.0], [0.0001, 0.0002], np.linspace(0, 1.4, 3001)],
)
def test_every_picture_is_in_a_bar_within_the_frame(distances):
    drawing = draw_distance_histogram(np.array(distances, np.float32))
    assert sum(counts(drawing)) == len(distances)
    for x, y, width, height in re.findall(
        r'<rect x="([\d.]+)" y="([\d.]+)" width="([\d.]+)" height="([\d.]+)"', drawing
    ):
        assert 70 <= float(x) <= float(x) + float(width) <= 660
        assert 34 <= float(y) <= float(y) + float(height) <= 264.1


def test_no_pictures_are_no_drawing():
    assert draw_distance_histogram(np.empty(0, np.float32)) == ""
