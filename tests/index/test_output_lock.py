import multiprocessing
import signal

import pytest

from index.errors import ArtifactError, OutputBusy, OutputMissing
from index.output_folder import OutputFolder
from index.output_lock import only_writer
from tests.conftest import contents


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
