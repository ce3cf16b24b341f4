"""Image bytes -> RGBX pixels: one decode, no larger than it must be.

Pillow says what a file is and reads every format. The pixels of an ordinary JPEG come straight from
libjpeg-turbo, the same ones as Pillow's, a third faster; whatever that refuses Pillow judges.
"""

from __future__ import annotations

import contextlib
import io
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
import simplejpeg
from numpy.typing import NDArray
from PIL import ExifTags, Image, TiffImagePlugin, UnidentifiedImageError

from transforms.decoding_cost import check_tags, jpeg_scans, refuse_costly
from transforms.freed_memory import give_back_freed_memory
from transforms.resizing import turn_pixels
from transforms.unreadable_picture import UnreadablePicture

MAX_PIXELS: Final = 120_000_000  # the largest camera sensors; RGBX pixels of 480 MB
# A file of 200 bytes can claim that many: a decoder that takes 20 bytes a pixel, and ten seconds for
# them, is asked for fewer.
MAX_COSTLY_PIXELS: Final = 40_000_000
COSTLY_FORMATS: Final = ("WEBP", "AVIF", "JPEG2000")
MAX_SCANS: Final = (
    100  # of a progressive JPEG; encoders make ten, and each goes over all its pixels
)
MAX_SIDE: Final = 100_000  # pixels; JPEG cannot have more than 65,535
DECODE_MARGIN: Final = 2
# Pictures that decode to more than this are decoded and resized one at a time, so that their memory
# adds up to one of them, however many threads there are.
LARGE_PIXELS: Final = 20_000_000
BAND_PIXELS: Final = 4_000_000  # of a picture, handed over by Pillow at a time
# Formats whose decoders run in this process on untrusted bytes; EPS, for one, runs Ghostscript.
# A multi-picture MPO opens as JPEG. What this build of Pillow lacks, such as AVIF, is left out.
_WANTED: Final = "JPEG PNG GIF WEBP AVIF BMP DIB TIFF PPM JPEG2000 ICO"
Image.init()
FORMATS: Final = tuple(name for name in _WANTED.split() if name in Image.OPEN)

RAW_PROFILE: Final = "Raw profile type exif"  # as ImageMagick writes it into a PNG

Pixels = NDArray[np.uint8]  # [height, width, 4], RGBX
# How an EXIF orientation is made upright: rows and columns swapped, then what is mirrored.
_TURNED: Final = (5, 6, 7, 8)
_BACKWARD: Final = slice(None, None, -1)
_MIRRORED: Final = {
    2: (slice(None), _BACKWARD),
    3: (_BACKWARD, _BACKWARD),
    4: (_BACKWARD, slice(None)),
    6: (slice(None), _BACKWARD),
    7: (_BACKWARD, _BACKWARD),
    8: (_BACKWARD, slice(None)),
}
_large_picture = threading.Lock()


@dataclass(frozen=True)
class DecodedPicture:
    """A picture's pixels.

    Attributes:
        pixels: uint8 [height, width, 4], RGBX, perhaps scaled down; the fourth byte means nothing.
        width: of the whole picture as displayed, in pixels.
        height: of the whole picture as displayed, in pixels.
        format: Pillow's name of the file format.
        scale: 1, 2, 4 or 8: by how much it was scaled down.
    """

    pixels: Pixels
    width: int
    height: int
    format: str
    scale: int

    def suits(self, target: int) -> bool:
        """Whether decoding for `target` would have given the same pixels."""
        return self.scale == _scale(self.format, self.width, self.height, target)


def decode_picture(data: bytes, target: int) -> DecodedPicture:
    """The first frame of a picture, at least twice `target` pixels each way where it has them.

    Raises:
        UnreadablePicture: the bytes are empty, not a picture, truncated, damaged or too large.
    """
    with decoded_picture(data, target) as picture:
        return picture


