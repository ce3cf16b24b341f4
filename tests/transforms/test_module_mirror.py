import errno
import gzip
import io
import shutil
import tarfile

import pytest

from index.errors import (
    ArtifactDamaged,
    ModuleUnavailable,
    OutputBusy,
    OutputExists,
    UsageError,
)
from index.output_folder import OutputFolder
from index.output_lock import only_writer
from pipelines.step_count import StepCount
from tests.flaky_server import FlakyServer, cut, serving, status
from transforms.held_modules import held_modules, require_held
from transforms.http_download import Patience
from transforms.mirror_archive import pack_modules
from transforms.module_archive import unpack
from transforms.module_mirror import Checksums, Finding, ModuleMirror, mirror_path
from transforms.module_store import ModuleStore, fingerprint, mirror_layouts
from transforms.module_transfer import bring
from transforms.variants import VARIANTS, Variant

V2 = VARIANTS["mobilenet_v2_035_96"]
QUICK = Patience(attempts=2, first_wait_s=0.001, longest_wait_s=0.01, silence_s=2)


@pytest.fixture(autouse=True)
def nowhere_else(tmp_path, monkeypatch):
    fingerprint.cache_clear()
    monkeypatch.delenv("LOOKALIKE_MODULES", raising=False)
    monkeypatch.setenv("TFHUB_CACHE_DIR", str(tmp_path / "hub-cache"))


@pytest.fixture
def source(tiny_hub, tiny_tf2, tmp_path) -> ModuleStore:
    """A mirror made by hand, with a module of the catalogue and one of one's own."""
    shutil.copytree(tiny_hub, tmp_path / "source/mobilenet_v2_035_96/feature_vector")
    shutil.copytree(tiny_tf2, tmp_path / "source/mine")
    return ModuleStore(str(tmp_path / "source"))


@pytest.fixture
def mirror(tmp_path) -> ModuleMirror:
    return ModuleMirror(tmp_path / "mirror")


@pytest.fixture
def filled(source, mirror) -> ModuleMirror:
    bring(V2, mirror, source, fetch=False)
    return mirror


def packed(folder) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz") as tar:
        tar.add(folder, arcname=".")
    return stream.getvalue()


