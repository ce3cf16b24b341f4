import hashlib
import shutil
import socket
import tarfile
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from index.errors import ModuleUnavailable
from tests.flaky_server import FlakyServer, serving, whole
from transforms.module_download import hub_url
from transforms.module_store import ModuleStore, fingerprint
from transforms.variants import VARIANTS, Variant

V2 = VARIANTS["mobilenet_v2_035_96"]


@pytest.fixture(autouse=True)
def nowhere_else(tmp_path, monkeypatch):
    """No mirror, cache or network but what a test makes."""
    fingerprint.cache_clear()
    monkeypatch.delenv("LOOKALIKE_MODULES", raising=False)
    monkeypatch.setenv("TFHUB_CACHE_DIR", str(tmp_path / "hub-cache"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "own-cache"))

    resolve = socket.getaddrinfo

    def loopback_only(host, *more, **how):
        if host != "127.0.0.1":
            raise socket.gaierror("no network here")
        return resolve(host, *more, **how)

    monkeypatch.setattr(socket, "getaddrinfo", loopback_only)


def own(handle) -> Variant:
    return Variant("mine", str(handle))


def archive_of(folder, path):
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w:gz") as tar:
        tar.add(folder, arcname=".")
    return path


def test_an_explicit_path_is_taken_as_it_is(tiny_tf2, tiny_hub):
    found = ModuleStore().locate(own(tiny_tf2))
    assert (found.path, found.format, found.found) == (str(tiny_tf2), "saved_model_2", "path")
    assert ModuleStore().locate(own(tiny_hub)).format == "hub"
    assert ModuleStore().locate(own(tiny_tf2.as_uri())).fingerprint == found.fingerprint


def test_a_home_folder_is_expanded(tiny_tf2, monkeypatch):
    monkeypatch.setenv("HOME", str(tiny_tf2.parent))
    assert ModuleStore().locate(own("~/tiny")).path == str(tiny_tf2)


@pytest.mark.parametrize(
    "place",
    [
        "mobilenet_v2_035_96/feature_vector",
        "mobilenet_v2_035_96",
        "mobilenet_v2_035_96/feature_vector/3",
        "google/imagenet/mobilenet_v2_035_96/feature_vector/3",
        hashlib.sha1(V2.handle.encode()).hexdigest(),
    ],
)
@pytest.mark.parametrize("archived", [False, True])
def test_a_mirror_is_searched_in_every_usual_layout(tiny_hub, tmp_path, place, archived):
    mirror = tmp_path / "mirror"
    if archived:
        archive_of(tiny_hub, mirror / f"{place}.tar.gz")
    else:
        shutil.copytree(tiny_hub, mirror / place)
    found = ModuleStore(str(mirror)).locate(V2)
    assert found.found == "mirror"
    assert found.fingerprint == ModuleStore().locate(own(tiny_hub)).fingerprint


def test_the_mirror_can_come_from_the_environment(tiny_hub, tmp_path, monkeypatch):
    shutil.copytree(tiny_hub, tmp_path / "m/mobilenet_v2_035_96")
    monkeypatch.setenv("LOOKALIKE_MODULES", str(tmp_path / "m"))
    assert ModuleStore().locate(V2).found == "mirror"


def test_the_mirror_comes_before_the_cache(tiny_hub, tiny_tf2, tmp_path):
    key = hashlib.sha1(V2.handle.encode()).hexdigest()
    shutil.copytree(tiny_hub, tmp_path / "hub-cache" / key)
    assert ModuleStore().locate(V2).found == "cache"
    shutil.copytree(tiny_tf2, tmp_path / "m/mobilenet_v2_035_96")
    assert ModuleStore(str(tmp_path / "m")).locate(V2).found == "mirror"


def test_an_old_version_is_not_served_by_the_folder_of_the_newest(tiny_hub, tmp_path):
    shutil.copytree(tiny_hub, tmp_path / "m/mobilenet_v2_050_128/feature_vector")
    store = ModuleStore(str(tmp_path / "m"))
    assert store.locate(VARIANTS["mobilenet_v2_050_128"]).found == "mirror"
    with pytest.raises(ModuleUnavailable):
        store.locate(VARIANTS["mobilenet_v2_050_128@2"])