@contextlib.contextmanager
def decoded_picture(data: bytes, target: int) -> Iterator[DecodedPicture]:
    """`decode_picture` for a block of work: if it is a large one, no other is decoded meanwhile."""
    with contextlib.ExitStack() as alone:
        yield _decode_or_refuse(data, target, alone)


def _decode_or_refuse(data: bytes, target: int, alone: contextlib.ExitStack) -> DecodedPicture:
    if not data:
        raise UnreadablePicture("EmptyFile", "the file has zero bytes")
    try:
        refuse_costly(data)
        return _decode(data, target, alone)
    except UnreadablePicture:
        raise
    except UnidentifiedImageError:
        raise UnreadablePicture(
            "NotAnImage", f"its {len(data):,} bytes are in no image format that is read here"
        ) from None
    except Image.DecompressionBombError as error:
        raise UnreadablePicture("TooManyPixels", str(error)) from error
    except MemoryError as error:
        raise UnreadablePicture("OutOfMemory", "there is not enough memory to decode it") from error
    except Exception as error:
        # Pillow's decoders raise whatever their parsing stumbles over (OSError, SyntaxError,
        # struct.error, IndexError, ...): here it is the bytes that are wrong, not the code.
        cut_short = isinstance(error, EOFError) or "truncated" in str(error).lower()
        raise UnreadablePicture(
            "TruncatedFile" if cut_short else "DamagedFile", f"{type(error).__name__}: {error}"
        ) from error


