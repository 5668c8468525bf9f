"""Tests of ocr_core.prepare.measures."""

import threading
from concurrent.futures import ThreadPoolExecutor

import cv2
import numpy as np
import pytest

from ocr_core.prepare.measures import Measures
from tests.ocr_core.prepare.drawn import flat, line, noisy, page


@pytest.mark.parametrize("deviation", [5, 12, 25])
def test_noise_is_measured_between_letters(deviation: float) -> None:
    """Within a third of its standard deviation, on a page full of text; a clean page has next to none."""
    image = flat(page(), 60, 190)
    assert Measures(noisy(image, deviation)).noise == pytest.approx(deviation, rel=0.33)
    assert Measures(image).noise < 1


def test_blur_is_measured_at_the_steepest_edges() -> None:
    """It grows with the blur that was put on, and is small on a sharp page."""
    blurs = [Measures(np.asarray(cv2.GaussianBlur(page(), (0, 0), sigma), np.uint8)).blur for sigma in (1.0, 2.0, 3.0)]
    assert Measures(page()).blur < 1.2
    assert blurs == sorted(blurs)
    assert blurs[1] == pytest.approx(2.0, rel=0.4)


@pytest.mark.parametrize("text_height", [10, 20, 36])
def test_letters_are_measured(text_height: int) -> None:
    """The height of capitals, within three pixels."""
    assert Measures(page(text_height=text_height)).text_height == pytest.approx(text_height, abs=3)


def test_levels_span_paper_and_letters() -> None:
    """Also where there are few letters on much paper."""
    image = np.full((2000, 1500, 3), 250, np.uint8)
    image[900:940, 600:1000] = line()
    low, high = Measures(flat(image, 100, 150)).levels
    assert low < 115
    assert high > 145


@pytest.mark.parametrize("size", [(4, 4), (4, 900), (900, 4), (513, 7)])
def test_images_of_any_shape_are_measured(size: tuple[int, int]) -> None:
    """Nothing fails where there is nothing to see."""
    measures = Measures(np.full((*size, 3), 128, np.uint8))
    assert measures.contrast == 0
    assert measures.noise == 0
    assert measures.blur == 0
    assert measures.text_height == 0
    assert measures.skew.degrees == 0


def test_images_are_measured_side_by_side(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is measured of an image in one thread does not wait for what is measured of another one elsewhere."""
    together = threading.Barrier(2, timeout=30)
    monkeypatch.setattr("ocr_core.prepare.measures.find_skew", lambda sketch: together.wait())
    with ThreadPoolExecutor(2) as pool:
        assert set(pool.map(lambda image: Measures(image).skew, [line(), line()])) == {0, 1}


def test_a_measure_is_taken_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who asks again gets the first answer."""
    answers = iter(range(9))
    monkeypatch.setattr("ocr_core.prepare.measures.find_skew", lambda sketch: next(answers))
    measures = Measures(line())
    assert (measures.skew, measures.skew) == (0, 0)
