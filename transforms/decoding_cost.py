"""What a file asks of its decoder, found out before a decoder sees it.

A decoder's time and memory go with what a file claims and how it is cut up, not with its size: a
thousand scans in 12 KB, a tag of a megabyte told of five thousand times, a tile for every pixel.
Pictures that are made to be looked at are far from these bounds.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable, Iterator
from typing import Final

from transforms.unreadable_picture import UnreadablePicture

MAX_SCANS: Final = 100  # of a JPEG; encoders make ten at most, and each goes over all its pixels
MAX_PIECES: Final = 100_000  # segments, chunks, tiles: Pillow makes Python objects of each
MAX_METADATA: Final = 4 << 20  # bytes that Pillow adds up block by block
MAX_ICON_PIXELS: Final = 4_000_000  # an icon is decoded while it is opened
MAX_SLOW_PIXELS: Final = 2_000_000  # where Pillow's decoder is a loop in Python
PPM_HEADER: Final = 1 << 16

_JPEG, _PNG, _SCAN, _TIFF_MAGIC = b"\xff\xd8", b"\x89PNG\r\n\x1a\n", 0xDA, (42, 43)
_NEXT_MARKER: Final = re.compile(rb"\xff[^\x00\xff\xd0-\xd7]")
_ALONE: Final = (0x00, 0x01, *range(0xD0, 0xDA))  # markers without a length
_COMMENT: Final = re.compile(rb"#[^\r\n]*[\r\n]")
_UNIT_BYTES: Final = {
    **dict.fromkeys((1, 2, 6, 7), 1),
    **dict.fromkeys((3, 8), 2),
    **dict.fromkeys((4, 9, 11, 13), 4),
    **dict.fromkeys((5, 10, 12, 16, 17, 18), 8),
}
_OFFSETS: Final = (273, 324)  # of strips, of tiles


def refuse_costly(data: bytes) -> None:
    """Raise UnreadablePicture for a file that would take a decoder far more than its pixels do."""
    for start, check in _CHECKS.items():
        if data.startswith(start):
            check(data)


def jpeg_scans(data: bytes) -> int:
    """How many scans the decoder of a JPEG goes through, counted no further than MAX_SCANS + 1.

    With more than one it keeps all coefficients of the picture, whatever its scale.
    """
    _, is_one_scan, position = _jpeg_header(data)
    return _scans(data, is_one_scan, position)


def _check_jpeg(data: bytes) -> None:
    exif, is_one_scan, position = _jpeg_header(data)
    check_tags(exif)
    if _scans(data, is_one_scan, position) > MAX_SCANS:
        raise _too_many(f"more than {MAX_SCANS} scans")


def _jpeg_header(data: bytes) -> tuple[bytes, bool, int]:
    """EXIF data, whether one scan holds the whole picture, and where the first scan begins."""
    exif: list[bytes] = []
    components = None  # of a frame that is not progressive
    position = 2
    for _ in range(MAX_PIECES // 10):  # those of one kind are added up, each time from the start
        position = data.find(b"\xff", position)
        while data[position + 1 : position + 2] == b"\xff":
            position += 1
        if position < 0 or position + 10 > len(data):
            return b"".join(exif), False, len(data)
        marker, payload = data[position + 1], position + 4
        if marker == _SCAN:
            return b"".join(exif), data[payload] == components, position
        if marker in (0xC0, 0xC1):
            components = data[payload + 5]
        elif marker == 0xE1 and data.startswith(b"Exif\0\0", payload):
            exif.append(data[payload + 6 : _segment_end(data, position)])
        position = _segment_end(data, position)
    raise _too_many(f"more than {MAX_PIECES // 10:,} segments")


def _scans(data: bytes, is_one_scan: bool, position: int) -> int:
    if is_one_scan:  # a decoder stops where the picture is complete
        return 1
    scans = 0
    while scans <= MAX_SCANS and (found := _NEXT_MARKER.search(data, position)):
        position, marker = found.start(), data[found.start() + 1]
        if marker == 0xD9:
            break
        scans += marker == _SCAN
        position = _segment_end(data, position)
    return scans


def _segment_end(data: bytes, position: int) -> int:
    """Where the segment of a JPEG ends whose marker stands at this position."""
    has_length = data[position + 1] not in _ALONE
    return position + 2 + (int.from_bytes(data[position + 2 : position + 4]) if has_length else 0)


def _check_png(data: bytes) -> None:
    chunks, position = 0, len(_PNG)
    while position + 8 <= len(data):
        chunks += 1
        length, payload = int.from_bytes(data[position : position + 4]), position + 8
        if data.startswith(b"eXIf", position + 4):
            check_tags(data[payload : payload + length].removeprefix(b"Exif\0\0"))
        if chunks > MAX_PIECES:
            raise _too_many(f"more than {MAX_PIECES:,} chunks")
        position += length + 12


def _check_gif(data: bytes) -> None:
    """The blocks before the first picture."""
    colors = 3 << ((data[10] & 7) + 1) if len(data) > 10 and data[10] & 0x80 else 0
    position = start = 13 + colors
    blocks = 0
    while data[position : position + 1] == b"!":
        position += 2
        while position < len(data) and (length := data[position]):
            position += 1 + length
            blocks += 1
        position += 1
        blocks += 1
        if blocks > MAX_PIECES or position - start > MAX_METADATA:
            raise _too_many(f"more than {MAX_METADATA:,} bytes before its picture")


def check_tags(tiff: bytes) -> None:
    """Refuse a TIFF, or EXIF data, whose first directory has tags that share their bytes."""
    total = 0
    for tag, kind, count, size in _tags(tiff):
        if tag in _OFFSETS and count > MAX_PIECES:
            raise _too_many(f"{count:,} strips or tiles")
        total += min(size, len(tiff))
        if total > 2 * len(tiff) + MAX_PIECES:
            raise _too_many(
                f"tags of {total:,} bytes and more in {len(tiff):,} bytes, such as {kind}"
            )


def _tags(tiff: bytes) -> Iterator[tuple[int, int, int, int]]:
    """Tag, type, count and bytes of what stands in the first directory; ends where it is damaged."""
    order = {b"II": "<", b"MM": ">"}.get(tiff[:2])
    if order is None or len(tiff) < 16:
        return
    magic = struct.unpack_from(order + "H", tiff, 2)[0]
    if magic not in _TIFF_MAGIC:
        return
    is_big = magic == 43
    head, many, entry = ("Q", "Q", "HHQ") if is_big else ("L", "H", "HHL")
    try:
        (place,) = struct.unpack_from(order + head, tiff, 8 if is_big else 4)
        (entries,) = struct.unpack_from(order + many, tiff, place)
        place += struct.calcsize(order + many)
        for number in range(min(entries, 1 << 16)):
            at = place + number * (20 if is_big else 12)
            tag, kind, count = struct.unpack_from(order + entry, tiff, at)
            yield tag, kind, count, count * _UNIT_BYTES.get(kind, 0)
    except struct.error:
        return


def _check_ico(data: bytes) -> None:
    for entry in range(int.from_bytes(data[4:6], "little")):
        place = int.from_bytes(data[18 + 16 * entry : 22 + 16 * entry], "little")
        picture = data[place : place + 24]
        if picture.startswith(_PNG):
            width, height = int.from_bytes(picture[16:20]), int.from_bytes(picture[20:24])
        else:
            width, height = (abs(_signed(picture, at)) for at in (4, 8))
        if width * height > MAX_ICON_PIXELS:
            raise UnreadablePicture(
                "TooManyPixels",
                f"an icon of {width} x {height} pixels; at most {MAX_ICON_PIXELS:,} are decoded",
            )


def _check_bmp(data: bytes) -> None:
    is_run_length = data[30:34] in (b"\1\0\0\0", b"\2\0\0\0")
    if is_run_length:
        _check_slow("run-length BMP", abs(_signed(data, 18) * _signed(data, 22)))


def _check_ppm(data: bytes) -> None:
    fields = 3 if data[:2] in (b"P1", b"P4") else 4
    header = _COMMENT.sub(b" ", data[:PPM_HEADER]).split(maxsplit=fields)[:fields]
    numbers = [int(field) for field in header[1:] if field.isdigit() and len(field) < 10]
    if len(numbers) < fields - 1:
        raise UnreadablePicture(
            "DamagedFile", f"its header is not complete in {PPM_HEADER:,} bytes"
        )
    is_binary = data[:2] in (b"P4", b"P5", b"P6")
    if not is_binary or (fields == 4 and numbers[2] not in (255, 65535)):
        what = (
            f"{header[0].decode()} of at most {numbers[2]}" if fields == 4 else header[0].decode()
        )
        _check_slow(f"PNM ({what})", numbers[0] * numbers[1])


def _signed(data: bytes, at: int) -> int:
    return int.from_bytes(data[at : at + 4], "little", signed=True)


def _check_slow(what: str, pixels: int) -> None:
    if pixels > MAX_SLOW_PIXELS:
        raise UnreadablePicture(
            "TooManyPixels",
            f"the picture claims {pixels:,} pixels; of a {what}, whose decoder is slow, at most "
            f"{MAX_SLOW_PIXELS:,} are decoded",
        )


def _too_many(what: str) -> UnreadablePicture:
    return UnreadablePicture("DamagedFile", f"the file has {what}; no picture needs so many")


_CHECKS: Final[dict[bytes, Callable[[bytes], None]]] = {
    _JPEG: _check_jpeg,
    _PNG: _check_png,
    b"GIF8": _check_gif,
    b"II": check_tags,
    b"MM": check_tags,
    b"\0\0\1\0": _check_ico,
    b"BM": _check_bmp,
    **dict.fromkeys((b"P1", b"P2", b"P3", b"P4", b"P5", b"P6"), _check_ppm),
}
