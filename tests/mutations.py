"""Damage done to files, the same for the same seed: what storage, networks and attackers do to them."""

from __future__ import annotations

import io
import random
from collections.abc import Iterator

import numpy as np
from PIL import Image

EXTREMES = (0, 1, 0x7F, 0xFF, 0xFFFF, 65_000, 0x7FFFFFFF, 0xFFFFFFFF)


def mutated(data: bytes, rng: random.Random) -> bytes:
    """The data with one to three kinds of damage; now and then they come to nothing."""
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        data = rng.choice(DAMAGES)(data, rng)
    return data


def _flip_bits(data: bytes, rng: random.Random) -> bytes:
    changed = bytearray(data)
    for _ in range(rng.choice((1, 1, 2, 8, 64))):
        if changed:
            changed[_place(len(changed), rng)] ^= 1 << rng.randrange(8)
    return bytes(changed)


def _cut(data: bytes, rng: random.Random) -> bytes:
    return data[: rng.randrange(len(data) + 1)]


def _write_extreme(data: bytes, rng: random.Random) -> bytes:
    """A number as a header holds it, at its largest or smallest."""
    size, order = rng.choice((1, 2, 4)), rng.choice(("big", "little"))
    number = rng.choice(EXTREMES) & ((1 << 8 * size) - 1)
    place = _place(len(data), rng)
    return data[:place] + number.to_bytes(size, order) + data[place + size :]


def _write_noise(data: bytes, rng: random.Random) -> bytes:
    place, length = _place(len(data), rng), rng.choice((1, 4, 16, 256))
    return data[:place] + rng.randbytes(length) + data[place + length :]


def _leave_out(data: bytes, rng: random.Random) -> bytes:
    place, length = _place(len(data), rng), rng.choice((1, 2, 16, 512))
    return data[:place] + data[place + length :]


def _repeat(data: bytes, rng: random.Random) -> bytes:
    place, length = _place(len(data), rng), rng.choice((1, 16, 512))
    return data[: place + length] + data[place:]


def _append(data: bytes, rng: random.Random) -> bytes:
    return data + rng.randbytes(rng.choice((1, 100, 5000)))


DAMAGES = (_flip_bits, _cut, _write_extreme, _write_noise, _leave_out, _repeat, _append)


def _place(length: int, rng: random.Random) -> int:
    """A byte; every other time one of a header or a trailer, where a file says what is in it."""
    if length == 0:
        return 0
    near = min(length, 256)
    return rng.choice(
        (rng.randrange(length), rng.randrange(near), length - 1 - rng.randrange(near))
    )


def whole_pictures() -> Iterator[tuple[str, bytes]]:
    """A small picture in every format that is read, in the ways it is written: its name, its bytes."""
    rng = np.random.default_rng(7)
    small = rng.integers(0, 255, (12, 16, 4), np.uint8)
    color = Image.fromarray(small[..., :3]).resize((96, 72), Image.Resampling.BICUBIC)
    clear = Image.fromarray(small).resize((96, 72), Image.Resampling.BICUBIC)
    palette = color.convert("P")
    gray16 = Image.fromarray(rng.integers(0, 65535, (72, 96)).astype(np.uint16))
    exif = Image.Exif()
    exif[0x0112] = 6
    frames = {"save_all": True, "append_images": [color.rotate(90), color.rotate(180)]}
    written = [
        ("plain.jpg", color, "JPEG", {}),
        ("progressive.jpg", color, "JPEG", {"progressive": True, "exif": exif}),
        ("gray.jpg", color.convert("L"), "JPEG", {}),
        ("cmyk.jpg", color.convert("CMYK"), "JPEG", {}),
        ("large.jpg", color.resize((960, 960)), "JPEG", {"quality": 60}),
        ("plain.png", color, "PNG", {}),
        ("clear.png", clear, "PNG", {}),
        ("palette.png", palette, "PNG", {"transparency": 3}),
        ("gray16.png", gray16, "PNG", {}),
        ("bits.png", color.convert("1"), "PNG", {}),
        ("plain.gif", palette, "GIF", {}),
        ("frames.gif", palette, "GIF", frames),
        ("lossy.webp", color, "WEBP", {}),
        ("lossless.webp", clear, "WEBP", {"lossless": True}),
        ("frames.webp", color, "WEBP", frames),
        ("plain.bmp", color, "BMP", {}),
        ("palette.bmp", palette, "BMP", {}),
        ("plain.tiff", color, "TIFF", {}),
        ("lzw.tiff", color, "TIFF", {"compression": "tiff_lzw"}),
        ("deflate.tiff", gray16, "TIFF", {"compression": "tiff_adobe_deflate"}),
        ("jpeg.tiff", color, "TIFF", {"compression": "jpeg"}),
        ("fax.tiff", color.convert("1"), "TIFF", {"compression": "group4"}),
        ("plain.ppm", color, "PPM", {}),
        ("plain.jp2", color, "JPEG2000", {}),
        ("plain.ico", clear, "ICO", {}),
        ("plain.avif", color, "AVIF", {}),
    ]
    for name, image, format, options in written:
        if format in Image.SAVE:
            stream = io.BytesIO()
            image.save(stream, format, **options)
            yield name, stream.getvalue()


def mutated_pictures(count: int, seed: int) -> Iterator[tuple[str, bytes]]:
    """So many damaged pictures, the formats in turn: a name that says which, and the bytes."""
    pictures = list(whole_pictures())
    rng = random.Random(seed)
    for number in range(count):
        name, data = pictures[number % len(pictures)]
        yield f"{number:06}_{name}", mutated(data, rng)
