"""Tests of ocr_core.detect."""

from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace

import cv2
import numpy as np
import numpy.typing as npt
import pytest

from ocr_core.bundle import InputFormat
from ocr_core.detect import LineDetector, reading_order
from ocr_core.types import Point, Polygon

ANY_SIZE = InputFormat(height=0, channels="BGR", mean=(0.5, 0.5, 0.5), std=(0.25, 0.25, 0.25))


class DarkPixels:
    """An engine whose kernels are the dark pixels of its input."""

    bundle = SimpleNamespace(input=ANY_SIZE)

    def __init__(self, side: int = 400) -> None:
        self.image_size = (side, side)
        self.calls = 0

    @contextmanager
    def infer(self, batch: npt.NDArray[np.uint8]) -> Iterator[npt.NDArray[np.float32]]:
        assert batch.shape == (1, *self.image_size, 3)
        self.calls += 1
        yield (batch[:, None, :, :, 0] < 64).astype(np.float32)


def page(width: int, height: int) -> npt.NDArray[np.uint8]:
    return np.full((height, width, 3), 255, np.uint8)


def box(left: float, top: float, right: float, bottom: float) -> Polygon:
    return Polygon((Point(left, top), Point(right, top), Point(right, bottom), Point(left, bottom)))


@pytest.mark.parametrize("scale", [1, 3])
def test_a_kernel_grows_to_its_line(scale: int) -> None:
    """A kernel of 200 x 10 has area over perimeter 4.76 and grows by 1.6 times that on every side, in source pixels."""
    image = page(400 * scale, 200 * scale)
    image[100 * scale : 110 * scale, 100 * scale : 300 * scale] = 0
    (polygon,) = LineDetector([DarkPixels()]).find(image, 400)
    found = np.array([(vertex.x, vertex.y) for vertex in polygon.vertices]) / scale
    assert np.abs(found - [(92.4, 92.4), (307.6, 92.4), (307.6, 117.6), (92.4, 117.6)]).max() < 1.5


def test_a_slanted_kernel_gives_a_slanted_polygon() -> None:
    """Vertices run clockwise from the corner where reading starts."""
    image = page(400, 400)
    corners = cv2.boxPoints(((200, 200), (240, 12), 20)).astype(np.int32)
    cv2.fillPoly(image, [corners], (0, 0, 0))
    (polygon,) = LineDetector([DarkPixels()]).find(image, 400)
    first, second, third, _ = polygon.vertices
    assert np.degrees(np.arctan2(second.y - first.y, second.x - first.x)) == pytest.approx(20, abs=1.5)
    assert first.x < second.x
    assert third.y > second.y


def test_specks_and_empty_pages_give_nothing() -> None:
    """A kernel under three pixels is noise."""
    image = page(300, 300)
    image[10:11, 10:12] = 0
    assert LineDetector([DarkPixels()]).find(image, 320) == ()
    assert LineDetector([DarkPixels()]).find(page(7, 5), 320) == ()


def test_polygons_stay_inside_the_image() -> None:
    """A line that touches the border does not grow over it."""
    image = page(300, 100)
    image[0:12, 0:300] = 0
    (polygon,) = LineDetector([DarkPixels()]).find(image, 320)
    assert all(0 <= vertex.x <= 300 and 0 <= vertex.y <= 100 for vertex in polygon.vertices)


def test_a_page_goes_onto_the_smallest_canvas_that_holds_it() -> None:
    """Small pictures do not pay for the large canvas."""
    small, large = DarkPixels(200), DarkPixels(400)
    detector = LineDetector([large, small])
    detector.find(page(200, 90), 960)
    assert (small.calls, large.calls) == (1, 0)
    detector.find(page(201, 90), 960)
    assert (small.calls, large.calls) == (1, 1)


def test_a_line_across_windows_is_found_once() -> None:
    """A page larger than every canvas is seen through windows whose maps are joined before lines are made."""
    image = page(1500, 900)
    image[500:512, 100:1400] = 0
    engine = DarkPixels(400)
    (polygon,) = LineDetector([engine]).find(image, 1500)
    assert polygon.vertices[0].x < 100
    assert polygon.vertices[1].x > 1400
    assert engine.calls == 6 * 3


def test_reading_order_is_by_rows_then_left_to_right() -> None:
    """Lines that overlap by half their height are one row even if one sits a little higher."""
    right_higher = box(60, 8, 90, 18)
    left = box(0, 10, 50, 20)
    below = box(0, 24, 90, 34)
    assert reading_order([below, right_higher, left]) == (left, right_higher, below)


@pytest.mark.parametrize("degrees", [-25, -5, 5, 25])
def test_reading_order_follows_a_slanted_page(degrees: int) -> None:
    """Long lines and columns of words keep their order when the page is turned."""
    level = [box(0, 0, 400, 20), box(0, 30, 90, 50), box(300, 31, 400, 51), box(0, 60, 400, 80)]
    sine, cosine = np.sin(np.radians(degrees)), np.cos(np.radians(degrees))
    slanted = [
        Polygon(tuple(Point(p.x * cosine - p.y * sine, p.x * sine + p.y * cosine) for p in polygon.vertices))
        for polygon in level
    ]
    assert reading_order(slanted[::-1]) == tuple(slanted)


def test_no_lines_have_an_order_too() -> None:
    """An empty page is no error."""
    assert reading_order([]) == ()


def test_a_page_of_too_many_lines_keeps_the_upper_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    """The limit cuts from below, as the contract says."""
    monkeypatch.setattr("ocr_core.detect.MAX_LINES", 3)
    image = page(400, 400)
    for top in range(20, 380, 70):
        image[top : top + 8, 50:350] = 0
    polygons = LineDetector([DarkPixels()]).find(image, 400)
    assert [round(sum(vertex.y for vertex in polygon.vertices) / 4) for polygon in polygons] == [24, 94, 164]