def archive_of(*names) -> bytes:
    """Of a small file of each name."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz", format=tarfile.GNU_FORMAT) as tar:
        for name in names:
            member = tarfile.TarInfo(name)
            member.size = 1
            tar.addfile(member, io.BytesIO(b"x"))
    return stream.getvalue()


def flipped(data: bytes, place: int) -> bytes:
    return data[:place] + bytes([data[place] ^ 0xFF]) + data[place:][1:]


def full_disk(*_, **__):
    raise OSError(errno.ENOSPC, "No space left on device")


def data_file(mirror):
    return next(mirror.root.rglob("variables.data*"))


def findings(mirror) -> list[Finding]:
    return mirror.check(mirror.checksums())


@pytest.mark.parametrize("variant", VARIANTS.values(), ids=lambda variant: variant.name)
def test_a_mirror_holds_every_variant_at_a_place_of_its_own_that_is_found(variant):
    place = mirror_path(variant)
    assert place in mirror_layouts(variant)
    others = [one for one in VARIANTS.values() if one != variant]
    assert not any(place in mirror_layouts(one) for one in others)


def test_what_is_held_is_copied_and_found_again(filled, source, tiny_hub):
    found = ModuleStore(str(filled.root)).find(V2)
    assert (found.found, found.format) == ("mirror", "hub")
    assert found.fingerprint == fingerprint(str(tiny_hub))
    [module] = filled.checksums().modules
    assert (module.variant, module.handle) == (V2.name, V2.handle)
    assert module.fingerprint == found.fingerprint
    assert findings(filled) == []
    assert {path.name for path in filled.root.iterdir()} == {V2.name, "modules.json"}


def test_a_second_time_nothing_is_written(filled, source):
    before = {path: path.stat().st_mtime_ns for path in filled.root.rglob("*")}
    assert bring(V2, filled, source, fetch=False).how == "there"
    assert {path: path.stat().st_mtime_ns for path in filled.root.rglob("*")} == before


def test_a_module_is_fetched_into_the_mirror_and_carried_on(mirror, tiny_tf2):
    data = packed(tiny_tf2)
    with serving(FlakyServer(data)) as server:
        own = Variant("mine", server.url)
        server.acts = [cut(len(data) // 2), *[status(503)] * 3]
        with pytest.raises(ModuleUnavailable, match="carries on from what has arrived") as refused:
            bring(own, mirror, ModuleStore(), fetch=True, patience=QUICK)
        assert server.url in str(refused.value)
        assert mirror.checksums() is None
        assert not (mirror.root / "mine").exists()

        step = StepCount("mine", unit="bytes")
        brought = bring(own, mirror, ModuleStore(), fetch=True, step=step, patience=QUICK)
        assert server.ranges[-1] == f"bytes={len(data) // 2}-"
        assert (brought.how, step.done, step.total) == ("fetched", len(data), len(data))
        assert (brought.module.source, brought.module.handle) == (server.url, server.url)
        assert brought.module.fingerprint == fingerprint(str(tiny_tf2))
        assert findings(mirror) == []
        assert not (mirror.root / ".partial").exists()

        asked = len(server.ranges)
        assert bring(own, mirror, ModuleStore(), fetch=True).how == "there"
        assert ModuleStore(str(mirror.root)).locate(own).found == "mirror"
        assert len(server.ranges) == asked


def test_a_module_that_is_located_is_fetched_once_into_the_cache_of_tensorflow_hub(
    tiny_tf2, tmp_path
):
    with serving(FlakyServer(packed(tiny_tf2))) as server:
        own = Variant("mine", server.url)
        assert ModuleStore().locate(own).found == "network"
        assert ModuleStore().locate(own).found == "cache"
        assert len(server.ranges) == 1
    [descriptor] = (tmp_path / "hub-cache").glob("*.descriptor.txt")
    assert server.url in descriptor.read_text()


@pytest.mark.parametrize(
    ("name", "content"),
    [("../../evil", b"x"), ("/evil", b"x"), ("notes.txt", b"no module at all")],
)
def test_what_is_no_module_is_refused_and_not_kept(mirror, tmp_path, name, content):
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz") as tar:
        member = tarfile.TarInfo(name)
        member.size = len(content)
        tar.addfile(member, io.BytesIO(content))
    with serving(FlakyServer(stream.getvalue())) as server:
        own = Variant("mine", server.url)
        with pytest.raises(ModuleUnavailable, match="no archive of a module"):
            bring(own, mirror, ModuleStore(), fetch=True, patience=QUICK)
    assert not list(tmp_path.rglob("*.part"))
    assert not list(tmp_path.rglob("*evil"))
    assert mirror.checksums() is None


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (lambda data: flipped(data, len(data) // 2), ""),
        (lambda data: flipped(data, len(data) - 8), "CRC check failed"),
        (lambda data: data + b"junk at the end", "Not a gzipped file"),
        (lambda data: data[: len(data) // 2], "ended before"),
        (lambda data: gzip.compress(b"no tar archive"), "damaged, or no tar archive"),
        (lambda data: b"", "it is empty"),
        (lambda data: archive_of("a" * 300), "File name too long"),
        (lambda data: archive_of("a/" * 3000 + "b"), ""),
        (lambda data: archive_of("saved_model.pb", "saved_model.pb/x"), ""),
        (lambda data: archive_of("saved_model.pb", "x\udcff"), "not UTF-8"),
        (lambda data: archive_of("saved_model.pb", "x\udcff/y"), "not UTF-8"),
    ],
)
def test_a_damaged_archive_is_told_forgotten_and_fetched_again(mirror, tiny_tf2, damage, reason):
    data = packed(tiny_tf2)
    with serving(FlakyServer(damage(data), tag="")) as server:
        own = Variant("mine", server.url)
        with pytest.raises(ModuleUnavailable, match="damaged") as refused:
            bring(own, mirror, ModuleStore(), fetch=True, patience=QUICK)
        assert reason in str(refused.value)
        assert "carries on" not in str(refused.value)
        assert not (mirror.root / "mine").exists()
        server.data = data
        assert bring(own, mirror, ModuleStore(), fetch=True, patience=QUICK).how == "fetched"
        assert len(server.ranges) == 2


def test_an_answer_that_is_cut_without_anybody_saying_so_is_fetched_again(mirror, tiny_tf2):
    data = packed(tiny_tf2)

    def cut_in_silence(request) -> None:
        request.begin(200, None)
        request.wfile.write(data[: len(data) // 2])

    with serving(FlakyServer(data, acts=[cut_in_silence])) as server:
        own = Variant("mine", server.url)
        with pytest.raises(ModuleUnavailable, match="damaged"):
            bring(own, mirror, ModuleStore(), fetch=True, patience=QUICK)
        assert bring(own, mirror, ModuleStore(), fetch=True, patience=QUICK).how == "fetched"
        assert server.ranges == [None, None]


def test_a_full_disk_keeps_what_was_fetched(mirror, tiny_tf2, monkeypatch):
    with serving(FlakyServer(packed(tiny_tf2))) as server:
        own = Variant("mine", server.url)
        for broken in ("tarfile.TarFile.extractall", "pathlib.Path.rename"):
            with monkeypatch.context() as patched:
                patched.setattr(broken, full_disk)
                with pytest.raises(ModuleUnavailable, match="make room there") as refused:
                    bring(own, mirror, ModuleStore(), fetch=True, patience=QUICK)
            assert str(refused.value).count("the same command") == 1
        assert bring(own, mirror, ModuleStore(), fetch=True, patience=QUICK).how == "fetched"
        assert len(server.ranges) == 1


def test_a_disk_that_fills_up_while_fetching_is_named_as_such(mirror, tiny_tf2, monkeypatch):
    monkeypatch.setattr("transforms.http_download._write_all", full_disk)
    with serving(FlakyServer(packed(tiny_tf2))) as server:
        own = Variant("mine", server.url)
        with pytest.raises(ModuleUnavailable, match=r"No space left.*make room there") as refused:
            bring(own, mirror, ModuleStore(), fetch=True, patience=QUICK)
    assert "carries on" not in str(refused.value)  # nothing was written


@pytest.mark.parametrize(
    ("tag", "acts", "kept"),
    [
        ('"one"', [cut(1000), *[status(503)] * 3], True),
        ("", [cut(1000), *[status(503)] * 3], False),
        ('"one"', [status(404)], False),
        ('"one"', [status(204)], False),
    ],
)
def test_only_where_something_is_kept_it_says_that_it_carries_on(mirror, tiny_tf2, tag, acts, kept):
    with (
        serving(FlakyServer(packed(tiny_tf2), tag=tag, acts=acts)) as server,
        pytest.raises(ModuleUnavailable, match="could not be fetched") as refused,
    ):
        bring(Variant("mine", server.url), mirror, ModuleStore(), fetch=True, patience=QUICK)
    assert ("carries on from what has arrived" in str(refused.value)) == kept


@pytest.mark.parametrize("fetch", [True, False])
def test_a_handle_that_is_no_url_is_a_usage_error(mirror, fetch):
    with pytest.raises((UsageError, ModuleUnavailable), match="http://\\[::bad/x"):
        bring(Variant("mine", "http://[::bad/x"), mirror, ModuleStore(), fetch=fetch)


def test_a_name_that_is_not_utf_8_is_refused_before_anything_is_copied(source, mirror, tmp_path):
    (tmp_path / "source/mine/notes\udcff").write_text("beside the module")
    own = Variant("mine", str(tmp_path / "source/mine"))
    with pytest.raises(ModuleUnavailable, match="not UTF-8"):
        bring(own, mirror, source, fetch=False)
    assert not mirror.root.exists()


@pytest.mark.parametrize(
    "name", ["modules.json", "Modules.json", "modules.json/x", ".partial", "a/.b"]
)
def test_a_module_cannot_have_a_name_that_the_mirror_keeps_for_itself(mirror, tiny_tf2, name):
    with pytest.raises(UsageError, match="keeps for itself"):
        bring(Variant(name, str(tiny_tf2)), mirror, ModuleStore(), fetch=False)
    assert not mirror.root.exists()


def test_what_is_copied_and_what_is_packed_is_counted(source, mirror, tmp_path):
    copied, archived = StepCount("copied", unit="bytes"), StepCount("packed", unit="bytes")
    size = bring(V2, mirror, source, fetch=False, step=copied).module.size
    assert copied.done == copied.total == size > 1000
    pack_modules([require_held(source, V2)], tmp_path / "m.tar", source, step=archived)
    assert archived.done == archived.total == size


def test_a_page_in_place_of_an_archive_is_named(mirror):
    with serving(FlakyServer(b"<html>please sign in</html>" * 100)) as server:
        own = Variant("mine", server.url)
        with pytest.raises(ModuleUnavailable, match="no archive of a module") as refused:
            bring(own, mirror, ModuleStore(), fetch=True, patience=QUICK)
    assert server.url in str(refused.value)
    assert "it is no tar archive: it begins with b'<html>please sign in" in str(refused.value)


def test_damaged_archives_are_told_and_leave_nothing(tiny_tf2, tmp_path):
    import random

    rng, data = random.Random(0), bytearray(packed(tiny_tf2))
    for trial in range(150):
        mutated = bytearray(data)
        for _ in range(rng.randint(1, 8)):
            mutated[rng.randrange(len(mutated))] = rng.randrange(256)
        archive = tmp_path / f"{trial}.tar.gz"
        archive.write_bytes(mutated[: rng.randint(0, len(mutated))])
        with pytest.raises((tarfile.TarError, EOFError, OSError)):
            unpack(archive, tmp_path / f"out/{trial}")
        assert not list((tmp_path / "out").iterdir())


def test_an_archive_that_stands_for_terabytes_is_refused(tmp_path):
    with tarfile.open(tmp_path / "bomb.tar", "w") as tar:
        member = tarfile.TarInfo("zeros")
        member.size = 1 << 45
        tar.fileobj.write(member.tobuf())
    with pytest.raises(tarfile.TarError, match="more than 16 GiB"):
        unpack(tmp_path / "bomb.tar", tmp_path / "out")


def test_a_check_names_what_is_changed_missing_and_not_listed(filled):
    data = data_file(filled)
    data.write_bytes(data.read_bytes()[:-1] + b"x")
    folder = data.parents[1]
    (folder / "saved_model.pb").unlink()
    (folder / "variables/.hidden").write_text("tensorflow-hub would not read it, but it counts")
    (filled.root / "notes.txt").write_text("beside")
    (filled.root / ".DS_Store").write_text("of no matter")
    found = {(one.file.rpartition("/")[2], one.trouble) for one in findings(filled)}
    assert found == {
        (data.name, "changed"),
        ("saved_model.pb", "missing"),
        (".hidden", "not listed"),
        ("notes.txt", "not listed"),
    }


@pytest.mark.parametrize("damage", ["change", "remove"])
def test_what_is_damaged_is_repaired(filled, source, damage):
    data = data_file(filled)
    if damage == "change":
        data.write_bytes(data.read_bytes()[:-1] + b"x")
    else:
        shutil.rmtree(data.parents[1])
    assert findings(filled)
    assert bring(V2, filled, source, fetch=False).how == "repaired"
    assert findings(filled) == []


def test_what_stands_in_a_mirror_made_by_hand_is_listed(source, tmp_path):
    by_hand = ModuleMirror(tmp_path / "source")
    assert bring(V2, by_hand, source, fetch=False).how == "listed"
    assert [one.trouble for one in findings(by_hand)] == ["not listed"] * 4  # the one of our own
    assert bring(V2, by_hand, source, fetch=False).how == "there"


def test_an_archive_in_a_mirror_is_listed_and_checked_as_one_file(tiny_hub, tmp_path):
    archive = tmp_path / "m/mobilenet_v2_035_96.tar.gz"
    archive.parent.mkdir()
    archive.write_bytes(packed(tiny_hub))
    mirror = ModuleMirror(tmp_path / "m")
    assert bring(V2, mirror, ModuleStore(), fetch=False).how == "listed"
    assert findings(mirror) == []
    archive.write_bytes(archive.read_bytes()[:-1] + b"x")
    assert [one.trouble for one in findings(mirror)] == ["changed"]
    with pytest.raises(ArtifactDamaged, match="remove it"):
        bring(V2, mirror, ModuleStore(), fetch=False)


def test_a_broken_cache_does_not_keep_a_module_from_being_fetched(mirror, tiny_tf2, tmp_path):
    with serving(FlakyServer(packed(tiny_tf2))) as server:
        own = Variant("mine", server.url)
        folder = ModuleStore().locate(own).path
        (tmp_path / folder / "saved_model.pb").unlink()
        with pytest.raises(ModuleUnavailable, match="half deleted"):
            bring(own, mirror, ModuleStore(), fetch=False)
        assert bring(own, mirror, ModuleStore(), fetch=True, patience=QUICK).how == "fetched"


def test_two_modules_of_ones_own_cannot_share_a_name(mirror, tiny_tf2, tiny_hub):
    bring(Variant("mine", str(tiny_tf2)), mirror, ModuleStore(), fetch=False)
    with pytest.raises(UsageError, match="holds another module as 'mine'"):
        bring(Variant("mine", str(tiny_hub)), mirror, ModuleStore(), fetch=False)
    with pytest.raises(UsageError, match="holds another module as 'mine'"):
        bring(Variant("mine", "https://host/m.tar.gz"), mirror, ModuleStore(), fetch=True)
    same = Variant("mine", str(tiny_tf2))
    assert bring(same, mirror, ModuleStore(), fetch=False).how == "there"


@pytest.mark.parametrize(
    "name", ["mobilenet_v2_035_96/feature_vector", V2.name + "/feature_vector/3"]
)
def test_a_module_of_ones_own_cannot_pass_for_one_of_the_catalogue(mirror, tiny_tf2, name):
    with pytest.raises(UsageError, match="give your module another name"):
        bring(Variant(name, str(tiny_tf2)), mirror, ModuleStore(), fetch=False)


def test_an_older_version_inside_a_module_is_not_copied_with_it(source, mirror, tiny_tf2, tmp_path):
    shutil.copytree(tiny_tf2, tmp_path / "source/mobilenet_v2_035_96/feature_vector/2")
    bring(V2, mirror, source, fetch=False)
    assert len(list(mirror.root.rglob("saved_model.pb"))) == 1


def test_what_is_not_held_is_not_exported(mirror):
    with pytest.raises(ModuleUnavailable, match="not held on this machine"):
        bring(V2, mirror, ModuleStore(), fetch=False)
    assert not mirror.root.exists()


def test_one_run_at_a_time_writes_into_a_mirror(mirror, source):
    with only_writer(OutputFolder.at(mirror.root), create=True), pytest.raises(OutputBusy):
        bring(V2, mirror, source, fetch=False)


def test_damaged_checksums_are_refused(filled, source):
    listing = filled.root / "modules.json"
    listing.write_bytes(listing.read_bytes().replace(b"mobilenet", b"mobilenat", 1))
    with pytest.raises(ArtifactDamaged, match=r"remove .*modules\.json, and .* pull NAMES --to"):
        bring(V2, filled, source, fetch=False)
    listing.unlink()  # the cure that it names
    assert bring(V2, filled, source, fetch=False).how == "listed"
    assert findings(filled) == []


def test_checksums_cannot_point_outside_their_folder(filled, source):
    [module] = filled.checksums().modules
    for name in ("../outside", "/outside", "a/../../outside"):
        filled.write(Checksums(modules=(module.model_copy(update={"path": name}),)))
        with pytest.raises(ArtifactDamaged, match="outside its folder"):
            bring(V2, filled, source, fetch=False)


def test_an_archive_has_the_same_bytes_wherever_it_is_made_and_unpacks_to_a_mirror(
    source, tmp_path
):
    def pack_all(store: ModuleStore, archive):
        pack_modules(
            [require_held(store, one.variant) for one in held_modules(store)], archive, store
        )
        return archive

    for name in ("one.tar.gz", "two.tgz", "three.tar"):
        pack_all(source, tmp_path / name)
    assert (tmp_path / "one.tar.gz").read_bytes() == (tmp_path / "two.tgz").read_bytes()
    unpack(tmp_path / "three.tar", tmp_path / "there")
    carried = ModuleMirror(tmp_path / "there/modules")
    assert findings(carried) == []
    assert {one.variant for one in carried.checksums().modules} == {V2.name, "mine"}
    again = pack_all(ModuleStore(str(carried.root)), tmp_path / "again.tgz")
    assert again.read_bytes() == (tmp_path / "two.tgz").read_bytes()
    with pytest.raises(OutputExists, match="is there already"):
        pack_all(source, tmp_path / "one.tar.gz")


def test_held_modules_are_told_whole_and_broken(source, tmp_path):
    (tmp_path / "source/mine/variables/variables.index").unlink()
    held = {one.variant.name: one for one in held_modules(source)}
    assert set(held) == {V2.name, "mine"}
    assert held[V2.name].module.found == held["mine"].found == "mirror"
    assert held[V2.name].size > 1000
    assert "no variables.index" in held["mine"].trouble
    with pytest.raises(ModuleUnavailable, match=r"no variables\.index"):
        require_held(source, held["mine"].variant)
