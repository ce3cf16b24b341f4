"""Any folder of photographs -> a set of pictures whose copies are known: 30 transformations, seeded."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from io import BytesIO
from pathlib import Path
from types import MappingProxyType
from typing import Final

import numpy as np
from PIL import Image, ImageDraw, ImageEnhance, ImageFilter, ImageFont, ImageOps

from index.errors import UsageError

SIDE: Final = 2000  # a longer photograph is scaled down first, as a JPEG of quality 95
TRUTH: Final = "truth.json"
EXACT: Final = "same bytes"

Random = np.random.Generator
Drawn = Callable[[Image.Image, Image.Image, Random], Image.Image]


@dataclass(frozen=True)
class CopySetPicture:
    """A picture of a set: its file, the photograph it was made from, and how.

    Attributes:
        name: of its file.
        photograph: a number; pictures with the same number are copies of each other.
        transformation: None for the photograph itself.
    """

    name: str
    photograph: int
    transformation: str | None


def make_copy_set(
    source: Path, folder: Path, *, originals: int, copies: int, distractors: int, seed: int = 0
) -> list[CopySetPicture]:
    """Write pictures into `folder`, and into truth.json what is a copy of what.

    Args:
        source: photographs, in any subfolders; the first ones of a seeded order are taken. Where there
            are too few, originals and distractors become fewer in proportion.
        folder: to make.
        originals: photographs that get copies.
        copies: of each, each by another transformation; one in forty instead by copying the file.
        distractors: photographs without copies.
        seed: of everything that is drawn.
    """
    photographs = [path for path in sorted(source.rglob("*")) if _is_photograph(path)]
    if len(photographs) < 3:
        raise UsageError(
            f"{source} holds {len(photographs)} photographs; at least three are needed"
        )
    random = np.random.default_rng(seed)
    drawn = [photographs[place] for place in random.permutation(len(photographs))]
    share = min(1.0, len(drawn) / (originals + distractors))
    originals = max(1, int(originals * share)) if originals else 0
    drawn = drawn[: originals + int(distractors * share)]
    folder.mkdir(parents=True)
    pictures = []
    deck: list[str] = []
    for number, path in enumerate(drawn):
        name = f"{number:05}.jpg"
        _store_photograph(path, folder / name)
        pictures.append(CopySetPicture(name, number, None))
        if number >= originals:
            continue
        with Image.open(folder / name) as image:
            photograph = image.convert("RGB")
        other = drawn[(number + 1 + int(random.integers(len(drawn) - 1))) % len(drawn)]
        for copy in range(copies):
            if not deck:
                deck = [str(one) for one in random.permutation(sorted(TRANSFORMATIONS))]
            transformation = EXACT if (number * copies + copy) % 40 == 39 else deck.pop()
            suffix = {"as PNG": ".png", "as WebP": ".webp"}.get(transformation, ".jpg")
            target = folder / f"{number:05}_{copy}{suffix}"
            if transformation == EXACT:
                shutil.copyfile(folder / name, target)
            else:
                with Image.open(other) as image:
                    background = ImageOps.exif_transpose(image).convert("RGB")
                made = TRANSFORMATIONS[transformation](photograph, background, random)
                _store(made, target, transformation)
            pictures.append(CopySetPicture(target.name, number, transformation))
    (folder.parent / TRUTH).write_text(json.dumps([asdict(one) for one in pictures], indent=1))
    return pictures


def _is_photograph(path: Path) -> bool:
    if not path.is_file() or path.suffix.lower() not in (".jpg", ".jpeg", ".png", ".webp"):
        return False
    try:
        with Image.open(path) as image:
            image.load()
            return min(image.size) >= 64
    except (OSError, ValueError):
        return False


def _store_photograph(path: Path, target: Path) -> None:
    with Image.open(path) as image:
        if image.format == "JPEG" and max(image.size) <= SIDE:
            shutil.copyfile(path, target)
            return
        upright = ImageOps.exif_transpose(image).convert("RGB")
    upright.thumbnail((SIDE, SIDE))
    upright.save(target, quality=95)


def _store(image: Image.Image, target: Path, transformation: str) -> None:
    if target.suffix == ".png":
        image.save(target)
    elif target.suffix == ".webp":
        image.save(target, quality=80)
    else:
        image.save(target, quality=_QUALITIES.get(transformation, 90))


_QUALITIES: Final = MappingProxyType(
    {f"JPEG quality {quality}": quality for quality in (90, 50, 20)}
)


def _as_it_is(image: Image.Image, _background: Image.Image, _random: Random) -> Image.Image:
    return image


def _resized(factor: float) -> Drawn:
    return lambda image, _b, _r: image.resize(
        (max(8, round(image.width * factor)), max(8, round(image.height * factor))),
        Image.Resampling.LANCZOS,
    )


def _cropped(share: float, *, at: float = 0.5) -> Drawn:
    """A crop of `share` of each side; `at` 0.5 is the center, 0 the upper left corner."""

    def crop(image: Image.Image, _background: Image.Image, _random: Random) -> Image.Image:
        width, height = round(image.width * share), round(image.height * share)
        left, top = round((image.width - width) * at), round((image.height - height) * at)
        return image.crop((left, top, left + width, top + height))

    return crop


def _rotated(degrees: float) -> Drawn:
    return lambda image, _b, _r: image.rotate(
        degrees, Image.Resampling.BICUBIC, expand=degrees % 180 == 90
    )


def _enhanced(
    kind: Callable[[Image.Image], ImageEnhance._Enhance], low: float, high: float
) -> Drawn:
    """Weaker or stronger, one or the other."""
    return lambda image, _b, random: kind(image).enhance(float(random.choice([low, high])))


def _gamma(image: Image.Image, _background: Image.Image, random: Random) -> Image.Image:
    gamma = float(random.choice([0.6, 1.7]))
    return image.point([round(255 * (value / 255) ** gamma) for value in range(256)] * 3)


def _hue(image: Image.Image, _background: Image.Image, random: Random) -> Image.Image:
    hue, saturation, value = image.convert("HSV").split()
    shift = int(random.choice([-25, 25]))  # of 256: 35 degrees
    return Image.merge(
        "HSV", (hue.point([(one + shift) % 256 for one in range(256)]), saturation, value)
    ).convert("RGB")


def _noise(image: Image.Image, _background: Image.Image, random: Random) -> Image.Image:
    noisy = np.asarray(image) + random.normal(0, 15, (image.height, image.width, 3))
    return Image.fromarray(np.clip(noisy, 0, 255).astype(np.uint8))


def _text(image: Image.Image, _background: Image.Image, random: Random) -> Image.Image:
    written = image.copy()
    draw = ImageDraw.Draw(written)
    font = ImageFont.load_default(size=max(10, image.height // 9))
    place = (image.width * 0.05, image.height * float(random.uniform(0.1, 0.8)))
    draw.text(place, "SAMPLE PHOTO 2026", "white", font, stroke_width=2, stroke_fill="black")
    return written


def _logo(image: Image.Image, _background: Image.Image, _random: Random) -> Image.Image:
    marked = image.copy()
    side = min(image.size) // 5
    right, bottom = image.width - side // 4, image.height - side // 4
    draw = ImageDraw.Draw(marked)
    draw.ellipse((right - side, bottom - side, right, bottom), fill=(200, 30, 40))
    third = side // 3
    draw.rectangle((right - 2 * third, bottom - 2 * third, right - third, bottom - third), "white")
    return marked


def _border(image: Image.Image, _background: Image.Image, random: Random) -> Image.Image:
    color = tuple(int(one) for one in random.integers(0, 256, 3))
    return ImageOps.expand(image, max(4, min(image.size) // 14), color)


def _letterbox(image: Image.Image, _background: Image.Image, _random: Random) -> Image.Image:
    side = max(image.width, round(image.height * 4 / 3))
    page = Image.new(
        "RGB", (side, round(side * 4 / 3)) if image.width >= image.height else (2 * side, side)
    )
    page.paste(image, ((page.width - image.width) // 2, (page.height - image.height) // 2))
    return page


def _stretched(image: Image.Image, _background: Image.Image, random: Random) -> Image.Image:
    factor = float(random.choice([0.75, 1.33]))
    return image.resize((round(image.width * factor), image.height), Image.Resampling.BICUBIC)


def _screenshot(image: Image.Image, _background: Image.Image, random: Random) -> Image.Image:
    width, height = 540, 1170
    dark = bool(random.integers(2))
    page = Image.new("RGB", (width, height), (18, 18, 18) if dark else (250, 250, 250))
    shown = ImageOps.contain(image, (width, height * 7 // 10), Image.Resampling.BICUBIC)
    top = (height - shown.height) // 2
    page.paste(shown, ((width - shown.width) // 2, top))
    draw = ImageDraw.Draw(page)
    ink = "white" if dark else "black"
    draw.text((24, 14), "09:41", ink, ImageFont.load_default(size=24))
    draw.text((width - 96, 14), "5G 83%", ink, ImageFont.load_default(size=22))
    draw.ellipse((20, 70, 68, 118), fill=(120, 150, 190))
    draw.text((84, 80), "someone.somewhere", ink, ImageFont.load_default(size=24))
    for place in range(3):
        left, low = 24 + place * 64, height - 110
        draw.ellipse((left, low, left + 40, low + 40), outline=ink, width=4)
    draw.text((24, height - 52), "1,204 likes", ink, ImageFont.load_default(size=22))
    return page


def _pasted(image: Image.Image, background: Image.Image, random: Random) -> Image.Image:
    """At 60% of each side, on another photograph."""
    page = ImageOps.fit(background, image.size)
    part = image.resize((round(image.width * 0.6), round(image.height * 0.6)))
    left = int(random.integers(page.width - part.width + 1))
    top = int(random.integers(page.height - part.height + 1))
    page.paste(part, (left, top))
    return page


def _through_jpeg(quality: int) -> Drawn:
    def pressed(image: Image.Image, _background: Image.Image, _random: Random) -> Image.Image:
        stream = BytesIO()
        image.save(stream, "JPEG", quality=quality)
        return Image.open(stream).convert("RGB")

    return pressed


TRANSFORMATIONS: Final[Mapping[str, Drawn]] = MappingProxyType(
    {
        **dict.fromkeys(_QUALITIES, _as_it_is),
        "resize 0.5": _resized(0.5),
        "resize 0.25": _resized(0.25),
        "crop 90%": _cropped(0.9),
        "crop 80%": _cropped(0.8),
        "crop 60%": _cropped(0.6),
        "off-center crop 80%": _cropped(0.8, at=0.1),
        "horizontal flip": lambda image, _b, _r: ImageOps.mirror(image),
        "rotation 5": _rotated(5),
        "rotation 90": _rotated(90),
        "rotation 180": _rotated(180),
        "brightness": _enhanced(ImageEnhance.Brightness, 0.6, 1.5),
        "contrast": _enhanced(ImageEnhance.Contrast, 0.6, 1.6),
        "gamma": _gamma,
        "saturation": _enhanced(ImageEnhance.Color, 0.3, 2.0),
        "hue": _hue,
        "grayscale": lambda image, _b, _r: ImageOps.grayscale(image).convert("RGB"),
        "blur": lambda image, _b, _r: image.filter(ImageFilter.GaussianBlur(max(image.size) / 200)),
        "noise": _noise,
        "text": _text,
        "logo": _logo,
        "border": _border,
        "letterbox": _letterbox,
        "aspect change": _stretched,
        "as PNG": _as_it_is,
        "as WebP": _as_it_is,
        "phone screenshot": _screenshot,
        "pasted at 60%": _pasted,
    }
)
