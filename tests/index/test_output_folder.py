import os

import pytest

from index.errors import ArtifactDamaged, ArtifactError, OutputMissing, UsageError
from index.manifest import EmbeddingsManifest, IndexManifest
from index.output_folder import OutputFolder, variant_partition
from index.output_lock import only_writer
from index.stored_file import StoredFile
from tests.conftest import random_vectors, write_dataset


def test_a_written_file_is_whole_and_leaves_no_temporary_name(tmp_path):
    folder = OutputFolder.at(tmp_path / "out")
    folder.folder("deep", "er").write("a.bin", b"one")
    folder.folder("deep", "er").write("a.bin", b"two")
    assert [path.name for path in (tmp_path / "out/deep/er").iterdir()] == ["a.bin"]
    assert folder.read("deep/er/a.bin") == b"two"


def test_a_variant_with_a_slash_is_one_hive_partition():
    assert variant_partition("v/classification") == "variant=v%2Fclassification"


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(OutputMissing, match=r"nothing\.json"):
        OutputFolder.at(tmp_path).read("nothing.json")


@pytest.mark.parametrize("location", ["", "gs://bucket/out", "foo://x"])
def test_a_place_that_is_no_local_folder_is_refused(location):
    with pytest.raises(UsageError, match="local folder"):
        OutputFolder.at(location)


def test_a_manifest_comes_back_as_it_was_written(tmp_path):
    write_dataset(tmp_path, random_vectors(3))
    folder = OutputFolder.at(tmp_path)
    manifest = EmbeddingsManifest.read(folder)
    manifest.write(folder)
    assert EmbeddingsManifest.read(folder) == manifest
    assert manifest.versions["pyarrow"] != "not installed"


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b'{"kind": "embeddings"}', b"\xff\xfe"])
def test_a_broken_manifest_is_refused(tmp_path, data):
    (tmp_path / "manifest.json").write_bytes(data)
    with pytest.raises(ArtifactDamaged, match=r"manifest\.json"):
        EmbeddingsManifest.read(OutputFolder.at(tmp_path))


def test_a_manifest_of_another_kind_is_refused(tmp_path):
    write_dataset(tmp_path, random_vectors(3))
    with pytest.raises(ArtifactDamaged):
        IndexManifest.read(OutputFolder.at(tmp_path))


def test_a_changed_file_is_refused_with_both_checksums(tmp_path):
    stored = StoredFile.of("a.bin", b"as written")
    (tmp_path / "a.bin").write_bytes(b"as changed")
    with pytest.raises(ArtifactDamaged, match=rf"{stored.sha256[:16]}"):
        stored.read_from(OutputFolder.at(tmp_path))
    (tmp_path / "a.bin").unlink()
    with pytest.raises(ArtifactDamaged, match="is gone"):
        stored.read_from(OutputFolder.at(tmp_path))


def test_what_is_no_file_is_refused_and_hangs_nobody(tmp_path):
    folder = OutputFolder.at(tmp_path)
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    for name in ("pipe", "folder"):
        for read in (folder.read, folder.open):
            with pytest.raises(ArtifactDamaged, match=f"{name} cannot be read: it is no file"):
                read(name)
    os.mkfifo(tmp_path / ".lock")
    with pytest.raises(ArtifactError, match="cannot be written"), only_writer(folder):
        pass
