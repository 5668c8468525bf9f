"""Tests of ocr_core.prepare.plan."""

import cv2
import numpy as np
import pytest

from ocr_core.prepare.measures import Measures
from ocr_core.prepare.placed_image import PlacedImage, levelling
from ocr_core.prepare.plan import is_slope_wanted, prepare_crop, prepare_line, prepare_page, view_of
from ocr_core.prepare.steps import AppliedStep, Preparation, Step, Switch
from ocr_core.types import Image
from tests.ocr_core.prepare.drawn import flat, line, noisy, page, shadowed

AUTO = Preparation()
OFF = Preparation(Switch.OFF)


def forced(step: Step) -> Preparation:
    return Preparation(Switch.OFF, **{step.value: Switch.ON})


def steps(placed: PlacedImage) -> list[Step]:
    return [each.step for each in placed.applied]


def blurred(image: Image, deviation: float) -> Image:
    return np.asarray(cv2.GaussianBlur(image, (0, 0), deviation), np.uint8)


def sloping() -> Image:
    placed = PlacedImage.unprepared(line())
    return placed.warped(*levelling(placed.source_size, 12), AppliedStep(Step.DESKEW)).image


def test_a_good_page_is_left_as_it_is() -> None:
    """No pixel is touched or copied in auto: not of the page, its view or its lines."""
    image, crop = page(), line()
    measures = Measures(image)
    assert prepare_page(measures, AUTO).image is image
    assert view_of(Measures(image), AUTO).image is image
    assert prepare_crop(crop, measures, AUTO).image is crop
    assert prepare_line(crop, AUTO).image is crop


@pytest.mark.parametrize(
    ("image", "expected"),
    [
        (flat(page(), 10, 70), [Step.CONTRAST]),
        (flat(page(), 100, 150), [Step.CONTRAST]),
        (shadowed(page(), 0.33), []),
        (np.full((300, 400, 3), 200, np.uint8), []),
    ],
)
def test_lines_of_a_bad_page_are_looked_for_in_a_better_view(image: Image, expected: list[Step]) -> None:
    """Dark and faint pages are stretched; the page itself stays. Lines in a shadow are found as well."""
    assert steps(view_of(Measures(image), AUTO)) == expected
    assert prepare_page(Measures(image), AUTO).image is image


@pytest.mark.parametrize(
    ("image", "expected"),
    [
        (noisy(line(), 25), [Step.DENOISE]),
        (blurred(line(), 3), [Step.SHARPEN]),
        (line(160, 12), [Step.ENLARGE]),
        (flat(line(), 10, 70), []),
        (sloping(), [Step.DESKEW]),
    ],
)
def test_a_bad_line_gets_what_helps(image: Image, expected: list[Step]) -> None:
    """Noise is smoothed, blur sharpened, low lines enlarged, sloping ones levelled.

    Faint ones are read as they are.
    """
    assert steps(prepare_line(image, AUTO)) == expected


def test_lines_of_a_page_go_by_the_measures_of_the_page() -> None:
    """What the page's text is like holds for each of its lines; a low line has no pixels to spare for smoothing."""
    bad = Measures(noisy(page(), 25))
    assert steps(prepare_crop(line(), bad, AUTO)) == [Step.DENOISE]
    assert steps(prepare_crop(line(100, 14), bad, AUTO)) == []


@pytest.mark.parametrize("step", [step for step in Step if step is not Step.ORIENTATION])
def test_every_step_can_be_forced(step: Step) -> None:
    """Alone, it is done to the page, its view or its lines, to an image that it has something to do to."""
    placed = [
        prepare_page(Measures(photographed()), forced(step)),
        view_of(Measures(page(400, 300, text_height=9)), forced(step)),
        prepare_crop(line(), Measures(page()), forced(step)),
        prepare_line(sloping(), forced(step)),
    ]
    assert {done for each in placed for done in steps(each)} == {step}


@pytest.mark.parametrize("image", [flat(page(), 100, 130), shadowed(page(), 0.3), noisy(page(), 25)])
def test_nothing_is_done_when_all_is_off(image: Image) -> None:
    """However bad the image is."""
    measures = Measures(image)
    assert prepare_page(measures, OFF).image is image
    assert view_of(Measures(image), OFF).image is image
    assert prepare_crop(image, measures, OFF).image is image
    assert prepare_line(image, OFF).image is image


@pytest.mark.parametrize(
    ("degrees", "switch", "expected"),
    [
        (-8, Switch.AUTO, True),
        (1, Switch.AUTO, False),
        (1, Switch.ON, True),
        (0.1, Switch.ON, False),
        (20, Switch.OFF, False),
    ],
)
def test_pages_are_levelled_when_it_is_worth_a_second_look(degrees: float, switch: Switch, expected: bool) -> None:
    """In auto where they are steep, on request where they are not level."""
    assert is_slope_wanted(degrees, switch) is expected


def photographed() -> Image:
    """A sheet on a table, seen at an angle."""
    source = np.array([[0, 0], [1024, 0], [1024, 768], [0, 768]], np.float32)
    target = np.array([[130, 120], [850, 70], [940, 700], [80, 640]], np.float32)
    transform = cv2.getPerspectiveTransform(source, target)
    return np.asarray(cv2.warpPerspective(page(), transform, (1024, 768), borderValue=(90, 90, 90)), np.uint8)
