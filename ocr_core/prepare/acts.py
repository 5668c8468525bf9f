"""What each step does to an image, given its measures. Where there is nothing to do, the image comes back as it is."""

from __future__ import annotations

import numpy as np

from ocr_core.prepare import detail, tone
from ocr_core.prepare.document import distortion, find_sheet, flattening
from ocr_core.prepare.measures import Measures
from ocr_core.prepare.placed_image import PlacedImage, levelling
from ocr_core.prepare.skew import text_extent
from ocr_core.prepare.steps import AppliedStep, Step

_SQUARE = 2.0
"""Degrees; a sheet whose corners are this near to right angles is not flattened."""

LEVEL = 0.2
"""Degrees; lines this near to level are not turned."""

_GOOD_TEXT_HEIGHT = 16.0
_LARGEST_FACTOR = 2.0
_LARGEST_SIDE = 1280
_GOOD_LINE_HEIGHT = 48


def flatten(page: PlacedImage, measures: Measures) -> PlacedImage:
    """Perspective of a sheet of paper taken out."""
    height, width = page.image.shape[:2]
    sheet = find_sheet(measures.sketch)
    if sheet is None or distortion(sheet) < _SQUARE:
        return page
    sketch_height, sketch_width = measures.sketch.shape
    transform, size = flattening(
        sheet * np.array([width / sketch_width, height / sketch_height], np.float32), (width, height)
    )
    return page.warped(transform, size, AppliedStep(Step.PERSPECTIVE))


def light(page: PlacedImage, measures: Measures) -> PlacedImage:
    """Shadows taken out."""
    return page.with_pixels(tone.evenly_lit(page.image, measures.paper), AppliedStep(Step.SHADOW))


def stretch(image: PlacedImage, measures: Measures) -> PlacedImage:
    """Contrast drawn apart to nearly the whole range."""
    low, high = measures.levels
    return image.with_pixels(tone.stretched(image.image, low, high), AppliedStep(Step.CONTRAST, tone.gain(low, high)))


def equalise(image: PlacedImage, _: Measures) -> PlacedImage:
    """Contrast made even over the image."""
    return image.with_pixels(tone.locally_stretched(image.image), AppliedStep(Step.LOCAL_CONTRAST))


def drop_colour(image: PlacedImage, _: Measures) -> PlacedImage:
    """Luminance alone."""
    return image.with_pixels(tone.without_colour(image.image), AppliedStep(Step.GREY))


def denoise(image: PlacedImage, _: Measures) -> PlacedImage:
    """Noise smoothed."""
    return image.with_pixels(detail.denoised(image.image), AppliedStep(Step.DENOISE))


def sharpen(image: PlacedImage, measures: Measures) -> PlacedImage:
    """Edges made steeper."""
    return image.with_pixels(detail.sharpened(image.image, measures.blur), AppliedStep(Step.SHARPEN))


def binarise(image: PlacedImage, _: Measures) -> PlacedImage:
    """Black and white."""
    return image.with_pixels(tone.binarised(image.image), AppliedStep(Step.BINARISE))


def enlarge_page(page: PlacedImage, measures: Measures) -> PlacedImage:
    """Small letters made as large as the detector likes them, as far as it looks at so many pixels."""
    room = _LARGEST_SIDE / max(page.image.shape[:2])
    factor = min(_GOOD_TEXT_HEIGHT / max(measures.text_height, 1.0), _LARGEST_FACTOR, room)
    return page.scaled(factor, AppliedStep(Step.ENLARGE, factor)) if factor > 1.1 else page


def enlarge_line(line: PlacedImage, _: Measures) -> PlacedImage:
    """A low line made higher than the recogniser wants it, smoothly."""
    factor = _GOOD_LINE_HEIGHT / min(line.image.shape[:2])
    return line.scaled(factor, AppliedStep(Step.ENLARGE, factor)) if factor > 1 else line


def level(image: PlacedImage, degrees: float) -> PlacedImage:
    """Turned clockwise by so many degrees; nothing is cut off."""
    transform, size = levelling((image.image.shape[1], image.image.shape[0]), degrees)
    return image.warped(transform, size, AppliedStep(Step.DESKEW, degrees))


def level_line(line: PlacedImage, measures: Measures) -> PlacedImage:
    """Turned until it is level, and cut to where its letters are."""
    if abs(measures.skew.degrees) < LEVEL:
        return line
    turned = level(line, -measures.skew.degrees)
    sketch = Measures(turned.image).sketch
    scale = turned.image.shape[1] / sketch.shape[1]
    left, top, right, bottom = (round(place * scale) for place in text_extent(sketch))
    return turned.cut(left, top, right, bottom)
