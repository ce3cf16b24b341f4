import numpy as np
import pytest
from PIL import Image, ImageEnhance, ImageFilter, ImageOps

from tests.conftest import encoded, picture, scene, shared
from transforms.alignment import LEAST_AGREEMENT, align
from transforms.local_features import local_features
from transforms.unreadable_picture import UnreadablePicture


def features(image: Image.Image, **how: int):
    return local_features(encoded(image, **how))


def cropped(image: Image.Image, share: float) -> Image.Image:
    width, height = image.size
    edges = ((1 - share) / 2, (1 + share) / 2)
    return image.crop((edges[0] * width, edges[0] * height, edges[1] * width, edges[1] * height))


CHANGES = {
    "as it is": (lambda image: image, ""),
    "smaller": (lambda image: image.resize((160, 120)), ""),
    "stretched": (lambda image: image.resize((400, 240)), ""),
    "brighter": (lambda image: ImageEnhance.Brightness(image).enhance(1.4), ""),
    "gray": (lambda image: ImageOps.grayscale(image).convert("RGB"), ""),
    "blurred": (lambda image: image.filter(ImageFilter.GaussianBlur(1.2)), ""),
    "mirrored": (ImageOps.mirror, "mirrored"),
    "turned": (lambda image: image.rotate(90, expand=True), "turned 90°"),
    "upside down": (lambda image: image.rotate(180), "turned 180°"),
    "flipped": (ImageOps.flip, "mirrored, turned 180°"),
    "cropped": (lambda image: cropped(image, 0.6), "cropped or framed"),
    "framed": (lambda image: ImageOps.expand(image, 60, (9, 90, 9)), "cropped or framed"),
}


@pytest.mark.parametrize("name", CHANGES)
@pytest.mark.parametrize("seed", [1, 2])
def test_a_copy_is_the_same_picture_and_what_was_done_is_told(name, seed):
    change, told = CHANGES[name]
    photograph = scene(seed)
    copy = features(change(photograph), quality=70)
    for look in (align(features(photograph), copy), align(copy, features(photograph))):
        assert look.verdict == "same"
        assert look.agreement >= LEAST_AGREEMENT
        assert look.change == told


def test_strangers_are_different():
    several = [features(scene(seed)) for seed in range(12)]
    verdicts = {
        align(one, other).verdict for at, one in enumerate(several) for other in several[:at]
    }
    assert verdicts == {"different"}


def test_what_another_picture_was_pasted_on_is_no_copy_of_it():
    below, above = scene(3), scene(4)
    page = below.copy()
    page.paste(above.resize((192, 144)), (64, 48))
    assert align(features(page), features(below)).verdict == "different"
    assert align(features(page), features(above)).verdict == "same"


def test_screens_that_differ_in_what_they_show_are_different():
    screens = []
    for seed in (5, 6):
        page = scene(7, (360, 640))
        page.paste(scene(seed, (360, 420)), (0, 110))
        screens.append(features(page))
    assert align(*screens).verdict == "different"


def test_the_order_of_two_pictures_does_not_matter():
    copies = [
        features(scene(seed).rotate(7 * seed).resize((150, 110)), quality=30) for seed in range(4)
    ]
    others = [features(scene(seed)) for seed in range(4)]
    for one in copies:
        for other in others:
            assert align(one, other) == align(other, one)


def test_frames_and_forms_around_other_pictures_are_different():
    pages = []
    for seed in (8, 9):
        page = scene(10, (400, 300))
        page.paste(scene(seed, (200, 150)), (100, 75))
        pages.append(features(page))
    assert align(*pages).verdict == "different"


def test_pictures_that_show_nothing_are_undecided():
    flat = features(Image.new("RGB", (200, 150), (90, 120, 200)))
    blobs = local_features(picture(1))
    for one, other in ((flat, flat), (flat, features(scene(1))), (blobs, flat)):
        assert align(one, other).verdict == "undecided"


@pytest.mark.parametrize("size", [(1, 1), (3000, 2), (2, 900), (16, 16)])
def test_pictures_of_any_shape_can_be_laid_on_each_other(size):
    noise = np.random.default_rng(0).integers(0, 256, (size[1], size[0], 3), np.uint8)
    odd = features(Image.fromarray(noise))
    assert align(odd, features(scene(1))).verdict in ("undecided", "different")
    assert align(odd, odd).verdict in ("same", "undecided")


def test_what_is_no_picture_is_refused():
    with pytest.raises(UnreadablePicture):
        local_features(b"no picture")


def test_a_sharper_picture_has_more_sharpness():
    photograph = scene(1)
    blurred = photograph.filter(ImageFilter.GaussianBlur(2))
    assert features(photograph).traits.sharpness > 1.5 * features(blurred).traits.sharpness


@pytest.mark.slow
def test_no_two_of_the_photographs_are_taken_for_copies():
    paths = sorted(shared("images").iterdir())[:60]
    several = [local_features(path.read_bytes()) for path in paths]
    same = [
        (at, other)
        for at, one in enumerate(several)
        for other in range(at)
        if align(one, several[other]).verdict == "same"
    ]
    assert same == []


@pytest.mark.parametrize(
    ("change", "least", "most"),
    [
        (lambda image: image, 0.95, 1),
        (lambda image: ImageOps.expand(image, 40, (9, 90, 9)), 0.5, 0.7),
        (lambda image: ImageOps.pad(image, (320, 640), color="black"), 0.3, 0.45),
        (lambda image: ImageOps.expand(image, (0, 120, 0, 0), "skyblue"), 0.95, 1),
    ],
)
def test_borders_are_told_from_a_sky(change, least, most):
    assert least <= features(change(scene(1))).traits.filled <= most
