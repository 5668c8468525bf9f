"""Tests of ocr_core.prepare.crops."""

import numpy as np

from ocr_core.prepare.crops import cut_lines, whole_line
from ocr_core.prepare.measures import Measures
from ocr_core.prepare.placed_image import PlacedImage
from ocr_core.prepare.steps import AppliedStep, Preparation, Step, Switch
from ocr_core.types import Point, Polygon
from tests.ocr_core.prepare.drawn import line

OFF = Preparation(other_steps=Switch.OFF)
TURNED = AppliedStep(Step.ORIENTATION, 180.0)
BOX = Polygon((Point(10, 20), Point(110, 20), Point(110, 40), Point(10, 40)))


def test_lines_of_a_turned_page_lie_in_the_source() -> None:
    """The crop shows the turned page; its polygon starts at the far corner of the source, where reading starts."""
    image = np.zeros((100, 200, 3), np.uint8)
    image[60:80, 90:190] = 255
    page = PlacedImage.unprepared(image).turned(2, TURNED)
    (crop,), applied = cut_lines(page, [BOX], Measures(image), OFF)
    assert crop.image.shape == (20, 100, 3)
    assert crop.image.min() == 255
    assert crop.polygon.vertices == (Point(190, 80), Point(90, 80), Point(90, 60), Point(190, 60))
    assert applied == (TURNED,)


def test_what_is_done_to_lines_is_reported_once() -> None:
    """Steps of the page come first, then those that any line had."""
    page = PlacedImage.unprepared(np.full((100, 200, 3), 255, np.uint8)).turned(2, TURNED)
    asked = Preparation(other_steps=Switch.OFF, sharpen=Switch.ON, enlarge=Switch.ON)
    crops, applied = cut_lines(page, [BOX, BOX], Measures(page.image), asked)
    assert [each.step for each in applied] == [Step.ORIENTATION, Step.SHARPEN, Step.ENLARGE]
    assert all(crop.image.shape[0] > 20 for crop in crops)


def test_a_line_image_that_needs_nothing_is_read_as_it_is() -> None:
    """Same pixels, and the whole image as its polygon."""
    image = line()
    (crop,), applied = whole_line(image, Preparation())
    assert crop.image is image
    assert crop.polygon.vertices == (Point(0, 0), Point(400, 0), Point(400, 40), Point(0, 40))
    assert applied == ()
