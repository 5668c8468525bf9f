"""Tests of ocr_core.layout.shapes."""

import cv2
import numpy as np
import pytest

from ocr_core.layout.shapes import bent_outline, straightened


def arc(start: float, end: float, radius: int = 150, thickness: int = 14) -> np.ndarray:
    """Contour of an arc around (200, 200), between two angles in degrees."""
    bitmap = np.zeros((400, 400), np.uint8)
    cv2.ellipse(bitmap, (200, 200), (radius, radius), 0, start, end, 1, thickness)
    contours, _ = cv2.findContours(bitmap, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    return np.asarray(contours[0])


@pytest.mark.parametrize(("start", "end"), [(200, 340), (20, 160), (180, 360)])
def test_an_arc_has_a_bent_outline(start: float, end: float) -> None:
    """Its sides lie on circles around the same centre, half the grown line's height to either side of the kernel."""
    points = bent_outline(arc(start, end), 1.6)
    assert points is not None
    radii = np.linalg.norm(points - 200, axis=1)
    half = len(points) // 2
    sides = sorted([radii[:half].mean(), radii[half:].mean()])
    assert sides == [pytest.approx(132, abs=6), pytest.approx(168, abs=6)]
    assert radii[:half].std() < 4
    assert points[0, 0] < points[half - 1, 0]


def test_straight_kernels_have_none() -> None:
    """A bar, level or slanted, and a disc stay rectangles."""
    bitmap = np.zeros((400, 400), np.uint8)
    cv2.line(bitmap, (50, 100), (350, 180), 1, 14)
    cv2.circle(bitmap, (200, 300), 40, 1, -1)
    contours, _ = cv2.findContours(bitmap, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    assert [bent_outline(contour, 1.6) for contour in contours] == [None, None]


def test_a_bent_band_is_made_straight() -> None:
    """A pattern painted along an arc comes out as level stripes, from left to right."""
    angles = np.radians(np.linspace(200, 340, 9))
    rims = [np.stack([200 + r * np.cos(angles), 200 + r * np.sin(angles)], -1) for r in (170, 130)]
    y, x = np.mgrid[0:400, 0:400] + 0.5
    radius, angle = np.hypot(x - 200, y - 200), np.degrees(np.arctan2(y - 200, x - 200)) % 360
    picture = np.stack([radius, angle - 180, radius], -1).clip(0, 255).astype(np.uint8)
    flat = straightened(picture, np.concatenate([rims[0], rims[1][::-1]]).astype(np.float32)).astype(int)
    assert flat.shape[0] == pytest.approx(40, abs=2)
    assert flat.shape[1] == pytest.approx(150 * np.radians(140), rel=0.05)
    assert np.abs(flat[:, :, 0] - np.linspace(170, 130, len(flat))[:, None]).max() < 4
    assert np.abs(flat[:, :, 1] - np.linspace(20, 160, flat.shape[1])[None]).max() < 4
