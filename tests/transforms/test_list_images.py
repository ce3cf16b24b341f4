import os

import pytest

from index.errors import NoPictures, UsageError
from tests.conftest import picture
from transforms.elements import FileReference
from transforms.list_images import list_images
from transforms.read_bytes import MAX_FILE_BYTES
from transforms.read_images import read_image


@pytest.fixture
def tree(tmp_path, monkeypatch):
    for name in (
        "a.jpg",
        "b.JPG",
        "sub/c.jpg",
        "sub/deep/d.jpg",
        "sub/e.png",
        ".hidden.jpg",
        "sub/.thumbs/t.jpg",
        "odd[1]*?.jpg",
        "line\nbreak.jpg",
        'quo"te.jpg',
        "x.jpg.gz",
    ):
        path = tmp_path / "photos" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"12345")
    monkeypatch.chdir(tmp_path)
    return tmp_path / "photos"


def names(tree, *inputs, **options):
    listing = list_images(inputs, **options)
    assert not listing.failures
    return sorted(os.path.relpath(file.uri, tree) for file in listing.files)


EVERYTHING = sorted(
    [
        *("a.jpg", "b.JPG", "sub/c.jpg", "sub/deep/d.jpg", "sub/e.png"),
        *("odd[1]*?.jpg", "line\nbreak.jpg", 'quo"te.jpg', "x.jpg.gz"),
    ]
)
JPEGS = [name for name in EVERYTHING if name.endswith(".jpg")]


def test_a_folder_is_every_file_below_it_but_hidden_ones(tree):
    assert names(tree, str(tree)) == EVERYTHING
    assert names(tree, "photos/") == EVERYTHING


def test_two_stars_stand_for_any_number_of_folders_none_included(tree):
    assert names(tree, "photos/**/*.jpg") == sorted([*JPEGS, ".hidden.jpg", "sub/.thumbs/t.jpg"])
    assert names(tree, "photos/**/d.jpg") == ["sub/deep/d.jpg"]
    assert names(tree, "photos/**/deep/**/d.jpg") == ["sub/deep/d.jpg"]


def test_one_star_stays_in_its_folder(tree):
    assert names(tree, "photos/sub/*.jpg") == ["sub/c.jpg"]
    assert names(tree, "photos/?.jpg", "photos/[b-c].JPG") == ["a.jpg", "b.JPG"]


def test_a_name_with_glob_characters_is_taken_as_it_is(tree):
    assert names(tree, "photos/odd[1]*?.jpg") == ["odd[1]*?.jpg"]


def test_a_folder_with_glob_characters_is_listed(tree):
    (tree / "[x]*").mkdir()
    (tree / "[x]*/inside.jpg").write_bytes(b"1")
    assert names(tree, str(tree / "[x]*")) == ["[x]*/inside.jpg"]


def test_a_file_named_twice_is_listed_once_with_its_facts(tree):
    listing = list_images(["photos/a.jpg", "photos/*.jpg", str(tree)])
    [file] = [file for file in listing.files if file.uri.endswith("/a.jpg")]
    assert file.bytes == 5
    assert file.modified_s == pytest.approx((tree / "a.jpg").stat().st_mtime)


def test_a_list_names_files_folders_and_patterns(tree, tmp_path):
    lines = ["photos/a.jpg", "", "photos/sub", "photos/?.JPG", "photos/not there.jpg"]
    (tmp_path / "list.txt").write_text("\n".join(lines))
    found = names(tree, "list.txt")
    assert found == ["a.jpg", "b.JPG", "not there.jpg", "sub/c.jpg", "sub/deep/d.jpg", "sub/e.png"]


def test_a_listed_file_that_is_gone_fails_when_it_is_read(tree, tmp_path):
    (tmp_path / "list.txt").write_text("photos/gone.jpg\n")
    [file] = list_images(["list.txt"]).files
    failure = read_image(file)
    assert (failure.stage, failure.error) == ("read", "FileNotFoundError")
    assert failure.uri == str(tree / "gone.jpg")


