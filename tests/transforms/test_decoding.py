import io
import threading

import numpy as np
import pytest
from PIL import Image

from tests.conftest import gradient, picture, rgbx, shared
from transforms import decoding, pixels
from transforms.decoding import decode_picture, jpeg_scale
from transforms.pixels import prepare_picture
from transforms.resizing import resize_all


def jpeg(image: Image.Image, **options) -> bytes:
    stream = io.BytesIO()
    image.save(stream, "JPEG", **options)
    return stream.getvalue()


def by_pillow(data: bytes, target: int) -> np.ndarray:
    with Image.open(io.BytesIO(data)) as image:
        scale = jpeg_scale(*image.size, target)
        image.draft("RGB", (image.width // scale, image.height // scale))
        return np.asarray(image.convert("RGB"))


def rgb(data: bytes, target: int) -> np.ndarray:
    return decode_picture(data, target).pixels[..., :3]


@pytest.mark.parametrize("target", [400, 100, 50, 20])  # whole, 1/2, 1/4, 1/8
@pytest.mark.parametrize(
    "options",
    [
        {"quality": 95, "subsampling": "4:4:4"},
        {"quality": 80, "subsampling": "4:2:2"},
        {"quality": 60, "subsampling": "4:2:0"},
        {"quality": 85, "progressive": True},
        {"quality": 85, "keep_rgb": True},
    ],
)
def test_a_jpeg_has_the_pixels_that_pillow_gives(options, target):
    noisy = np.random.default_rng(0).integers(0, 60, (433, 581, 3)).astype(np.uint8)
    data = jpeg(Image.fromarray(noisy + np.asarray(gradient(581, 433)) // 2), **options)
    assert np.array_equal(rgb(data, target), by_pillow(data, target))


@pytest.mark.parametrize("mode", ["L", "CMYK"])
def test_gray_and_cmyk_jpegs_have_the_pixels_that_pillow_gives(mode):
    data = jpeg(gradient(300, 200).convert(mode), quality=90)
    for target in (200, 40):
        assert np.array_equal(rgb(data, target), by_pillow(data, target))


def test_photographs_have_the_pixels_that_pillow_gives():
    for file in sorted(shared("images").iterdir())[::5]:
        data = file.read_bytes()
        for target in (224, 60):
            assert np.array_equal(rgb(data, target), by_pillow(data, target)), file.name


def test_what_the_fast_decoder_refuses_is_judged_by_pillow():
    data = picture(1, (200, 150)) + b"\xff\xd9 bytes behind the end"
    assert np.array_equal(rgb(data, 224), by_pillow(data, 224))
    stray = bytearray(picture(1, (200, 150)))
    at = stray.index(b"\xff\xda")  # a marker with bytes before it that belong to nothing
    stray[at:at] = b"\x00\x00"
    assert np.array_equal(rgb(bytes(stray), 224), by_pillow(bytes(stray), 224))


def test_large_pictures_are_decoded_one_at_a_time(monkeypatch):
    monkeypatch.setattr(decoding, "LARGE_PIXELS", 1000)
    inside, most = [], []

    def decoded(image):
        inside.append(1)
        most.append(len(inside))
        threading.Event().wait(0.02)
        return rgbx(image.convert("RGB"))

    def resized(*picture):
        made = resize_all(*picture)
        inside.pop()
        return made

    monkeypatch.setattr(decoding, "_rgbx", decoded)
    monkeypatch.setattr(pixels, "resize_all", resized)
    data = picture(1, (80, 60), "PNG")
    threads = [threading.Thread(target=prepare_picture, args=(data, [(32, 32)])) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == [1] * 4


def test_a_large_picture_is_handed_over_in_bands(monkeypatch):
    image = gradient(301, 203)
    stream = io.BytesIO()
    image.save(stream, "PNG")
    monkeypatch.setattr(decoding, "BAND_PIXELS", 301 * 10)
    assert np.array_equal(rgb(stream.getvalue(), 224), np.asarray(image))
