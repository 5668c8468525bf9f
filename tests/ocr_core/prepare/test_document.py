"""Tests of ocr_core.prepare.document."""

import cv2
import numpy as np
import pytest

from ocr_core.prepare.document import distortion, find_sheet, flattening
from ocr_core.prepare.tone import luminance
from tests.ocr_core.prepare.drawn import page

CORNERS = np.array([[80, 60], [400, 40], [430, 330], [60, 300]], np.float32)


def photographed() -> np.ndarray:
    """A page on a dark table, seen at an angle, uint8 [360, 480]."""
    sheet = luminance(page(480, 360))
    source = np.array([[0, 0], [480, 0], [480, 360], [0, 360]], np.float32)
    return cv2.warpPerspective(sheet, cv2.getPerspectiveTransform(source, CORNERS), (480, 360), borderValue=90)


def test_the_corners_of_a_sheet_are_found() -> None:
    """Within a few pixels, clockwise from the top left."""
    sheet = find_sheet(photographed())
    assert sheet is not None
    assert np.abs(sheet - CORNERS).max() < 5
    assert distortion(sheet) > 5


def test_a_flat_page_without_a_border_has_no_sheet() -> None:
    """Neither has an empty image."""
    assert find_sheet(luminance(page(480, 360))) is None
    assert find_sheet(np.full((100, 100), 200, np.uint8)) is None


def test_a_rectangle_is_not_distorted() -> None:
    """However it lies."""
    assert distortion(np.array([[10, 10], [90, 10], [90, 50], [10, 50]], np.float32)) == pytest.approx(0, abs=1e-3)
    assert distortion(np.array([[50, 0], [100, 50], [50, 100], [0, 50]], np.float32)) == pytest.approx(0, abs=1e-3)


def test_a_flattened_sheet_is_a_rectangle_in_an_image_that_keeps_its_surroundings() -> None:
    """Corners come to right angles; the table around the sheet is still there, within bounds."""
    transform, (width, height) = flattening(CORNERS, (480, 360))
    (corners,) = cv2.perspectiveTransform(CORNERS[None].astype(np.float64), transform)
    assert distortion(corners.astype(np.float32)) == pytest.approx(0, abs=0.1)
    assert corners.min() > 0
    assert width < 1.6 * 480
    assert height < 1.6 * 360
    assert (corners[:, 0] < width).all()
    assert (corners[:, 1] < height).all()
