"""Pictures drawn by the program: varied scenes, with planted duplicates and broken files."""

from __future__ import annotations

import colorsys
import math
import random
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from PIL import Image, ImageDraw, ImageEnhance

SCENES: Final = 120
SIZE: Final = (400, 300)
SUPERSAMPLING: Final = 2

Color = tuple[int, int, int]


@dataclass(frozen=True)
class DrawnPictures:
    """What was drawn, and what a search for duplicates has to find in it.

    Attributes:
        folder: where the files are.
        planted: the copies of a scene, by the scene's file name.
        exact: the names of the copies that are the very same bytes.
        broken: the names of the files that cannot be used.
    """

    folder: Path
    planted: dict[str, tuple[str, ...]]
    exact: frozenset[str]
    broken: tuple[str, ...]


def draw_pictures(folder: Path, seed: int = 7) -> DrawnPictures:
    """Draw SCENES scenes, plant copies of twelve of them, and add five broken files."""
    folder.mkdir(parents=True, exist_ok=True)
    names = [f"scene_{number:03}.jpg" for number in range(SCENES)]
    for number, name in enumerate(names):
        draw_scene(random.Random(f"{seed}/{number}")).save(folder / name, quality=92)
    planted: dict[str, list[str]] = {}
    for name in names[:5]:
        copy = f"copy_of_{name}"
        shutil.copyfile(folder / name, folder / copy)
        planted.setdefault(name, []).append(copy)
    exact = frozenset(copy for copies in planted.values() for copy in copies)
    for name in names[3:12]:
        scene = Image.open(folder / name)
        smaller = f"smaller_{name}"
        scene.resize((300, 225), Image.Resampling.LANCZOS).save(folder / smaller, quality=80)
        planted.setdefault(name, []).append(smaller)
    for name in names[6:12]:
        edited = f"brighter_{name.removesuffix('.jpg')}.png"
        ImageEnhance.Brightness(Image.open(folder / name)).enhance(1.06).save(folder / edited)
        planted.setdefault(name, []).append(edited)
    return DrawnPictures(
        folder,
        {name: tuple(copies) for name, copies in planted.items()},
        exact,
        _break_files(folder, names[20]),
    )


def _break_files(folder: Path, source: str) -> tuple[str, ...]:
    whole = (folder / source).read_bytes()
    broken = {
        "broken_empty.jpg": b"",
        "broken_truncated.jpg": whole[: len(whole) // 2],
        "broken_text.jpg": b"This file was named .jpg by mistake.\n",
        "broken_header.png": b"\x89PNG\r\n\x1a\n" + bytes(64),
        "broken_bomb.ppm": b"P6 65000 65000 255\n",
    }
    for name, data in broken.items():
        (folder / name).write_bytes(data)
    return tuple(sorted(broken))


def draw_scene(rng: random.Random) -> Image.Image:
    """One scene: a sky, land or sea, and things standing in it; [300, 400] pixels."""
    width, height = (side * SUPERSAMPLING for side in SIZE)
    image = Image.new("RGB", (width, height))
    draw = ImageDraw.Draw(image)
    hue = rng.random()
    _sky(draw, width, height, _color(hue, 0.55, 0.95), _color(hue + 0.1, 0.25, 1.0))
    horizon = int(height * rng.uniform(0.45, 0.75))
    _sun(draw, rng, width, horizon)
    painters = (_hills, _sea, _city, _forest, _balloons, _tiles, _flowers)
    for painter in rng.sample(painters, 2):
        painter(draw, rng, width, height, horizon)
    image = image.resize(SIZE, Image.Resampling.LANCZOS)
    grain = np.random.default_rng(rng.getrandbits(32)).normal(0, 2.5, (*SIZE[::-1], 1))
    return Image.fromarray(np.clip(np.asarray(image) + grain, 0, 255).astype(np.uint8))


def _color(hue: float, saturation: float, value: float) -> Color:
    red, green, blue = colorsys.hsv_to_rgb(hue % 1, saturation, value)
    return int(red * 255), int(green * 255), int(blue * 255)


def _any_color(rng: random.Random) -> Color:
    return _color(rng.random(), rng.uniform(0.3, 0.95), rng.uniform(0.35, 0.95))


def _sky(draw: ImageDraw.ImageDraw, width: int, height: int, top: Color, bottom: Color) -> None:
    for y in range(height):
        share = y / height
        mixed = [int(a + (b - a) * share) for a, b in zip(top, bottom, strict=True)]
        draw.line((0, y, width, y), fill=(mixed[0], mixed[1], mixed[2]))


def _sun(draw: ImageDraw.ImageDraw, rng: random.Random, width: int, horizon: int) -> None:
    x, y, radius = rng.uniform(0, width), rng.uniform(0, horizon), rng.uniform(20, 90)
    draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=_color(0.14, 0.4, 1.0))