def test_the_jobs_own_artefacts_are_not_its_inputs(tree):
    assert "sub/c.jpg" not in names(tree, str(tree), apart_from=[str(tree / "sub")])
    assert "a.jpg" not in names(tree, str(tree), apart_from=[str(tree / "a.jpg")])


@pytest.mark.parametrize("name", ["nowhere/*.jpg", "nowhere", "gone.txt", "photos/*.tiff"])
def test_an_input_that_matches_nothing_is_refused_by_name(tree, name):
    with pytest.raises(NoPictures, match=r"nowhere|gone|tiff"):
        list_images(["photos/a.jpg", name])


def test_an_empty_folder_is_refused(tmp_path):
    with pytest.raises(NoPictures, match="matches no file"):
        list_images([str(tmp_path)])


def test_a_list_that_is_not_text_is_refused(tmp_path):
    (tmp_path / "list.txt").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(NoPictures, match="not UTF-8"):
        list_images([str(tmp_path / "list.txt")])


def test_a_name_that_is_not_utf8_is_a_failure_and_costs_no_other(tmp_path):
    (tmp_path / "good.jpg").write_bytes(b"1")
    (tmp_path / os.fsdecode(b"bad-\xff.jpg")).write_bytes(b"1")
    listing = list_images([str(tmp_path)])
    assert [file.uri for file in listing.files] == [str(tmp_path / "good.jpg")]
    [failure] = listing.failures
    assert (failure.stage, failure.error) == ("list", "UndecodableName")
    assert "udcff" in failure.uri


def test_bytes_are_read_as_they_are(tree):
    [file] = list_images(["photos/x.jpg.gz"]).files
    image = read_image(file)
    assert image.data == b"12345"
    assert image.content_hash.startswith("5994471abb01112a")


def test_a_file_that_is_too_large_is_not_read_whole(tmp_path):
    with (tmp_path / "huge.jpg").open("wb") as stream:
        stream.write(picture(0))
        stream.truncate(MAX_FILE_BYTES + 1)
    [file] = list_images([str(tmp_path / "huge.jpg")]).files
    failure = read_image(file)
    assert failure.stage == "read"
    assert "268,435,456 bytes" in failure.message


def test_links_are_followed_and_loops_are_not(tmp_path):
    (tmp_path / "real/deep").mkdir(parents=True)
    (tmp_path / "real/deep/a.jpg").write_bytes(b"1")
    (tmp_path / "real/deep/up").symlink_to(tmp_path / "real")
    (tmp_path / "set").mkdir()
    (tmp_path / "set/linked").symlink_to(tmp_path / "real")
    (tmp_path / "set/b.jpg").symlink_to(tmp_path / "real/deep/a.jpg")
    for name in ("set", "set/**", "set/**/*.jpg"):
        assert names(tmp_path, str(tmp_path / name)) == ["set/b.jpg", "set/linked/deep/a.jpg"]


def test_a_folder_and_a_link_to_it_are_both_listed(tmp_path):
    for name in ("2023", "2024"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "a.jpg").write_bytes(b"1")
    (tmp_path / "latest").symlink_to("2024")
    (tmp_path / ".hidden").symlink_to("2023")
    assert names(tmp_path, f"{tmp_path}/20*/*.jpg") == ["2023/a.jpg", "2024/a.jpg"]
    assert names(tmp_path, f"{tmp_path}/l*/*.jpg") == ["latest/a.jpg"]
    assert names(tmp_path, str(tmp_path)) == ["2023/a.jpg", "2024/a.jpg", "latest/a.jpg"]


@pytest.mark.parametrize("way", ["", "/*.jpg", "/**/*.jpg"])
def test_a_link_to_itself_is_a_failure(tmp_path, way):
    (tmp_path / "self.jpg").symlink_to(tmp_path / "self.jpg")
    (tmp_path / "a.jpg").write_bytes(b"1")
    listing = list_images([f"{tmp_path}{way}"])
    assert [os.path.basename(file.uri) for file in listing.files] == ["a.jpg"]
    assert [failure.error for failure in listing.failures] == ["DanglingLink"]


