"""Tests of training.compress.ranges."""

from pathlib import Path

from ocr_core.bundle import Kind, Registry
from ocr_core.image import load_image
from ocr_core.image_limits import ImageLimits
from ocr_core.pipeline import DETECTOR
from training.compress.ranges import greatest
from training.recipe import MODELS

PAGE = Path(__file__).parents[2] / "data" / "page_small.jpg"


def test_the_ranges_of_the_detector_hold_what_a_page_needs() -> None:
    """They are the greatest of this page and others, so no smaller and not twice as large."""
    of_bundle = Registry(MODELS).find(DETECTOR, Kind.DETECTOR).int8_inputs
    of_page = greatest(MODELS, DETECTOR, [load_image(PAGE.read_bytes(), ImageLimits())], len(of_bundle))
    assert len(of_page) == 2
    assert all(page < bundle + 1 < 2 * page for page, bundle in zip(of_page, of_bundle, strict=True))
