"""Tests of ocr_core.prepare.placed_image."""

from collections.abc import Callable

import numpy as np
import pytest

from ocr_core.prepare.placed_image import PlacedImage, levelling
from ocr_core.prepare.steps import AppliedStep, Step
from ocr_core.types import Point, Polygon

STEP = AppliedStep(Step.DESKEW)
SPOT = (150.5, 60.5)


def spotted() -> PlacedImage:
    """White, with a dark spot of five by five pixels."""
    image = np.full((100, 200, 3), 255, np.uint8)
    image[58:63, 148:153] = 0
    return PlacedImage.unprepared(image)


def spot(placed: PlacedImage) -> tuple[float, float]:
    """Where the spot is in the source, as the placed image has it."""
    rows, columns = np.nonzero(placed.image[:, :, 0] < 128)
    center = Point(float(columns.mean()) + 0.5, float(rows.mean()) + 0.5)
    (found,) = placed.in_source(Polygon((center,))).vertices
    return found.x, found.y


def turned_by(degrees: float) -> Callable[[PlacedImage], PlacedImage]:
    return lambda placed: placed.warped(*levelling((placed.image.shape[1], placed.image.shape[0]), degrees), STEP)


@pytest.mark.parametrize(
    "move",
    [
        lambda placed: placed,
        lambda placed: placed.turned(1, STEP),
        lambda placed: placed.turned(2, STEP),
        lambda placed: placed.turned(3, STEP),
        lambda placed: placed.scaled(2.5, STEP),
        lambda placed: placed.cut(100, 20, 180, 90),
        turned_by(15),
        turned_by(-40),
        lambda placed: turned_by(10)(placed.turned(1, STEP).scaled(2, STEP)).cut(3, 5, 190, 400),
    ],
)
def test_places_are_found_again_in_the_source(move: Callable[[PlacedImage], PlacedImage]) -> None:
    """Whatever was done, and one after the other, a place in the prepared image is known in the source."""
    assert spot(move(spotted())) == pytest.approx(SPOT, abs=0.35)


def test_turning_by_quarters_is_clockwise() -> None:
    """What was at the top left goes to the top right; the outline starts at the bottom left of the source."""
    image = np.zeros((2, 3, 3), np.uint8)
    image[0, 0] = 9
    placed = PlacedImage.unprepared(image).turned(1, STEP)
    assert placed.image[0, 1, 0] == 9
    assert placed.outline().vertices == (Point(0, 2), Point(0, 0), Point(3, 0), Point(3, 2))


def test_nothing_lies_outside_the_source() -> None:
    """Corners that were added by turning are moved to the border of the source."""
    for vertex in turned_by(20)(spotted()).outline().vertices:
        assert 0 <= vertex.x <= 200
        assert 0 <= vertex.y <= 100


def test_what_was_done_is_noted_in_order() -> None:
    """Each step is kept with its amount; an image that nothing was done to has none."""
    grey = AppliedStep(Step.GREY)
    placed = spotted()
    assert placed.applied == ()
    assert placed.with_pixels(placed.image, grey).turned(2, STEP).applied == (grey, STEP)
