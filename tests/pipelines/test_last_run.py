"""What a manifest tells of the last run of embed."""

import hashlib
import json
import shutil
from pathlib import Path

from index.manifest import EmbeddingsManifest, RunRecord
from index.output_folder import OutputFolder
from tests.conftest import picture
from tests.pipelines.conftest import embed


def last_run(out: Path) -> RunRecord | None:
    return EmbeddingsManifest.read(OutputFolder.at(out)).last_run


def test_an_update_tells_what_it_read_and_one_that_read_nothing_leaves_what_was_told(
    photos, tiny_tf2, tmp_path
):
    pictures, out, flags = tmp_path / "in", tmp_path / "out", ("--max-failure-rate", "1")
    shutil.copytree(photos, pictures)
    assert embed(pictures, out, *flags, variants=f"v={tiny_tf2}") == 0
    first = last_run(out)
    assert first.pictures == 17
    assert embed(pictures, out, *flags, "--update", variants=f"v={tiny_tf2}") == 0
    assert last_run(out) == first
    (pictures / "new.jpg").write_bytes(picture(99))
    assert embed(pictures, out, *flags, "--update", variants=f"v={tiny_tf2}") == 0
    assert (last_run(out).pictures, last_run(out).variants) == (1, ("v",))
    assert embed(pictures, out, *flags, "--retry-failures", variants=f"v={tiny_tf2}") == 0
    assert last_run(out).pictures == 5


def test_a_manifest_of_before_reads_and_tells_nothing(out, tmp_path):
    manifest = EmbeddingsManifest.read(OutputFolder.at(out))
    old = json.loads(manifest.model_dump_json(exclude={"last_run"}))
    assert "last_run" not in old
    rest = json.dumps(old, indent=2).removeprefix("{\n").encode()
    head = f'{{ "sha256": "{hashlib.sha256(rest).hexdigest()}",\n'.encode()
    (tmp_path / "manifest.json").write_bytes(head + rest)
    assert last_run(tmp_path) is None
