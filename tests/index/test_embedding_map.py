import json
import re
import shutil
import subprocess

import numpy as np
import pytest

from index.embedding_map import draw_embedding_map
from index.html_report import Section, render_report
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


PROBE = """<script>
const svg = document.querySelector(".map svg"), card = document.querySelector(".map-card");
const seen = [];
const look = () => seen.push(card.hidden ? "-" : card.querySelector("b").textContent);
const press = (key) => { svg.dispatchEvent(new KeyboardEvent("keydown", { key })); look(); };
["ArrowDown", "ArrowRight", "ArrowLeft", "ArrowLeft", "ArrowUp", "Escape"].forEach(press);
const frame = svg.getBoundingClientRect();
const point = { clientX: frame.right - 20, clientY: frame.top + 20, pointerType: "touch" };
svg.dispatchEvent(new PointerEvent("pointerdown", point)); look();
svg.dispatchEvent(new PointerEvent("pointermove", { ...point, clientX: frame.left + 300 })); look();
document.body.innerHTML = `SEEN ${seen.join(" ")} ${card.outerHTML.includes("<i>")} SEEN`;
</script>"""


@pytest.mark.skipif(shutil.which("chromium") is None, reason="there is no chromium")
def test_a_browser_shows_pictures_by_keys_and_by_touch(tmp_path):
    names = ["middle", "right", "left", "top", "corner"]
    places = np.array([[0.5, 0.45], [0.9, 0.45], [0.1, 0.45], [0.1, 0.9], [1, 1]], np.float32)
    uris = [f"/p/<i>/{name}" for name in names]
    drawing = draw_embedding_map(uris, places, np.zeros(5, np.float32), [], {})
    page = render_report("Map", {}, [Section("Map", "", drawing=drawing)])
    place = tmp_path / "page.html"
    place.write_text(page.replace("</body>", f"{PROBE}</body>"))
    flags = ["--headless", "--no-sandbox", "--disable-gpu", "--window-size=1000,900", "--dump-dom"]
    command = ["chromium", *flags, f"--user-data-dir={tmp_path / 'browser'}", f"file://{place}"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    seen = re.search("SEEN (.*) SEEN", done.stdout)[1]
    assert seen == "middle right middle left top - corner - false"
