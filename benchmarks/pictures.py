"""The pictures and the modules that a benchmark runs on."""

from __future__ import annotations

import os
from itertools import islice
from pathlib import Path

import numpy as np
from PIL import Image

from index.errors import UsageError
from pipelines.demo_module import save_untrained_module
from transforms.decoding import decode_picture
from transforms.module_store import ModuleStore
from transforms.pixels import LARGEST_USUAL_TARGET, prepare_picture
from transforms.unreadable_picture import UnreadablePicture
from transforms.variants import Variant, parse_variants

CALIBRATION_PICTURES = 16


def gather_pictures(source: Path, count: int, folder: Path, megapixels: float | None) -> list[Path]:
    """`count` JPEGs of a folder, each under names of its own; repeated where there are fewer.

    What cannot be decoded is passed over: the others have no place for failures.

    Args:
        source: searched with its subfolders.
        count: how many to give.
        folder: where to put links to them, or enlarged copies.
        megapixels: enlarge every picture to this many millions of pixels; None to take them as
            they are.
    """
    candidates = (path for path in sorted(source.rglob("*")) if _is_jpeg(path))
    found = list(islice((path for path in candidates if _can_be_decoded(path)), count))
    if not found:
        raise UsageError(
            f"{source} holds no sound JPEG; the loop that this is compared with reads no other"
        )
    folder.mkdir()
    copies: dict[Path, Path] = {}
    gathered = []
    for number in range(count):
        original = found[number % len(found)]
        if megapixels is not None and original not in copies:
            copies[original] = folder.parent / f"enlarged_{len(copies):05}.jpg"
            _enlarge(original, copies[original], megapixels)
        link = folder / f"{number:06}.jpg"
        os.symlink(copies.get(original, original).resolve(), link)
        gathered.append(link)
    return gathered


def _is_jpeg(path: Path) -> bool:
    if not path.is_file():
        return False
    with path.open("rb") as stream:
        return stream.read(3) == b"\xff\xd8\xff"


def _can_be_decoded(path: Path) -> bool:
    try:
        decode_picture(path.read_bytes(), LARGEST_USUAL_TARGET)
    except UnreadablePicture:
        return False
    return True


def _enlarge(original: Path, copy: Path, megapixels: float) -> None:
    with Image.open(original) as image:
        factor = (megapixels * 1e6 / (image.width * image.height)) ** 0.5
        size = (round(image.width * factor), round(image.height * factor))
        large = image.convert("RGB").resize(size, Image.Resampling.BICUBIC)
    # Sensor noise: a smooth picture would be no more than a small one to decode.
    noise = np.random.default_rng(0).normal(0, 4, (large.height, large.width, 1))
    noisy = np.clip(np.asarray(large) + noise, 0, 255).astype(np.uint8)
    Image.fromarray(noisy).save(copy, quality=90)


def parse_or_author(text: str, modules: str | None, scratch: Path, pictures: list[Path]) -> str:
    """Variants as `--variants` takes them, in which those without a module have one of their own.

    A catalogue variant that this machine does not hold (nothing is fetched) gets a MobileNet V2 of its
    size and width with untrained weights: as fast as the real one, with vectors that mean nothing.
    """
    named = []
    for variant in parse_variants(text):
        if ModuleStore(modules).find(variant) is not None:
            is_own = variant.family == "user's own"
            named.append(f"{variant.name}={variant.handle}" if is_own else variant.name)
            continue
        folder = scratch / "modules" / variant.name
        if not folder.exists():
            _author(variant, folder, pictures)
        named.append(f"untrained_{variant.name}={folder}")
    return ",".join(named)


def _author(variant: Variant, folder: Path, pictures: list[Path]) -> None:
    if variant.family != "MobileNet V2" or variant.input_size is None or variant.output == "logits":
        raise UsageError(
            f"there is no module for {variant.name}; give one with --modules or name=path"
        )
    size = variant.input_size
    inputs = [
        prepare_picture(path.read_bytes(), [size]).inputs[size]
        for path in pictures[:CALIBRATION_PICTURES]
    ]
    save_untrained_module(
        folder, np.stack(inputs), depth_multiplier=variant.depth_multiplier or 1.0
    )
