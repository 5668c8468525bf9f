"""Images and values of the client."""

from __future__ import annotations

import dataclasses

import glyphwire
import numpy as np
import pytest
from glyphwire import PixelFormat, RawImage


@pytest.mark.parametrize(
    ("shape", "pixel_format"),
    [
        ((2, 3), PixelFormat.GRAY8),
        ((2, 3, 1), PixelFormat.GRAY8),
        ((2, 3, 3), PixelFormat.RGB24),
        ((2, 3, 4), PixelFormat.RGBA32),
    ],
)
def test_channels_choose_the_format(shape, pixel_format):
    """Without a pixel format the number of channels decides; width and height are those of the array."""
    raw = RawImage.from_array(np.zeros(shape, np.uint8))
    assert (raw.width, raw.height, raw.pixel_format, raw.stride) == (3, 2, pixel_format, 0)
    assert len(raw.pixels) == np.prod(shape)


def test_arrays_need_not_be_contiguous():
    """A cropped, mirrored or read-only array gives its pixels in their order."""
    array = np.arange(48, dtype=np.uint8).reshape(4, 4, 3)
    array.flags.writeable = False
    view = array[1:3, ::-1]
    assert RawImage.from_array(view).pixels == view.tobytes()


@pytest.mark.parametrize(
    "array",
    [
        np.zeros((2, 3, 2), np.uint8),
        np.zeros((2, 3), np.float32),
        np.zeros(6, np.uint8),
        np.zeros((1, 2, 3, 3), np.uint8),
    ],
)
def test_other_arrays_are_refused(array):
    """Another type, or another number of dimensions or channels, is a ValueError that names the shape."""
    with pytest.raises(ValueError, match="uint8"):
        RawImage.from_array(array)


def test_the_format_must_fit_the_channels():
    """A pixel format with another number of channels than the array is a ValueError."""
    with pytest.raises(ValueError, match="BGRA32 has 4 channels, the array has 3"):
        RawImage.from_array(np.zeros((2, 3, 3), np.uint8), PixelFormat.BGRA32)


def test_values_are_frozen():
    """A recognition cannot be changed."""
    with pytest.raises(dataclasses.FrozenInstanceError):
        glyphwire.Point(1.0, 2.0).x = 3.0
