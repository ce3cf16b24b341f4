import contextlib
import multiprocessing
import signal
from pathlib import Path

import pytest

from index.errors import OutputBusy, OutputExists
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
    with only_writer(folder):
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


@pytest.mark.parametrize("moves", range(7))
def test_a_publication_cut_short_anywhere_leaves_old_or_new(tmp_path, moves, monkeypatch):
    folder = OutputFolder.at(tmp_path)
    old = {"data/a": b"old", "manifest": b"old", "index/i": b"old"}
    new = {"data/b": b"new", "manifest": b"new"}
    for name, data in old.items():
        folder.write(name, data)
    for name, data in new.items():
        folder.folder(".staged").write(name, data)

    done = 0
    rename = type(folder.filesystem).move

    class Killed(Exception):
        pass

    class Counting:
        def __getattr__(self, name):
            return getattr(folder.filesystem, name)

        def move(self, source, target):
            nonlocal done
            if done == moves:
                raise Killed
            done += 1
            rename(folder.filesystem, source, target)

    counting = OutputFolder(Counting(), folder.root)
    staged = counting.folder(".staged")
    with contextlib.suppress(Killed):
        publish(counting, staged, ["data", "manifest"], stale=["data", "index", "manifest"])
    settle(folder, "manifest")
    folder.delete(".staged")
    assert contents(folder) == (new if moves >= 5 else old)