def test_a_local_archive_is_unpacked_once(tiny_tf2, tmp_path):
    archive = archive_of(tiny_tf2, tmp_path / "m.tar.gz")
    first, second = (ModuleStore().locate(own(archive)) for _ in range(2))
    assert first == second
    assert first.fingerprint == fingerprint(str(tiny_tf2))


def test_an_archive_may_hold_the_folder_itself(tiny_tf2, tmp_path):
    with tarfile.open(tmp_path / "m.tar.gz", "w:gz") as tar:
        tar.add(tiny_tf2, arcname="feature_vector")
    found = ModuleStore().locate(own(tmp_path / "m.tar.gz"))
    assert found.fingerprint == fingerprint(str(tiny_tf2))


@pytest.mark.parametrize("damage", [b"", b"\xff\xfe", b"0" * 63])
def test_a_damaged_fingerprint_is_not_believed(tiny_tf2, tmp_path, damage):
    first = fingerprint(str(tiny_tf2))
    [kept] = (tmp_path / "own-cache/lookalike/fingerprints").iterdir()
    kept.write_bytes(damage)
    fingerprint.cache_clear()
    assert fingerprint(str(tiny_tf2)) == first
    assert kept.read_text() == first


def test_a_fingerprint_is_kept_and_computed_again_when_a_file_changes(tiny_tf2, tmp_path):
    folder = shutil.copytree(tiny_tf2, tmp_path / "m")
    first = fingerprint(str(folder))
    [kept] = (tmp_path / "own-cache/lookalike/fingerprints").iterdir()
    assert kept.read_text() == first
    kept.write_text("f" * 64)
    fingerprint.cache_clear()
    assert fingerprint(str(folder)) == "f" * 64
    (folder / "assets/labels.txt").parent.mkdir(exist_ok=True)
    (folder / "assets/labels.txt").write_text("new")
    fingerprint.cache_clear()
    assert fingerprint(str(folder)) not in (first, "f" * 64)


@pytest.mark.parametrize("cache", ["/proc/nope", "/dev/null"])
def test_a_cache_that_cannot_be_written_is_named(tiny_tf2, tmp_path, monkeypatch, cache):
    monkeypatch.setenv("XDG_CACHE_HOME", cache)
    archive = archive_of(tiny_tf2, tmp_path / "m.tar.gz")
    with pytest.raises(ModuleUnavailable, match=cache):
        ModuleStore().locate(own(archive))
    assert len(ModuleStore().locate(own(tiny_tf2)).fingerprint) == 64


def test_an_archive_cannot_write_outside_its_folder(tiny_tf2, tmp_path):
    (tmp_path / "evil").write_text("x")
    with tarfile.open(tmp_path / "m.tar.gz", "w:gz") as tar:
        tar.add(tmp_path / "evil", arcname="../../evil")
    with pytest.raises(ModuleUnavailable, match="cannot be unpacked"):
        ModuleStore().locate(own(tmp_path / "m.tar.gz"))


def test_the_fingerprint_is_of_the_weights_and_not_of_the_place(tiny_tf2, tmp_path):
    shutil.copytree(tiny_tf2, tmp_path / "copy")
    (tmp_path / "copy/notes.txt").write_text("beside the module")
    assert fingerprint(str(tmp_path / "copy")) == fingerprint(str(tiny_tf2))
    shutil.copytree(tiny_tf2, tmp_path / "other")
    data = next((tmp_path / "other/variables").glob("*.data*"))
    data.write_bytes(data.read_bytes()[:-1] + b"x")
    assert fingerprint(str(tmp_path / "other")) != fingerprint(str(tiny_tf2))


