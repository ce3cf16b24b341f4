import contextlib

import pytest

from index.errors import ArtifactDamaged, OutputExists
from index.manifest import EmbeddingsManifest, VariantRecord
from index.output_folder import OutputFolder
from index.publishing import (
    REPLACED,
    UNFINISHED,
    Publication,
    publish_embeddings,
    replacing,
    settle_embeddings,
)
from index.stored_file import StoredFile
from tests.conftest import contents, space


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


def test_replacing_one_variant_leaves_the_others_alone(tmp_path):
    parent = OutputFolder.at(tmp_path)
    parent.write(".replaced-variant=a/x", b"a")
    with replacing(parent, "b", overwrite=False) as folder:
        folder.write("y", b"b")
    with (
        pytest.raises(OutputExists, match="variant=a is finished"),
        replacing(parent, "a", overwrite=False),
    ):
        pass
    assert contents(parent) == {"variant=a/x": b"a", "variant=b/y": b"b"}


class Killed(Exception):
    """Stands for the end of the process."""


class Dying:
    """A filesystem that dies at its n-th change."""

    def __init__(self, filesystem, killed_at):
        self._filesystem, self._left = filesystem, killed_at

    def __getattr__(self, name):
        real = getattr(self._filesystem, name)
        if name not in ("move", "delete_dir", "delete_file", "create_dir", "open_output_stream"):
            return real

        def change(*arguments, **options):
            if self._left == 0:
                raise Killed
            self._left -= 1
            return real(*arguments, **options)

        return change


def staged(output: OutputFolder, attempt: str, name: str, content: bytes) -> StoredFile:
    """A finished part in the folder of an attempt."""
    file = StoredFile.named_by_content("part-00000", ".parquet", content)
    output.folder(UNFINISHED, attempt, "embeddings", f"variant={name}").write(file.name, content)
    return file


def manifest_of(**parts: tuple[StoredFile, ...]) -> EmbeddingsManifest:
    variants = {
        name: VariantRecord(space=space(name), engine="e", rows=1, parts=files)
        for name, files in parts.items()
    }
    return EmbeddingsManifest(
        inputs=("p",), pictures=1, failures=0, failure_files=(), variants=variants
    )


def embeddings(output: OutputFolder) -> dict[str, bytes]:
    """What a reader that goes by the manifest finds."""
    manifest = EmbeddingsManifest.read(output)
    return {
        f"{name}/{part.name}": part.read_from(output.folder("embeddings", f"variant={name}"))
        for name, record in manifest.variants.items()
        for part in record.parts
    }


@pytest.mark.parametrize("overwrite", [True, False])
@pytest.mark.parametrize("killed_at", range(40))
def test_a_publication_cut_short_anywhere_is_carried_through(tmp_path, killed_at, overwrite):
    output = OutputFolder.at(tmp_path)
    old = staged(output, "0001", "a", b"old"), staged(output, "0001", "a", b"stays")
    publish_embeddings(output, Publication(manifest=manifest_of(a=old)))
    before = embeddings(output)
    assert len(before) == 2
    output.write("index/i", b"derived")
    output.write("embeddings/variant=a/notes.txt", b"mine")
    output.write("embeddings/variant=c/part-00000.parquet", b"of no manifest")

    a, b = staged(output, "0002", "a", b"new"), staged(output, "0001", "b", b"other")
    staged(output, "0001", "a", b"never listed")
    publication = Publication(
        manifest=manifest_of(a=(old[1], a), b=(b,)), stale=("index",) if overwrite else ()
    )
    dying = OutputFolder(Dying(output.filesystem, killed_at), output.root)
    finished = False
    with contextlib.suppress(Killed):
        publish_embeddings(dying, publication)
        finished = True
    after = {f"a/{old[1].name}": b"stays", f"a/{a.name}": b"new", f"b/{b.name}": b"other"}
    assert embeddings(output) in (before, after)
    begun = finished or any(
        output.exists(f"{place}/publication.json") for place in (UNFINISHED, REPLACED)
    )
    assert settle_embeddings(output) == (publication if begun and not finished else None)
    if begun:
        left = contents(output)
        del left["manifest.json"]
        assert left == {
            "embeddings/variant=a/notes.txt": b"mine",
            **{f"embeddings/variant={name}": data for name, data in after.items()},
            **({} if overwrite else {"index/i": b"derived"}),
        }
    assert finished or killed_at < 39  # so every moment is among those tried


@pytest.mark.parametrize("damaged", ["publication.json", "0001/embeddings/variant=a/part"])
def test_a_publication_that_was_damaged_meanwhile_is_given_up(tmp_path, damaged):
    output = OutputFolder.at(tmp_path)
    part = staged(output, "0001", "a", b"rows")
    dying = OutputFolder(Dying(output.filesystem, 4), output.root)
    with pytest.raises(Killed):
        publish_embeddings(dying, Publication(manifest=manifest_of(a=(part,))))
    assert output.exists(f"{UNFINISHED}/publication.json")
    [file] = (path for path in tmp_path.glob(f"{UNFINISHED}/{damaged}*") if path.is_file())
    file.write_bytes(file.read_bytes()[:-1] + b"?")
    assert settle_embeddings(output) is None
    assert not output.exists("manifest.json")
    assert not output.exists(f"{UNFINISHED}/publication.json")
    assert output.exists(f"{UNFINISHED}/0001")


def test_a_damaged_file_of_the_same_name_is_replaced(tmp_path):
    output = OutputFolder.at(tmp_path)
    publication = Publication(manifest=manifest_of(a=(staged(output, "0001", "a", b"rows"),)))
    publish_embeddings(output, publication)
    [part] = tmp_path.glob("embeddings/variant=a/part-*")
    part.write_bytes(b"rowz")
    staged(output, "0002", "a", b"rows")
    publish_embeddings(output, publication)
    assert list(embeddings(output).values()) == [b"rows"]


def test_a_publication_without_its_parts_is_refused(tmp_path):
    output = OutputFolder.at(tmp_path)
    gone = StoredFile.named_by_content("part-00000", ".parquet", b"gone")
    with pytest.raises(ArtifactDamaged, match="1 files of embeddings/variant=a are gone"):
        publish_embeddings(output, Publication(manifest=manifest_of(a=(gone,))))
    assert not output.exists("manifest.json")


@pytest.mark.parametrize("killed_at", range(12))
def test_replacing_cut_short_anywhere_leaves_old_or_new(tmp_path, killed_at):
    parent = OutputFolder.at(tmp_path)
    with replacing(parent, "v", overwrite=False) as folder:
        folder.write("a", b"old")
    dying = OutputFolder(Dying(parent.filesystem, killed_at), parent.root)
    with contextlib.suppress(Killed), replacing(dying, "v", overwrite=True) as folder:
        folder.write("a", b"new")
    with contextlib.suppress(OutputExists), replacing(parent, "v", overwrite=False):
        raise AssertionError("neither the old nor the new one is there")
    assert contents(parent.folder("variant=v")) in ({"a": b"old"}, {"a": b"new"})
