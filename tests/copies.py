"""Pictures with known copies, and what dedup says of them."""

from pathlib import Path

import pyarrow.parquet as pq
from PIL import ImageOps

from index.duplicates_manifest import DuplicatesManifest
from index.output_folder import OutputFolder
from pipelines.command_line import main
from tests.conftest import encoded, scene

VARIANT = "v"


def embed(folder: Path, out: Path, module: Path) -> None:
    flags = ["--variants", f"{VARIANT}={module}", "--output", str(out)]
    assert main(["embed", str(folder), *flags]) == 0


def dedup(out: Path, *flags: str) -> int:
    return main(["dedup", str(out), "--overwrite", *flags])


def rows(out: Path, kind: str = "duplicates") -> list[dict]:
    place = out / kind / f"variant={VARIANT}/groups.parquet"
    return pq.ParquetFile(place).read().to_pylist()


def found(out: Path, kind: str = "duplicates") -> dict[str, set[str]]:
    """The kept picture's name -> its duplicates'."""
    groups: dict[int, list[str]] = {}
    for row in rows(out, kind):
        groups.setdefault(row["group"], []).append(Path(row["uri"]).name)
    return {names[0]: set(names[1:]) for names in groups.values()}


def manifest(out: Path, kind: str = "duplicates") -> DuplicatesManifest:
    return DuplicatesManifest.read(OutputFolder.at(out / kind / f"variant={VARIANT}"))


GROUPS = {
    "0.jpg": {"0_same.jpg", "0_small.jpg"},
    "1.jpg": {"1_gray.png"},
    "2.jpg": {"2_mirrored.jpg"},
    "3.jpg": {"3_turned.jpg"},
}


def draw_copies(folder: Path) -> None:
    """Eight scenes, of which four have copies; in two folders."""
    for name in ("train", "test"):
        (folder / "in" / name).mkdir(parents=True)
    for seed in range(8):
        (folder / "in/train" / f"{seed}.jpg").write_bytes(encoded(scene(seed), quality=92))
    made = {
        "0_same.jpg": encoded(scene(0), quality=92),
        "0_small.jpg": encoded(scene(0).resize((200, 150))),
        "1_gray.png": encoded(ImageOps.grayscale(scene(1)), "PNG"),
        "2_mirrored.jpg": encoded(ImageOps.mirror(scene(2)), quality=60),
        "3_turned.jpg": encoded(scene(3).rotate(180)),
    }
    for name, data in made.items():
        (folder / "in/test" / name).write_bytes(data)
