"""Which steps are done: those that a request switches on, and in auto those whose rule holds for the image's measures.

The rules were chosen by `python -m bench.preparation`; docs/benchmarks.md has the table. A step without a rule was
found not to pay, and is done on request alone.

Detectors want light and contrast that recognisers do without: stretching a faint page finds lines that were not seen
before, and stretching the lines themselves makes them worse to read. So such steps are done to a view of the page in
which lines are looked for, and the lines are cut out of the page as it is.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ocr_core.prepare import acts
from ocr_core.prepare.measures import Measures
from ocr_core.prepare.placed_image import PlacedImage
from ocr_core.prepare.steps import Preparation, Step, Switch
from ocr_core.types import Image


@dataclass(frozen=True, slots=True)
class _Planned:
    """helps: whether the step does, by the measures and the shorter side of the image that it would be done to."""

    step: Step
    act: Callable[[PlacedImage, Measures], PlacedImage]
    helps: Callable[[Measures, int], bool] | None = None


def _is_faint(page: Measures, _: int) -> bool:
    """A page with less contrast than the noise of an empty one has nothing to be stretched."""
    return 15 < page.contrast < 110


def _is_noisy(image: Measures, height: int) -> bool:
    """Low lines have no pixels to spare for smoothing."""
    return image.noise > 8 and height >= 16


def _is_blurred(image: Measures, height: int) -> bool:
    return image.noise < 3 and image.blur > max(1.2, 0.05 * height)


def _is_low(_: Measures, height: int) -> bool:
    return height < 14


def _is_sloping(line: Measures, height: int) -> bool:
    """However long a line is, its image is lower than this when it slopes by five degrees."""
    if line.image.shape[1] > 12 * height:
        return False
    return abs(line.skew.degrees) >= 3 and line.skew.clearness >= 1.45


_PAGE = (
    _Planned(Step.PERSPECTIVE, acts.flatten),
    _Planned(Step.LOCAL_CONTRAST, acts.equalise),
    _Planned(Step.GREY, acts.drop_colour),
    _Planned(Step.BINARISE, acts.binarise),
)
_VIEW = (
    _Planned(Step.SHADOW, acts.light),
    _Planned(Step.CONTRAST, acts.stretch, _is_faint),
    _Planned(Step.ENLARGE, acts.enlarge_page),
)
_CROP = (
    _Planned(Step.CONTRAST, acts.stretch),
    _Planned(Step.DENOISE, acts.denoise, _is_noisy),
    _Planned(Step.SHARPEN, acts.sharpen),
    _Planned(Step.ENLARGE, acts.enlarge_line),
)
_LINE = (
    _Planned(Step.DESKEW, acts.level_line, _is_sloping),
    _Planned(Step.CONTRAST, acts.stretch),
    _Planned(Step.LOCAL_CONTRAST, acts.equalise),
    _Planned(Step.GREY, acts.drop_colour),
    _Planned(Step.DENOISE, acts.denoise, _is_noisy),
    _Planned(Step.SHARPEN, acts.sharpen, _is_blurred),
    _Planned(Step.BINARISE, acts.binarise),
    _Planned(Step.ENLARGE, acts.enlarge_line, _is_low),
)

_STEEP = 3.0
"""Degrees; the detector finds lines that slope less just as well."""


def prepare_page(measures: Measures, preparation: Preparation) -> PlacedImage:
    """What is done to a page for good. measures: of the page as it was sent."""
    return _prepared(measures, preparation, _PAGE)


def view_of(page: Measures, preparation: Preparation) -> PlacedImage:
    """A page as lines are looked for in it, placed in the page."""
    return _prepared(page, preparation, _VIEW)


def prepare_crop(crop: Image, page: Measures, preparation: Preparation) -> PlacedImage:
    """A line cut out of a page, by the measures of the page: those of each line would cost more than they gain."""
    placed = PlacedImage.unprepared(crop)
    for planned in _CROP:
        if _is_wanted(planned, preparation, page, min(placed.image.shape[:2])):
            placed = planned.act(placed, page)
    return placed


def prepare_line(image: Image, preparation: Preparation) -> PlacedImage:
    """An image of one line: the cheap steps. image: RGB, uint8 [height, width, 3]."""
    return _prepared(Measures(image), preparation, _LINE)


def is_slope_wanted(degrees: float, switch: Switch) -> bool:
    """Whether a page whose lines slope by so many degrees is turned, which means to look for its lines again."""
    return switch is not Switch.OFF and abs(degrees) >= (_STEEP if switch is Switch.AUTO else acts.LEVEL)


def _prepared(measures: Measures, preparation: Preparation, steps: Sequence[_Planned]) -> PlacedImage:
    placed = PlacedImage.unprepared(measures.image)
    for planned in steps:
        if _is_wanted(planned, preparation, measures, min(placed.image.shape[:2])):
            placed = planned.act(placed, measures)
            if placed.image is not measures.image:
                measures = Measures(placed.image)
    return placed


def _is_wanted(planned: _Planned, preparation: Preparation, measures: Measures, height: int) -> bool:
    match preparation.switch(planned.step):
        case Switch.AUTO:
            return planned.helps is not None and planned.helps(measures, height)
        case switch:
            return switch is Switch.ON
