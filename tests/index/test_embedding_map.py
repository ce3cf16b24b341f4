import json
import re

import numpy as np

from index.embedding_map import draw_embedding_map
from index.map_colors import color_by_copies, color_by_folder

ODD = (
    "/p/</script><script>alert(1)</script>.jpg",
    "/p/\"quotes\" & 'more'.jpg",
    "/p/two\nlines.jpg",
    "/p/übung 図\u2028.jpg",
)


def test_names_of_any_kind_reach_the_script_as_they_are_and_write_no_html():
    places = np.linspace(0, 1, 8, dtype=np.float32).reshape(4, 2)
    drawing = draw_embedding_map(ODD, places, None, [], {ODD[0]: None})
    assert drawing.count("<script") == 2
    assert drawing.count("</script>") == 2
    data = json.loads(re.search(r'<script type="application/json">(.*?)</script>', drawing)[1])
    assert tuple(data["uris"]) == ODD
    assert data["nearest"] is None
    assert drawing.count("<circle") == 4


def test_folders_beyond_the_colors_share_one():
    uris = [f"/p/{folder:02}/{number}.jpg" for folder in range(12) for number in range(3)]
    coloring = color_by_folder(uris)
    assert [one.count for one in coloring.classes] == [3] * 6 + [18]
    assert coloring.classes[-1].label == "6 other folders"
    assert len({one.color for one in coloring.classes}) == 7
    assert coloring.members[-1] == 6


def test_a_coloring_that_tells_nothing_is_none():
    assert color_by_folder(["/p/a.jpg", "/p/b.jpg"]) is None
    assert color_by_folder([f"/p/{number}/a.jpg" for number in range(9)]) is None
    assert color_by_copies(["/p/a.jpg"], {"/p/b.jpg": True}) is None


def test_copies_are_told_from_the_kept_one():
    coloring = color_by_copies(["/a", "/b", "/c"], {"/b": True, "/c": False})
    assert coloring.members == [0, 1, 2]
    assert [one.count for one in coloring.classes] == [1, 1, 1]
