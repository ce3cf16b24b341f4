import pyarrow.parquet as pq
import pytest

from index.errors import LookalikeError
from pipelines.command_line import main
from pipelines.demo_pictures import draw_pictures
from pipelines.run_demo import check_planted
from transforms.pixels import prepare_picture
from transforms.unreadable_picture import UnreadablePicture


def test_the_same_pictures_are_drawn_every_time(tmp_path):
    first, second = (draw_pictures(tmp_path / name) for name in ("a", "b"))
    assert first.planted == second.planted
    for path in first.folder.iterdir():
        assert path.read_bytes() == (second.folder / path.name).read_bytes()
    for name in first.broken:
        with pytest.raises(UnreadablePicture):
            prepare_picture((first.folder / name).read_bytes(), [(32, 32)])


@pytest.mark.slow
def test_the_demo_finds_what_was_planted(tmp_path, capsys):
    assert main(["demo", "--output", str(tmp_path / "demo")]) == 0
    shown = capsys.readouterr().out
    assert "all 20 copies of 12 scenes, and no other picture" in shown
    assert "random, untrained weights" in shown
    report = tmp_path / "demo/out/duplicates/variant=untrained/report.html"
    assert str(report) in shown
    page = report.read_text()
    for name in ("copy_of_scene_000.jpg", "smaller_scene_011.jpg", "brighter_scene_006.png"):
        assert name in page
    assert main(["demo", "--output", str(tmp_path / "demo")]) == 1

    drawn = draw_pictures(tmp_path / "again")
    groups = tmp_path / "demo/out/duplicates/variant=untrained/groups.parquet"
    table = pq.read_table(groups, partitioning=None)
    pq.write_table(table.slice(0, table.num_rows - 1), groups)
    with pytest.raises(LookalikeError, match="missed"):
        check_planted(tmp_path / "demo/out", drawn)