@pytest.mark.parametrize("way", ["", "/**/*.jpg", "/*/*.jpg"])
def test_a_folder_that_cannot_be_read_is_a_failure(tmp_path, monkeypatch, way):
    for name in ("open", "locked"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "a.jpg").write_bytes(b"1")
    scandir = os.scandir

    def refuse(place):
        if str(place).endswith("locked"):
            raise PermissionError(13, "Permission denied")
        return scandir(place)

    monkeypatch.setattr("transforms.local_files.os.scandir", refuse)
    listing = list_images([f"{tmp_path}{way}"])
    assert len(listing.files) == 1
    assert [failure.error for failure in listing.failures] == ["UnreadableFolder"]


def test_a_pattern_looks_no_deeper_than_it_can_match(tmp_path, monkeypatch):
    (tmp_path / "one/two/three").mkdir(parents=True)
    (tmp_path / "one/a.jpg").write_bytes(b"1")
    walked = []
    scandir = os.scandir
    monkeypatch.setattr(
        "transforms.local_files.os.scandir", lambda place: walked.append(place) or scandir(place)
    )
    assert names(tmp_path, f"{tmp_path}/*/*.jpg") == ["one/a.jpg"]
    assert [os.path.relpath(place, tmp_path) for place in walked] == [".", "one"]


def test_a_file_uri_is_a_path(tree):
    assert names(tree, (tree / "a.jpg").as_uri()) == ["a.jpg"]
    assert read_image(FileReference((tree / "a.jpg").as_uri())).data == b"12345"


@pytest.mark.parametrize("way", ["p", "p/*.jpg", "p/gone.jpg", "list.txt"])
def test_a_dangling_link_is_a_failure(tmp_path, way):
    (tmp_path / "p").mkdir()
    (tmp_path / "p/gone.jpg").symlink_to(tmp_path / "nowhere")
    (tmp_path / "list.txt").write_text(f"{tmp_path}/p/gone.jpg\n")
    [failure] = list_images([str(tmp_path / way)]).failures
    assert (failure.stage, failure.error) == ("list", "DanglingLink")


def test_a_pipe_is_a_failure_and_hangs_nobody(tmp_path):
    os.mkfifo(tmp_path / "p.jpg")
    (tmp_path / "a.jpg").write_bytes(b"1")
    listing = list_images([str(tmp_path)])
    assert [failure.error for failure in listing.failures] == ["NotAFile"]
    failure = read_image(FileReference(str(tmp_path / "p.jpg")))
    assert "not a regular file" in failure.message


@pytest.mark.parametrize("name", ["", "  "])
def test_an_empty_input_is_not_the_current_folder(tree, name):
    with pytest.raises(UsageError, match="an input is empty"):
        list_images([name])


def test_lines_of_a_list_are_taken_to_the_letter(tree, tmp_path):
    odd = "photos/a\x85b\u2028c .jpg"
    (tmp_path / odd).write_bytes(b"1")
    (tmp_path / "list.txt").write_bytes(f"{odd}\r\nphotos/a.jpg".encode())
    assert names(tree, "list.txt") == ["a.jpg", odd.removeprefix("photos/")]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_without_permission_is_a_failure(tree):
    (tree / "a.jpg").chmod(0)
    [file] = list_images(["photos/a.jpg"]).files
    assert read_image(file).error == "PermissionError"


def test_a_path_with_two_slashes_is_the_same_file(tree):
    names = [str(tree / "a.jpg"), "/" + str(tree / "a.jpg")]
    (tree / "a.jpg").write_bytes(b"x")
    assert len(list_images(names).files) == 1


def test_a_pattern_that_is_none_is_refused_by_name(tree):
    with pytest.raises(UsageError, match=r"\[z-a\]"):
        list_images([str(tree / "[z-a]*.jpg")])


def test_stars_in_a_row_stand_for_any_number_of_folders_too(tree):
    one, many = (list_images([str(tree / way)]).files for way in ("**/*.jpg", "**/**/**/*.jpg"))
    assert one == many
