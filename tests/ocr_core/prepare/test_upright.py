"""Tests of ocr_core.prepare.upright."""

import math

import numpy as np
import pytest

from ocr_core.prepare.measures import Measures
from ocr_core.prepare.placed_image import PlacedImage, levelling
from ocr_core.prepare.steps import Preparation, Step, Switch
from ocr_core.prepare.upright import find_upright
from ocr_core.types import Point, Polygon

PAGE = PlacedImage.unprepared(np.full((300, 500, 3), 255, np.uint8))
MEASURES = Measures(PAGE.image)


def sloping(degrees: float) -> tuple[Polygon, ...]:
    """Lines of a page that slope alike."""
    x, y = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    corners = ((0, 0), (200, 0), (200, 20), (0, 20))
    return tuple(
        Polygon(tuple(Point(100 + a * x - b * y, 50 + row + a * y + b * x) for a, b in corners)) for row in (0, 40, 80)
    )


def test_an_upright_page_is_looked_at_once() -> None:
    """It comes back as it is, with the polygons that were found."""
    looks = []

    def find(image):
        looks.append(image)
        return sloping(0)

    page, polygons = find_upright(PAGE, MEASURES, Preparation(), find, lambda _: 0.0, lambda _: 1.0)
    assert page.image is PAGE.image
    assert page.applied == ()
    assert polygons == sloping(0)
    assert len(looks) == 1


def test_a_page_on_its_head_is_turned_and_looked_at_again() -> None:
    """The polygons are those of the turned page, whose places in the source are known."""
    page, polygons = find_upright(PAGE, MEASURES, Preparation(), lambda _: sloping(0), lambda _: 1.0, lambda _: 1.0)
    assert [(each.step, each.amount) for each in page.applied] == [(Step.ORIENTATION, 180.0)]
    assert page.in_source(polygons[0]).vertices[0] == Point(400, 250)


def test_a_page_on_its_head_stays_so_when_asked() -> None:
    """With the step switched off the classifier is not even asked."""
    off = Preparation(orientation=Switch.OFF)
    page, _ = find_upright(PAGE, MEASURES, off, lambda _: sloping(0), lambda _: pytest.fail("asked"), lambda _: 1.0)
    assert page.image is PAGE.image
    assert page.applied == ()


def test_lines_of_a_sloping_page_are_looked_for_on_a_level_one_when_asked() -> None:
    """It is turned against the slope of its lines; polygons are in the page as it is, whose pixels stay."""
    asked = Preparation(deskew=Switch.ON)
    looks = iter([sloping(8), sloping(0)])
    page, polygons = find_upright(PAGE, MEASURES, asked, lambda _: next(looks), lambda _: 0.0, lambda _: 1.0)
    assert page.image is PAGE.image
    (applied,) = page.applied
    assert applied.step is Step.DESKEW
    assert applied.amount == pytest.approx(-8)
    left, right, *_ = polygons[-1].vertices
    assert math.degrees(math.atan2(right.y - left.y, right.x - left.x)) == pytest.approx(8)


def test_a_line_that_the_level_page_loses_is_kept() -> None:
    """Of a page whose lines do not all slope alike, those that levelling hides count as they were seen, in order."""
    asked = Preparation(deskew=Switch.ON)
    aslant = sloping(8)
    to_level, _ = levelling((500, 300), -8)
    back = PlacedImage(PAGE.image, (1000, 1000), to_level)
    looks = iter([aslant, tuple(map(back.in_source, aslant[:2]))])
    _, polygons = find_upright(PAGE, MEASURES, asked, lambda _: next(looks), lambda _: 0.0, lambda _: 1.0)
    assert len(polygons) == 3
    assert polygons[-1] == aslant[-1]
