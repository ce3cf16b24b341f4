import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from tests.conftest import gradient, rgbx
from transforms.resizing import resize, turn_pixels


@settings(max_examples=80, deadline=None)
@given(
    height=st.integers(1, 90),
    width=st.integers(1, 90),
    rows=st.integers(1, 70),
    columns=st.integers(1, 70),
)
def test_any_picture_becomes_the_asked_shape_within_its_own_values(height, width, rows, columns):
    pixels = np.random.default_rng(height).integers(0, 256, (height, width, 3)).astype(np.uint8)
    small = resize(rgbx(pixels), (rows, columns))
    assert small.shape == (rows, columns, 3)
    assert small.dtype == np.float32
    assert small.min() >= max(0.0, pixels.min() / 255 - 1e-6)
    assert small.max() <= min(1.0, pixels.max() / 255 + 1e-6)


@settings(max_examples=40, deadline=None)
@given(
    height=st.integers(2, 80),
    width=st.integers(2, 80),
    rows=st.integers(1, 60),
    columns=st.integers(1, 60),
)
def test_the_resize_is_pillows_without_its_rounding(height, width, rows, columns):
    pixels = np.random.default_rng(width).integers(0, 256, (height, width, 3)).astype(np.uint8)
    channels = [Image.fromarray(pixels[..., channel]).convert("F") for channel in range(3)]
    expected = np.stack(
        [np.asarray(one.resize((columns, rows), Image.Resampling.BILINEAR)) for one in channels], -1
    )
    assert np.allclose(resize(rgbx(pixels), (rows, columns)), expected / 255, atol=1e-5)


def test_a_wide_picture_resized_in_stripes_is_the_same(monkeypatch):
    pixels = np.asarray(gradient(301, 50))
    whole = resize(rgbx(pixels), (24, 24))
    monkeypatch.setattr("transforms.resizing.STRIPE_BYTES", 50 * 4 * 4 * 17)
    assert np.array_equal(resize(rgbx(pixels), (24, 24)), whole)


@pytest.mark.parametrize("shape", [(1, 90_000), (90_000, 1), (3, 30_000), (30_000, 2)])
def test_a_picture_of_extreme_shape_takes_little_memory(shape):
    pixels = np.random.default_rng(0).integers(0, 256, (*shape, 3)).astype(np.uint8)
    tracemalloc.start()
    small = resize(rgbx(pixels), (224, 224))
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak_bytes < 100 << 20
    assert abs(small.mean() - pixels.mean() / 255) < 0.01


def test_the_same_size_is_the_same_picture():
    pixels = np.asarray(gradient(32, 32))
    assert np.allclose(resize(rgbx(pixels), (32, 32)) * 255, pixels, atol=1e-4)


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_turning_swaps_rows_and_columns(dtype):
    pixels = np.random.default_rng(0).integers(0, 256, (5, 7, 4)).astype(dtype)
    assert np.array_equal(turn_pixels(pixels), pixels.transpose(1, 0, 2))
    assert turn_pixels(pixels).flags.c_contiguous
