"""Tests of ocr_core.detect."""

from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace

import cv2
import numpy as np
import numpy.typing as npt
import pytest

from ocr_core.bundle import InputFormat
from ocr_core.detect import LineDetector, _copy

ANY_SIZE = InputFormat(height=0, channels="BGR", mean=(0.5, 0.5, 0.5), std=(0.25, 0.25, 0.25))


class DarkPixels:
    """An engine whose kernels are the dark pixels of its input."""

    bundle = SimpleNamespace(input=ANY_SIZE)

    def __init__(self, width: int = 400, height: int = 400) -> None:
        self.image_size = (height, width)
        self.calls = 0

    @contextmanager
    def infer(self, batch: npt.NDArray[np.uint8]) -> Iterator[npt.NDArray[np.float32]]:
        assert batch.shape == (1, *self.image_size, 3)
        self.calls += 1
        yield (batch[:, None, :, :, 0] < 64).astype(np.float32)


def page(width: int, height: int) -> npt.NDArray[np.uint8]:
    return np.full((height, width, 3), 255, np.uint8)


@pytest.mark.parametrize("scale", [1, 1.6, 2.4, 3])
def test_a_kernel_grows_to_its_line(scale: float) -> None:
    """A kernel of 200 x 10 has area over perimeter 4.76 and grows by 1.6 times that on every side, in source pixels."""
    image = page(round(400 * scale), round(200 * scale))
    image[round(100 * scale) : round(110 * scale), round(100 * scale) : round(300 * scale)] = 0
    (polygon,) = LineDetector(DarkPixels()).find(image, 400)
    found = np.array([(vertex.x, vertex.y) for vertex in polygon.vertices]) / scale
    assert np.abs(found - [(92.4, 92.4), (307.6, 92.4), (307.6, 117.6), (92.4, 117.6)]).max() < 1.5


def test_a_slanted_kernel_gives_a_slanted_polygon() -> None:
    """Vertices run clockwise from the corner where reading starts."""
    image = page(400, 400)
    corners = cv2.boxPoints(((200, 200), (240, 12), 20)).astype(np.int32)
    cv2.fillPoly(image, [corners], (0, 0, 0))
    (polygon,) = LineDetector(DarkPixels()).find(image, 400)
    first, second, third, _ = polygon.vertices
    assert np.degrees(np.arctan2(second.y - first.y, second.x - first.x)) == pytest.approx(20, abs=1.5)
    assert first.x < second.x
    assert third.y > second.y


def test_specks_and_empty_pages_give_nothing() -> None:
    """A kernel under three pixels is noise."""
    image = page(300, 300)
    image[10:11, 10:12] = 0
    assert LineDetector(DarkPixels()).find(image, 320) == ()
    assert LineDetector(DarkPixels()).find(page(7, 5), 320) == ()


def test_polygons_stay_inside_the_image() -> None:
    """A line that touches the border does not grow over it."""
    image = page(300, 100)
    image[0:12, 0:300] = 0
    (polygon,) = LineDetector(DarkPixels()).find(image, 320)
    assert all(0 <= vertex.x <= 300 and 0 <= vertex.y <= 100 for vertex in polygon.vertices)


def test_a_page_that_nearly_fits_is_seen_through_one_window() -> None:
    """Somewhat smaller it is found as well, in half the time; one that is far too high needs its windows."""
    engine = DarkPixels(400, 300)
    LineDetector(engine).find(page(1600, 1280))
    assert engine.calls == 1
    LineDetector(engine).find(page(1600, 1600))
    assert engine.calls == 3


def test_a_line_across_windows_is_found_once() -> None:
    """A page larger than every canvas is seen through windows whose maps are joined before lines are made."""
    image = page(1500, 900)
    image[500:512, 100:1400] = 0
    engine = DarkPixels(400)
    (polygon,) = LineDetector(engine).find(image, 1500)
    assert polygon.vertices[0].x < 100
    assert polygon.vertices[1].x > 1400
    assert engine.calls == 6 * 3


def test_a_page_of_too_many_lines_keeps_the_upper_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    """The limit cuts from below, as the contract says."""
    monkeypatch.setattr("ocr_core.layout.outlines.MAX_LINES", 3)
    image = page(400, 400)
    for top in range(20, 380, 70):
        image[top : top + 8, 50:350] = 0
    polygons = LineDetector(DarkPixels()).find(image, 400)
    assert [round(sum(vertex.y for vertex in polygon.vertices) / 4) for polygon in polygons] == [24, 94, 164]


