import contextlib
import multiprocessing
import signal
from pathlib import Path

import pytest

from index.errors import ArtifactError, OutputBusy, OutputExists, OutputMissing
from index.output_folder import OutputFolder
from index.publishing import only_writer, publish, replacing, settle


def contents(folder: OutputFolder) -> dict[str, bytes]:
    root = Path(folder.root)
    files = (path for path in root.rglob("*") if path.is_file())
    return {str(path.relative_to(root)): path.read_bytes() for path in files}


def test_replacing_publishes_only_what_was_finished(tmp_path):
    parent = OutputFolder.at(tmp_path)
    with replacing(parent, "v", overwrite=False) as folder:
        folder.write("a", b"first")
    with pytest.raises(OutputExists, match="--overwrite"), replacing(parent, "v", overwrite=False):
        pass
    with contextlib.suppress(KeyError), replacing(parent, "v", overwrite=True) as folder:
        folder.write("b", b"half")
        raise KeyError
    assert contents(parent) == {"variant=v/a": b"first"}
    with replacing(parent, "v", overwrite=True) as folder:
        folder.write("c", b"second")
    assert contents(parent) == {"variant=v/c": b"second"}


def test_a_second_writer_is_refused(tmp_path):
    folder = OutputFolder.at(tmp_path / "out")
    with only_writer(folder, create=True):
        with pytest.raises(OutputBusy, match="another run is writing"), only_writer(folder):
            pass
        folder.write("a", b"1")
    with only_writer(folder):
        pass
    assert contents(folder) == {"a": b"1"}


def _hold(root: str, ready: object) -> None:
    with only_writer(OutputFolder.at(root)):
        ready.set()
        signal.pause()


def test_a_writer_that_was_killed_holds_nothing(tmp_path):
    spawn = multiprocessing.get_context("spawn")
    ready = spawn.Event()
    process = spawn.Process(target=_hold, args=(str(tmp_path), ready))
    process.start()
    assert ready.wait(60)
    folder = OutputFolder.at(tmp_path)
    with pytest.raises(OutputBusy), only_writer(folder):
        pass
    process.kill()
    process.join()
    with only_writer(folder):
        folder.write("a", b"1")
    assert contents(folder) == {"a": b"1"}


def test_a_folder_that_is_not_there_is_made_only_when_asked(tmp_path):
    folder = OutputFolder.at(tmp_path / "deep/out")
    with pytest.raises(OutputMissing, match="does not exist"), only_writer(folder):
        pass
    assert not (tmp_path / "deep").exists()
    (tmp_path / "file").write_bytes(b"")
    for name in ("file", "file/below"):
        place = OutputFolder.at(tmp_path / name)
        with pytest.raises(ArtifactError, match="cannot be written"):  # noqa: SIM117
            with only_writer(place, create=True):
                pass


class Killed(Exception):
    """Stands for the end of the process."""


@pytest.mark.parametrize("killed_at", range(9))
@pytest.mark.parametrize(
    "old",
    [
        {"data/a": b"old", "failures/f": b"old", "index/i": b"old", "manifest": b"old"},
        {"data/a": b"old", "manifest": b"old"},
        {},
    ],
)
def test_a_publication_cut_short_anywhere_leaves_old_or_new(tmp_path, killed_at, old):
    folder = OutputFolder.at(tmp_path)
    new = {"data/b": b"new", "failures/g": b"new", "manifest": b"new"}
    for name, data in old.items():
        folder.write(name, data)
    for name, data in new.items():
        folder.folder(".staged").write(name, data)
    moves = 0

    class Dying:
        def __getattr__(self, name):
            return getattr(folder.filesystem, name)

        def move(self, source, target):
            nonlocal moves
            if moves == killed_at:
                raise Killed
            moves += 1
            folder.filesystem.move(source, target)

    names = ["data", "failures", "manifest"]
    dying = OutputFolder(Dying(), folder.root)
    stale = ["data", "failures", "index", "manifest"]
    with contextlib.suppress(Killed):
        publish(dying, dying.folder(".staged"), names, stale=stale)
    finished = not (tmp_path / ".staged/manifest").exists()
    settle(folder, names)
    folder.delete(".staged")
    left = contents(folder)
    if old or finished:
        assert left == (new if finished else old)
    else:  # nothing to go back to: no manifest, so no reader takes it for finished
        assert "manifest" not in left


def test_settling_one_variant_leaves_the_others_alone(tmp_path):
    parent = OutputFolder.at(tmp_path)
    parent.write(".replaced-variant=a/variant=a/x", b"a")
    with replacing(parent, "b", overwrite=False) as folder:
        folder.write("y", b"b")
    with (
        pytest.raises(OutputExists, match="variant=a is finished"),
        replacing(parent, "a", overwrite=False),
    ):
        pass
    assert contents(parent) == {"variant=a/x": b"a", "variant=b/y": b"b"}
