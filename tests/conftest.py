import io
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image, ImageDraw

from index.embedding_dataset import PICTURE_SCHEMA, EmbeddingDataset, encode_part
from index.manifest import EmbeddingsManifest, VariantRecord
from index.output_folder import EMBEDDINGS, OutputFolder, variant_partition
from index.stored_file import StoredFile
from index.vector_space import VectorSpace

SHARED = Path(__file__).resolve().parents[2] / "shared"
TINY_SIZE, TINY_WIDTH = 32, 24


@pytest.fixture(autouse=True, scope="session")
def own_cache_of_the_tests(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Nothing is read from, or left in, the cache of the user who runs the tests."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield


def shared(name: str) -> Path:
    """A folder of real modules, photographs or reference vectors; the test is skipped without it."""
    folder = SHARED / name
    if not folder.is_dir():
        pytest.skip(f"there is no shared/{name} beside the checkout")
    return folder


def contents(folder: OutputFolder) -> dict[str, bytes]:
    """The files below a folder, by their names in it."""
    root = Path(folder.root)
    files = (path for path in root.rglob("*") if path.is_file())
    return {str(path.relative_to(root)): path.read_bytes() for path in files}


def picture(seed: int, size: tuple[int, int] = (80, 60), format: str = "JPEG") -> bytes:
    """The bytes of a picture: colored blobs, different for every seed; size is width, height."""
    rng = np.random.default_rng(seed)
    small = rng.integers(0, 255, (4, 5, 3), np.uint8)
    encoded = io.BytesIO()
    Image.fromarray(small).resize(size, Image.Resampling.BICUBIC).save(encoded, format)
    return encoded.getvalue()


def broken_files() -> dict[str, bytes]:
    """Files that cannot be used, by name."""
    whole = picture(1, (200, 150))
    return {
        "empty.jpg": b"",
        "text.jpg": b"not a picture at all\n",
        "truncated.jpg": whole[: len(whole) // 2],
        "header.png": b"\x89PNG\r\n\x1a\n" + bytes(64),
        "bomb.ppm": b"P6 65000 65000 255\n",
    }


def space(variant: str = "tiny", width: int = TINY_WIDTH, **changes: object) -> VectorSpace:
    facts = {
        "variant": variant,
        "handle": f"/modules/{variant}",
        "fingerprint": "f" * 64,
        "signature": "default",
        "recipe": "bilinear-aa-1",
        "input_size": (TINY_SIZE, TINY_SIZE),
        "num_features": width,
    }
    return VectorSpace(**{**facts, **changes})


def picture_table(count: int, **columns: list) -> pa.Table:
    """PICTURE_SCHEMA: pictures /p/000.jpg and so on, with distinct contents; columns override."""
    facts = {
        "uri": [f"/p/{row:03}.jpg" for row in range(count)],
        "content_hash": [f"{row:064x}" for row in range(count)],
        "bytes": [1000 + row for row in range(count)],
        "modified": [1_700_000_000_000_000 + row for row in range(count)],
        "width": [80] * count,
        "height": [60] * count,
        "format": ["JPEG"] * count,
    }
    return pa.table({**facts, **columns}, schema=PICTURE_SCHEMA)


def write_dataset(
    folder: Path,
    vectors: np.ndarray,
    *,
    variant: str = "tiny",
    part_rows: int = 100,
    **columns: list,
) -> EmbeddingDataset:
    """A finished output with these vectors, as a run of embed would leave it."""
    output = OutputFolder.at(folder)
    meaning = space(variant, vectors.shape[1])
    table = picture_table(len(vectors), **columns)
    parts = []
    for number, start in enumerate(range(0, len(vectors), part_rows)):
        rows = slice(start, start + part_rows)
        piece = table.slice(start, part_rows)
        data = encode_part(piece, vectors[rows], meaning)
        part = StoredFile.of(f"part-{number:05}.parquet", data, rows=piece.num_rows)
        output.folder(EMBEDDINGS, variant_partition(variant)).write(part.name, data)
        parts.append(part)
    record = VariantRecord(
        space=meaning, engine="tensorflow", rows=len(vectors), parts=tuple(parts)
    )
    EmbeddingsManifest(
        inputs=("/p/*.jpg",),
        pictures=len(vectors),
        failures=0,
        failure_files=(),
        variants={variant: record},
    ).write(output)
    return EmbeddingDataset.open(str(folder), variant)


def random_vectors(count: int, width: int = TINY_WIDTH, seed: int = 0) -> np.ndarray:
    """float32 [count, width], as sparse and positive as a network's features."""
    drawn = np.random.default_rng(seed).normal(size=(count, width))
    return np.maximum(drawn, 0).astype(np.float32) + np.float32(0.01)


@pytest.fixture(scope="session")
def tiny_tf2(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from tests.authored_modules import save_tf2_module

    return save_tf2_module(tmp_path_factory.mktemp("tf2") / "tiny", TINY_SIZE, TINY_WIDTH)


@pytest.fixture(scope="session")
def tiny_hub(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from tests.authored_modules import save_hub_module

    return save_hub_module(tmp_path_factory.mktemp("tf1") / "tiny", TINY_SIZE, TINY_WIDTH)


@pytest.fixture(scope="session")
def fussy_module(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from tests.authored_modules import save_fussy_module

    return save_fussy_module(tmp_path_factory.mktemp("fussy") / "tiny", TINY_SIZE, TINY_WIDTH)


@pytest.fixture(scope="session")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve pictures in two folders, one of them twice, and five files that cannot be used."""
    folder = tmp_path_factory.mktemp("photos")
    (folder / "more").mkdir()
    for seed in range(11):
        place = folder / "more" if seed % 3 == 0 else folder
        (place / f"{seed:02}.jpg").write_bytes(picture(seed))
    (folder / "again_05.jpg").write_bytes(picture(5))
    for name, data in broken_files().items():
        (folder / name).write_bytes(data)
    return folder


def gradient(width=40, height=30) -> Image.Image:
    ramp = np.zeros((height, width, 3), np.uint8)
    ramp[..., 0] = np.linspace(0, 255, width)
    ramp[..., 1] = np.linspace(0, 255, height)[:, None]
    ramp[..., 2] = 90
    return Image.fromarray(ramp)


def rgbx(pixels) -> np.ndarray:
    """RGB pixels as the decoder gives them: uint8 [height, width, 4]."""
    rgb = np.asarray(pixels)
    unused = np.full((*rgb.shape[:2], 1), 77, np.uint8)
    return np.concatenate([rgb, unused], axis=2)


def scene(seed: int, size: tuple[int, int] = (320, 240)) -> Image.Image:
    """A picture with things to recognize: shapes and strokes, others for every seed; width, height."""
    rng = np.random.default_rng(seed)
    small = rng.integers(60, 200, (6, 8, 3), np.uint8)
    image = Image.fromarray(small).resize(size, Image.Resampling.BICUBIC)
    draw = ImageDraw.Draw(image)
    for _ in range(60):
        x, y = rng.uniform(-10, size[0]), rng.uniform(-10, size[1])
        wide, high = rng.uniform(6, 46, 2)
        color = tuple(int(one) for one in rng.integers(0, 256, 3))
        shape = (draw.ellipse, draw.rectangle, draw.line)[int(rng.integers(3))]
        shape((x, y, x + wide, y + high), fill=color, width=int(rng.integers(2, 6)))
    return image


def encoded(image: Image.Image, format: str = "JPEG", **how: int) -> bytes:
    stream = io.BytesIO()
    image.save(stream, format, **how)
    return stream.getvalue()
