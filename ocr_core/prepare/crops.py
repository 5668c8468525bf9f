"""Lines cut out of a prepared page, and an image that is one line: prepared, and placed in the source image."""

from __future__ import annotations

from collections.abc import Sequence

from ocr_core.prepare.measures import Measures
from ocr_core.prepare.placed_image import PlacedImage
from ocr_core.prepare.plan import prepare_crop, prepare_line
from ocr_core.prepare.steps import AppliedStep, Preparation
from ocr_core.preprocess import crop_line
from ocr_core.types import Image, LineCrop, Polygon

Applied = tuple[AppliedStep, ...]


def cut_lines(
    page: PlacedImage, polygons: Sequence[Polygon], measures: Measures, preparation: Preparation
) -> tuple[list[LineCrop], Applied]:
    """Crops of the lines, polygons in the source, and what was done to the page and to any of them, each step once.

    measures: of the page.
    """
    applied = {each.step: each for each in page.applied}
    crops = []
    for polygon in polygons:
        crop = prepare_crop(crop_line(page.image, polygon).image, measures, preparation)
        applied |= {each.step: each for each in crop.applied if each.step not in applied}
        crops.append(LineCrop(crop.image, page.in_source(polygon)))
    return crops, tuple(applied.values())


def whole_line(image: Image, preparation: Preparation) -> tuple[list[LineCrop], Applied]:
    """The image as its one line, its polygon in the source, and what was done to it."""
    line = prepare_line(image, preparation)
    return [LineCrop(line.image, line.outline())], line.applied
