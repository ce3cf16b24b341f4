import io
import os

import pytest

from index.errors import ArtifactDamaged, ArtifactError, InvalidInput, UsageError
from index.file_moves import carry_out, plan_moves, read_notes, take_back


@pytest.fixture
def files(tmp_path):
    for name in ("a/1.jpg", "a/b/2.jpg", "c/1.jpg"):
        path = tmp_path / "in" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    return tmp_path


def everything(folder):
    return {str(p.relative_to(folder)): p.read_text() for p in folder.rglob("*") if p.is_file()}


def paths(folder):
    return sorted(str(path) for path in (folder / "in").rglob("*") if path.is_file())


@pytest.mark.parametrize("how", ["link", "move"])
def test_files_keep_their_places_below_the_new_folder_and_all_can_be_undone(files, how):
    before = everything(files)
    notes = io.StringIO()
    carry_out(plan_moves(paths(files), str(files / "new"), how), notes)
    assert everything(files / "new") == {
        "a/1.jpg": "a/1.jpg",
        "a/b/2.jpg": "a/b/2.jpg",
        "c/1.jpg": "c/1.jpg",
    }
    assert (len(paths(files)) == 0) == (how == "move")
    moves = read_notes(notes.getvalue())
    assert {reason for _, reason in take_back(moves)} == {""}
    assert everything(files) == before
    assert {reason for _, reason in take_back(moves)} == {""}  # again changes nothing
    assert everything(files) == before


def test_a_note_that_was_written_before_a_step_that_never_came_is_no_trouble(files):
    notes = io.StringIO()
    moves = plan_moves(paths(files), str(files / "new"), "move")
    carry_out(moves[:1], notes)
    notes.write('{"source": "/x", "tar')
    assert [reason for _, reason in take_back(read_notes(notes.getvalue()) + moves[1:])] == [""] * 3
    assert everything(files) == {f"in/{name}": name for name in ("a/1.jpg", "a/b/2.jpg", "c/1.jpg")}


def test_nothing_is_overwritten_and_no_file_loses_its_last_name(files):
    moves = plan_moves(paths(files), str(files / "new"), "link")
    carry_out(moves, io.StringIO())
    os.unlink(moves[0].source)
    os.unlink(moves[1].source)
    with open(moves[1].source, "w") as other:
        other.write("another")
    before = everything(files / "new")
    reasons = [reason for _, reason in take_back(moves)]
    assert reasons == [
        "",
        "another file has one of its names",
        "its first name is gone; the link is its last one",
    ]
    assert set(before) - set(everything(files / "new")) == {"c/1.jpg"}
    with pytest.raises(ArtifactError, match="File exists"):
        carry_out(moves[:1] if os.path.exists(moves[0].source) else moves[1:2], io.StringIO())


def test_what_cannot_be_done_is_refused_before_anything_is_done(files):
    with pytest.raises(UsageError, match="is there already"):
        plan_moves(paths(files), str(files / "in"), "link")
    with pytest.raises(UsageError, match="gs://"):
        plan_moves(["gs://b/1.jpg"], str(files / "new"), "link")
    with pytest.raises(InvalidInput, match=r"gone\.jpg"):
        plan_moves([*paths(files), str(files / "in/gone.jpg")], str(files / "new"), "link")
    with pytest.raises(ArtifactDamaged, match="line 1"):
        read_notes("{}\n")
    assert not (files / "new").exists()


def test_no_files_are_no_moves(tmp_path):
    assert plan_moves([], str(tmp_path / "new"), "move") == []


def test_a_first_name_that_has_become_a_way_to_the_new_one_is_not_a_second_name(files):
    moves = plan_moves(paths(files), str(files / "new"), "link")
    carry_out(moves, io.StringIO())
    (files / "in").rename(files / "old")
    (files / "in").symlink_to("new")
    before = everything(files)
    assert [bool(reason) for _, reason in take_back(moves)] == [True] * 3
    assert everything(files) == before


def test_a_step_that_fails_says_how_far_it_came(files):
    moves = plan_moves(paths(files), str(files / "new"), "move")
    os.unlink(moves[1].source)
    notes = io.StringIO()
    with pytest.raises(ArtifactError, match="after 1 of 3"):
        carry_out(moves, notes)
    assert [reason for _, reason in take_back(read_notes(notes.getvalue()))] == [
        "both names are gone",
        "",
    ]


@pytest.mark.parametrize(
    "note",
    ['{"source": 1, "target": 2, "how": "link"}', '{"source": "a", "target": "b", "how": "copy"}'],
)
def test_a_note_that_is_no_move_is_refused(note):
    with pytest.raises(ArtifactDamaged, match="line 1"):
        read_notes(f"{note}\n")


def test_links_and_folders_are_not_moved(files):
    os.symlink(files / "in/c/1.jpg", files / "in/link.jpg")
    with pytest.raises(InvalidInput, match="not moved"):
        plan_moves([str(files / "in/link.jpg")], str(files / "new"), "move")
    assert len(plan_moves([str(files / "in/link.jpg")], str(files / "new"), "link")) == 1
    with pytest.raises(InvalidInput, match="no file"):
        plan_moves([str(files / "in/c")], str(files / "new"), "link")
