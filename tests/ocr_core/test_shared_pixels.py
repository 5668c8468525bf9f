"""Pixels that several processes map."""

from __future__ import annotations

import mmap
import os

import pytest

from ocr_core.image import load_image
from ocr_core.image_limits import ImageLimits
from ocr_core.shared_pixels import SharedPixels
from ocr_core.types import PixelFormat, RawImage


def test_what_one_writes_the_other_reads():
    """Through any descriptor of the memory; a view lasts longer than what it is of."""
    pixels = SharedPixels.allocated(12)
    with mmap.mmap(os.dup(pixels.descriptor), 12) as drawn:
        drawn[:6] = b"pixels"
    start = pixels.start(6)
    view = start.view()
    assert (len(pixels), len(start)) == (12, 6)
    del pixels, start
    assert bytes(view) == b"pixels"


def test_an_image_of_them_is_read_where_they_are():
    """Without a copy: what is drawn later is seen."""
    pixels = SharedPixels.allocated(8 * 8 * 3)
    image = load_image(RawImage(pixels, 8, 8, PixelFormat.RGB24), ImageLimits())
    with mmap.mmap(os.dup(pixels.descriptor), len(pixels)) as drawn:
        drawn[3:6] = b"\1\2\3"
    assert image[0, 1].tolist() == [1, 2, 3]


def test_nobody_makes_them_shorter_or_longer():
    """Who reads what is not there any more would crash."""
    pixels = SharedPixels.allocated(10_000)
    for size in (0, 5000, 20_000):
        with pytest.raises(PermissionError):
            os.ftruncate(pixels.descriptor, size)
    for size in (0, 10_001, -1):
        with pytest.raises(ValueError, match="bytes of memory"):
            pixels.start(size)


def test_the_descriptor_goes_with_them():
    """Servers have few."""
    pixels = SharedPixels.allocated(1)
    descriptor = pixels.descriptor
    del pixels
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(descriptor)