def _hills(
    draw: ImageDraw.ImageDraw, rng: random.Random, width: int, height: int, horizon: int
) -> None:
    for layer in range(rng.randint(2, 4)):
        base, wave = horizon + layer * 60, rng.uniform(60, 220)
        phase, lift = rng.uniform(0, 6), rng.uniform(20, 90)
        ridge = [(x, base - lift * math.sin(x / wave + phase)) for x in range(0, width + 8, 8)]
        draw.polygon([*ridge, (width, height), (0, height)], fill=_any_color(rng))


def _sea(
    draw: ImageDraw.ImageDraw, rng: random.Random, width: int, height: int, horizon: int
) -> None:
    draw.rectangle((0, horizon, width, height), fill=_color(rng.uniform(0.5, 0.65), 0.7, 0.7))
    for _ in range(60):
        x, y = rng.uniform(0, width), rng.uniform(horizon, height)
        draw.line((x, y, x + rng.uniform(20, 120), y), fill=(235, 245, 250), width=3)


def _city(
    draw: ImageDraw.ImageDraw, rng: random.Random, width: int, height: int, horizon: int
) -> None:
    x = 0.0
    while x < width:
        wide, tall = rng.uniform(40, 120), rng.uniform(60, horizon * 0.9)
        draw.rectangle((x, horizon - tall + 80, x + wide, height), fill=_any_color(rng))
        lit = _color(0.13, 0.5, 1.0)
        for row in range(int(horizon - tall + 95), height - 20, 34):
            for column in range(int(x + 8), int(x + wide - 14), 24):
                if rng.random() < 0.5:
                    draw.rectangle((column, row, column + 11, row + 17), fill=lit)
        x += wide + rng.uniform(0, 20)


def _forest(
    draw: ImageDraw.ImageDraw, rng: random.Random, width: int, height: int, horizon: int
) -> None:
    for _ in range(rng.randint(15, 45)):
        x, foot = rng.uniform(0, width), rng.uniform(horizon, height)
        tall = rng.uniform(60, 200)
        leaves = _color(rng.uniform(0.2, 0.45), 0.7, rng.uniform(0.25, 0.7))
        draw.rectangle((x - 5, foot - 20, x + 5, foot), fill=(90, 60, 40))
        draw.polygon(
            [(x - tall / 3, foot - 20), (x + tall / 3, foot - 20), (x, foot - tall)], fill=leaves
        )


def _balloons(
    draw: ImageDraw.ImageDraw, rng: random.Random, width: int, height: int, horizon: int
) -> None:
    for _ in range(rng.randint(4, 14)):
        x, y, radius = rng.uniform(0, width), rng.uniform(0, height), rng.uniform(20, 80)
        draw.line((x, y, x, y + radius * 2.4), fill=(60, 60, 60), width=2)
        draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=_any_color(rng))


def _tiles(
    draw: ImageDraw.ImageDraw, rng: random.Random, width: int, height: int, horizon: int
) -> None:
    step = rng.randint(30, 90)
    colors = [_any_color(rng) for _ in range(3)]
    for row, y in enumerate(range(horizon, height, step)):
        for column, x in enumerate(range(0, width, step)):
            draw.rectangle((x, y, x + step, y + step), fill=colors[(row + column) % 3])


def _flowers(
    draw: ImageDraw.ImageDraw, rng: random.Random, width: int, height: int, horizon: int
) -> None:
    petals, heart = _any_color(rng), _any_color(rng)
    for _ in range(rng.randint(8, 30)):
        x, y, radius = rng.uniform(0, width), rng.uniform(horizon, height), rng.uniform(10, 40)
        for turn in range(6):
            angle = turn * math.pi / 3
            px, py = x + radius * math.cos(angle), y + radius * math.sin(angle)
            draw.ellipse((px - radius, py - radius, px + radius, py + radius), fill=petals)
        draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=heart)
