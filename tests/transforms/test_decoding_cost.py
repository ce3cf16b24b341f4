"""Small files that ask much of a decoder: seconds, or gigabytes, if they were let through."""

import io
import random
import struct
import time
import zlib

import numpy as np
import pytest
from PIL import Image, PngImagePlugin

from tests.conftest import gradient, shared
from tests.mutations import whole_pictures
from transforms.decoding import decode_picture
from transforms.decoding_cost import MAX_SCANS, jpeg_scans, refuse_costly
from transforms.unreadable_picture import UnreadablePicture


def jpeg(**options) -> bytes:
    stream = io.BytesIO()
    gradient(64, 48).save(stream, "JPEG", **options)
    return stream.getvalue()


def many_scans(count: int, **options) -> bytes:
    """A JPEG with its last scan many times over."""
    data = jpeg(**options)
    last = data[data.rindex(b"\xff\xda") : -2]
    return data[:-2] + last * count + data[-2:]


def tag_bomb(tags: int, size: int) -> bytes:
    """A TIFF directory whose tags all tell of the same bytes."""
    entries = b"".join(struct.pack("<HHLL", 40_000 + n, 7, size, 0) for n in range(tags))
    directory = struct.pack("<H", tags) + entries + b"\0\0\0\0"
    return b"II*\0\x08\0\0\0" + directory + bytes(max(0, size - len(directory)))


def png_chunk(kind: bytes, payload: bytes) -> bytes:
    checksum = struct.pack(">I", zlib.crc32(kind + payload))
    return struct.pack(">I", len(payload)) + kind + payload + checksum


def png(width: int, height: int, *chunks: bytes) -> bytes:
    header = png_chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))
    pixels = png_chunk(b"IDAT", zlib.compress(bytes((width + 1) * height)))
    end = png_chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + header + b"".join(chunks) + pixels + end


def exif_segment(tiff: bytes) -> bytes:
    payload = b"Exif\0\0" + tiff
    return b"\xff\xe1" + struct.pack(">H", len(payload) + 2) + payload


def tiled(offsets: int) -> bytes:
    tags = [(256, 1500), (257, 1500), (258, 8), (262, 1), (277, 1), (322, 1), (323, 1)]
    entries = [struct.pack("<HHLL", tag, 4, 1, value) for tag, value in tags]
    entries.append(struct.pack("<HHLL", 324, 4, offsets, 200))
    return b"II*\0\x08\0\0\0" + struct.pack("<H", len(entries)) + b"".join(entries) + bytes(400)


def bmp_rle(width: int, height: int) -> bytes:
    header = struct.pack("<IiiHHIIiiII", 40, width, height, 1, 8, 1, 0, 0, 0, 0, 0)
    return b"BM" + struct.pack("<IHHI", 1078, 0, 0, 1078) + header + bytes(1024) + b"\0\1"


def icon(picture: bytes) -> bytes:
    place = struct.pack("<BBBBHHII", 16, 16, 0, 0, 1, 32, len(picture), 22)
    return struct.pack("<HHH", 0, 1, 1) + place + picture


def gif(comment: bytes) -> bytes:
    stream = io.BytesIO()
    gradient(16, 12).convert("P").save(stream, "GIF")
    data = stream.getvalue()
    place = 13 + (3 << ((data[10] & 7) + 1))
    return data[:place] + comment + data[place:]


COSTLY = {
    "scans of a progressive JPEG": many_scans(MAX_SCANS, progressive=True),
    "scans of a plain JPEG": many_scans(MAX_SCANS),
    "an end within a comment": many_scans(MAX_SCANS).replace(
        b"\xff\xda", b"\xff\xfe\0\x06\xff\xd9\xff\xd9\xff\xda", 2
    ),
    "tags of a JPEG": jpeg()[:2] + exif_segment(tag_bomb(1000, 50_000)) + jpeg()[2:],
    "tags of a PNG": png(4, 4, png_chunk(b"eXIf", tag_bomb(1000, 50_000))),
    "tags of a TIFF": tag_bomb(1000, 50_000),
    "segments": jpeg()[:2] + exif_segment(b"") * 11_000 + jpeg()[2:],
    "chunks": png(4, 4, png_chunk(b"noNe", b"") * 100_001),
    "tiles": tiled(2_250_000),
    "run-length BMP": bmp_rle(100_000, 1200),
    "PNG in an icon": icon(png(5000, 5000)),
    "bitmap in an icon": icon(struct.pack("<IiiHHIIiiII", 40, 13_000, 26_000, *(0,) * 8)),
    "GIF comments": gif(b"!\xfe\0" * 200_000),
    "GIF comment": gif(b"!\xfe" + (b"\xff" + bytes(255)) * 20_000 + b"\0"),
    "plain PPM": b"P2 5000 5000 255\n" + b"0 " * 1000,
    "12-bit PGM": b"P5 5000 5000 4095\n" + bytes(1000),
    "PPM header": b"P5\n#" + b" " * 100_000 + b"\n4 4 255\n" + bytes(16),
}


@pytest.mark.parametrize("name", COSTLY)
def test_a_file_that_asks_too_much_is_refused_at_once(name):
    started = time.perf_counter()
    with pytest.raises(UnreadablePicture) as refusal:
        decode_picture(COSTLY[name], 32)
    assert time.perf_counter() - started < 0.5
    assert refusal.value.reason in ("DamagedFile", "TooManyPixels")


def test_pictures_of_every_format_are_let_through():
    for name, data in whole_pictures():
        refuse_costly(data)
        assert decode_picture(data, 32).pixels.shape[2] == 4, name


def test_photographs_are_let_through():
    for file in shared("images").iterdir():
        refuse_costly(file.read_bytes())


@pytest.mark.parametrize(("options", "scans"), [({}, 1), ({"progressive": True}, 10)])
def test_what_follows_a_picture_is_none_of_its_scans(options, scans):
    data = jpeg(**options)
    trailer = random.Random(0).randbytes(1000) + b"\xff\xda\0\x04" * 500
    assert jpeg_scans(data + trailer) == scans
    assert decode_picture(data + trailer, 32).width == 64


def test_little_pictures_of_slow_decoders_are_read():
    ramp = np.arange(48, dtype=">u2").reshape(6, 8) * 80
    for data in (
        b"P5 8 6 4095\n" + ramp.tobytes(),
        b"P2 # a comment\n8 6\n4095\n" + b" ".join(b"%d" % value for value in ramp.ravel()),
    ):
        assert decode_picture(data, 32).pixels.shape == (6, 8, 4)
    stream = io.BytesIO()
    Image.fromarray(np.zeros((64, 64), np.uint8)).save(stream, "ICO", sizes=[(64, 64)])
    assert decode_picture(stream.getvalue(), 32).width == 64


def test_an_exif_profile_in_a_text_chunk_turns_the_picture_unless_it_is_a_bomb():
    exif = Image.Exif()
    exif[0x0112] = 6
    for tiff, turned in ((exif.tobytes(), True), (b"Exif\0\0" + tag_bomb(500, 50_000), False)):
        text = PngImagePlugin.PngInfo()
        text.add_text("Raw profile type exif", f"\nexif\n{len(tiff)}\n{tiff.hex()}\n", zip=True)
        stream = io.BytesIO()
        gradient(64, 48).save(stream, "PNG", pnginfo=text)
        started = time.perf_counter()
        assert (decode_picture(stream.getvalue(), 32).width == 48) is turned
        assert time.perf_counter() - started < 0.5