def _decode(data: bytes, target: int, alone: contextlib.ExitStack) -> DecodedPicture:
    with Image.open(io.BytesIO(data), formats=FORMATS) as image:
        width, height = image.size
        picture_format = image.format or "unknown"
        most = MAX_COSTLY_PIXELS if picture_format in COSTLY_FORMATS else MAX_PIXELS
        claimed = max(width * height, _tile_pixels(image))
        if claimed > most or max(width, height) > MAX_SIDE:
            raise UnreadablePicture(
                "TooManyPixels",
                f"the picture claims {width} x {height} pixels, {claimed:,} at a time; of a "
                f"{picture_format} at most {most:,} are decoded, and at most {MAX_SIDE:,} a side",
            )
        scale = _scale(picture_format, width, height, target)
        # With several scans libjpeg keeps the whole picture's coefficients, whatever the scale.
        is_whole = scale == 1 or (claimed > LARGE_PIXELS and jpeg_scans(data) > 1)
        if claimed > LARGE_PIXELS * (1 if is_whole else scale * scale):
            alone.enter_context(_large_picture)
            alone.callback(give_back_freed_memory)
        pixels = _jpeg_pixels(data, image, scale) if _is_plain_jpeg(image) else None
        if pixels is None:
            image.draft("RGB", (width // scale, height // scale))
            image.load()
            pixels = _rgbx(image)
        orientation = _orientation(image)
    del image  # with its own pixels: turned, a large picture would stand in memory three times
    if orientation in _TURNED:
        pixels = turn_pixels(pixels)
        width, height = height, width
    if orientation in _MIRRORED:
        pixels = np.ascontiguousarray(pixels[_MIRRORED[orientation]])
    return DecodedPicture(pixels, width, height, picture_format, scale)


def _tile_pixels(image: Image.Image) -> int:
    """What the decoder of a TIFF takes memory for, however small the picture is; 0 for no tiles."""
    tags = getattr(image, "tag_v2", {})
    width, height = tags.get(TiffImagePlugin.TILEWIDTH, 0), tags.get(TiffImagePlugin.TILELENGTH, 0)
    return int(width) * int(height)


def _scale(picture_format: str, width: int, height: int, target: int) -> int:
    return jpeg_scale(width, height, target) if picture_format in ("JPEG", "MPO") else 1


def jpeg_scale(width: int, height: int, target: int) -> int:
    """8, 4, 2 or 1: the largest at which both sides keep DECODE_MARGIN times `target` pixels.

    >>> jpeg_scale(4000, 3000, 224), jpeg_scale(500, 375, 224)
    (4, 1)
    """
    room = min(width, height) // (target * DECODE_MARGIN)
    return next(scale for scale in (8, 4, 2, 1) if scale <= max(room, 1))


def _is_plain_jpeg(image: Image.Image) -> bool:
    return image.format in ("JPEG", "MPO") and image.mode in ("RGB", "L")


def _jpeg_pixels(data: bytes, image: Image.Image, scale: int) -> Pixels | None:
    """A JPEG's pixels by libjpeg-turbo; None where it finds anything wrong with the file."""
    try:
        pixels: Pixels = simplejpeg.decode_jpeg(
            data,
            colorspace="RGBX",
            min_width=-(-image.width // scale),
            min_height=-(-image.height // scale),
        )
    except ValueError:
        return None
    return pixels


def _orientation(image: Image.Image) -> int:
    """The EXIF orientation, 1 to 8; 1 where there is none."""
    if _is_plain_jpeg(image) and not {"exif", "xmp"} & image.info.keys():
        return 1  # getexif() would take longer than opening the file did
    # Its parsing raises anything on broken data; viewers, too, show such a picture unturned.
    with contextlib.suppress(Exception):
        check_tags(image.info.get("exif", b"").removeprefix(b"Exif\0\0"))
        if "exif" not in image.info and RAW_PROFILE in image.info:
            check_tags(bytes.fromhex("".join(image.info[RAW_PROFILE].split("\n")[3:])))
        return int(image.getexif().get(ExifTags.Base.Orientation, 1))
    return 1


def _rgbx(image: Image.Image) -> Pixels:
    """Any Pillow mode as RGBX: uint8 [height, width, 4].

    Band by band: a whole picture in every mode on the way would be in memory five times.
    """
    white = _white_value(image) if image.mode.startswith(("I", "F")) else 0.0
    rows = max(1, BAND_PIXELS // image.width)
    if rows >= image.height:
        return _band_pixels(image, white)
    pixels = np.empty((image.height, image.width, 4), np.uint8)
    for top, band in _bands(image, rows):
        pixels[top : top + band.height] = _band_pixels(band, white)
    return pixels


def _bands(image: Image.Image, rows: int) -> Iterator[tuple[int, Image.Image]]:
    for top in range(0, image.height, rows):
        yield top, image.crop((0, top, image.width, min(top + rows, image.height)))


def _band_pixels(image: Image.Image, white: float) -> Pixels:
    if image.mode.startswith(("I", "F")):
        values = np.nan_to_num(np.asarray(image).astype(np.float32))
        gray = np.clip(np.rint(values * np.float32(255 / white)), 0, 255).astype(np.uint8)
        return np.repeat(gray[:, :, None], 4, axis=2)
    if "transparency" in image.info or image.mode in ("RGBA", "LA", "PA", "La", "RGBa"):
        layer = image.convert("RGBA")
        paper = Image.new("RGBA", layer.size, (255, 255, 255, 255))
        image = Image.alpha_composite(paper, layer)
    return _pillow_pixels(image if image.mode == "RGB" else image.convert("RGB"))


def _pillow_pixels(rgb: Image.Image) -> Pixels:
    """Of an RGB image; Pillow makes two copies of them on the way."""
    stored = rgb.tobytes("raw", "RGBX")  # its own layout: no repacking
    return np.frombuffer(stored, np.uint8).reshape(rgb.height, rgb.width, 4)


def _white_value(image: Image.Image) -> float:
    """The value of white in gray of 16 or 32 bits or floating point.

    Pillow's own conversion clips everything above 255 to white.
    """
    if not image.mode.startswith("F"):
        return 65535.0  # Pillow gives integers beyond 8 bits in the range of 16
    rows = max(1, BAND_PIXELS // image.width)
    brightest = max(np.nan_to_num(np.asarray(band)).max() for _, band in _bands(image, rows))
    return 1.0 if brightest <= 1 else 255.0  # both conventions are in use