def test_large_text_is_found_at_the_first_look() -> None:
    """A page whose lines are high enough on one canvas is looked at once."""
    image = page(800, 800)
    image[300:340, 100:700] = 0
    engine = DarkPixels(400)
    assert len(LineDetector(engine).find(image)) == 1
    assert engine.calls == 1


def test_small_text_is_looked_at_more_closely() -> None:
    """Lines that are low on the canvas are found again in a larger copy of their part of the page, each once."""
    image = page(1200, 1200)
    for top in (400, 440, 480):
        image[top : top + 10, 300:700] = 0
    engine = DarkPixels(400)
    polygons = LineDetector(engine).find(image)
    tops = [round(min(vertex.y for vertex in polygon.vertices)) for polygon in polygons]
    assert tops == [pytest.approx(top - 7.8, abs=2) for top in (400, 440, 480)]
    assert engine.calls > 1


def test_large_lines_among_small_ones_come_from_the_first_look() -> None:
    """A headline keeps its outline though the lines below it are looked at again, and is not found twice."""
    image = page(1200, 1200)
    image[100:220, 200:1000] = 0
    for top in (300, 340, 380, 420):
        image[top : top + 10, 200:1000] = 0
    polygons = LineDetector(DarkPixels(400)).find(image)
    heights = [polygon.vertices[3].y - polygon.vertices[0].y for polygon in polygons]
    assert len(heights) == 5
    assert heights[0] > 120
    assert max(heights[1:]) < 40


def test_a_headline_reaching_out_of_the_small_text_is_not_cut() -> None:
    """Small lines at the left are looked at again; the headline above them, twice as wide, stays as it was found."""
    image = page(1200, 1200)
    image[100:190, 100:1100] = 0
    for top in (250, 290, 330, 370):
        image[top : top + 12, 100:400] = 0
    headline, *_ = LineDetector(DarkPixels(400)).find(image)
    assert headline.vertices[0].x < 100
    assert headline.vertices[1].x > 1100


def test_a_long_page_is_not_shrunk_to_nothing() -> None:
    """Lines of a page forty times as high as wide are found from one end to the other."""
    image = page(300, 12000)
    tops = range(100, 12000, 1700)
    for top in tops:
        image[top : top + 14, 40:260] = 0
    polygons = LineDetector(DarkPixels(400)).find(image)
    assert [round(polygon.vertices[0].y) for polygon in polygons] == [pytest.approx(top - 11, abs=4) for top in tops]


def test_lines_that_ran_together_at_the_first_look_are_those_of_the_second() -> None:
    """Four lines with three pixels between them are one blot on the small copy, and no headline."""
    image = page(1200, 1200)
    for row in range(4):
        image[100 + 33 * row : 130 + 33 * row, 300:700] = 0
    for top in (400, 440, 480, 520):
        image[top : top + 12, 300:700] = 0
    polygons = LineDetector(DarkPixels(400)).find(image)
    assert len(polygons) == 8
    assert max(polygon.vertices[3].y - polygon.vertices[0].y for polygon in polygons) < 90


def test_lines_found_as_one_are_cut_apart() -> None:
    """What the map of the detector shows as one kernel has rows without ink in the image."""

    class Blots(DarkPixels):
        @contextmanager
        def infer(self, batch: npt.NDArray[np.uint8]) -> Iterator[npt.NDArray[np.float32]]:
            with super().infer(batch) as kernels:
                yield cv2.morphologyEx(kernels[0, 0], cv2.MORPH_CLOSE, np.ones((9, 9)))[None, None]

    image = page(400, 400)
    for row in range(5):
        image[150 + 50 * row : 162 + 50 * row, 50:350:2] = 0
    image[40:52, 50:350:2] = image[59:71, 50:350:2] = 0
    polygons = LineDetector(Blots()).find(image)
    assert len(polygons) == 7
    assert max(polygon.vertices[3].y - polygon.vertices[0].y for polygon in polygons) < 45


@pytest.mark.parametrize(("height", "width"), [(16384, 40), (40, 16384)])
def test_long_narrow_images_are_copied_whole(height: int, width: int) -> None:
    """Also those whose width is fewer pixels than their height is averaged over."""
    image = np.tile(np.linspace(0, 255, width).astype(np.uint8)[None, :, None], (height, 1, 3))
    copy = _copy(image, max(1, width // 51), max(1, height // 51))
    assert copy.shape == (max(1, height // 51), max(1, width // 51), 3)
    assert abs(float(copy.mean()) - 127) < 4