@pytest.mark.parametrize(
    ("break_it", "message"),
    [
        (lambda folder: shutil.rmtree(folder), "does not exist"),
        (lambda folder: (folder / "saved_model.pb").unlink(), "holds no saved_model.pb"),
        (lambda folder: (folder / "variables/variables.index").unlink(), "no variables.index"),
    ],
)
def test_a_module_that_is_not_whole_is_named(tiny_tf2, tmp_path, break_it, message):
    folder = tmp_path / "module"
    shutil.copytree(tiny_tf2, folder)
    break_it(folder)
    with pytest.raises(ModuleUnavailable, match=message) as refused:
        ModuleStore().locate(own(folder))
    assert str(folder) in str(refused.value)


def test_a_folder_of_modules_is_answered_with_the_one_inside(tiny_tf2, tmp_path):
    shutil.copytree(tiny_tf2, tmp_path / "m/feature_vector")
    with pytest.raises(ModuleUnavailable, match=r"did you mean .*m/feature_vector"):
        ModuleStore().locate(own(tmp_path / "m"))


def test_a_half_deleted_cache_is_told_from_a_missing_module(tiny_hub, tmp_path):
    key = hashlib.sha1(V2.handle.encode()).hexdigest()
    (tmp_path / "hub-cache" / key).mkdir(parents=True)
    with pytest.raises(ModuleUnavailable, match="half deleted: remove"):
        ModuleStore().locate(V2)


def test_an_archive_that_is_damaged_is_named(tiny_tf2, tmp_path):
    archive = archive_of(tiny_tf2, tmp_path / "m.tar.gz")
    archive.write_bytes(archive.read_bytes()[:2000])
    with pytest.raises(ModuleUnavailable, match=r"m\.tar\.gz cannot be unpacked"):
        ModuleStore().locate(own(archive))


def test_a_mirror_that_is_no_folder_is_named(tmp_path):
    with pytest.raises(ModuleUnavailable, match="correct --modules"):
        ModuleStore(str(tmp_path / "nowhere")).locate(V2)


def test_without_a_network_the_error_names_handle_and_cure(tmp_path):
    (tmp_path / "m").mkdir()
    with pytest.raises(ModuleUnavailable) as refused:
        ModuleStore(str(tmp_path / "m")).locate(V2)
    for word in (V2.handle, "no network here", "--modules", str(tmp_path / "m"), "name=path"):
        assert word in str(refused.value)


def test_a_cache_that_cannot_hold_a_module_is_named(monkeypatch):
    monkeypatch.setenv("TFHUB_CACHE_DIR", "/dev/null/cache")
    with pytest.raises(ModuleUnavailable, match=r"/dev/null/cache.*TFHUB_CACHE_DIR") as refused:
        ModuleStore().locate(V2)
    assert V2.handle in str(refused.value)


def test_what_lies_in_an_object_store_is_left_to_tensorflow_hub(tiny_tf2, monkeypatch):
    import tensorflow_hub as hub

    asked = []
    monkeypatch.setattr(hub, "resolve", lambda handle: asked.append(handle) or str(tiny_tf2))
    assert ModuleStore().locate(own("gs://bucket/m")).path == str(tiny_tf2)
    assert asked == ["gs://bucket/m"]


def test_two_that_need_a_module_at_once_fetch_it_once(tiny_tf2, tmp_path):
    archive = archive_of(tiny_tf2, tmp_path / "m.tar.gz").read_bytes()

    def slowly(request):
        time.sleep(0.3)
        whole(request)

    with serving(FlakyServer(archive, acts=[slowly])) as server, ThreadPoolExecutor() as pool:
        found = list(pool.map(ModuleStore().locate, [own(server.url)] * 3))
    assert {one.fingerprint for one in found} == {fingerprint(str(tiny_tf2))}
    assert len(server.ranges) == 1


def test_a_bare_hub_name_is_a_url_of_the_hub():
    bare = VARIANTS["mobilenet_v1_025_128/classification"].handle
    assert hub_url(bare) == f"https://tfhub.dev/{bare}"
    assert hub_url("https://tfhub.dev/x/1/") == "https://tfhub.dev/x/1"
