"""Lines of a page that stands upright and level; one that does not is turned, and its lines are looked for again."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from ocr_core.prepare.acts import level
from ocr_core.prepare.measures import Measures
from ocr_core.prepare.orientation import Sureness, UpsideDown, quarters_to_upright
from ocr_core.prepare.placed_image import PlacedImage
from ocr_core.prepare.plan import is_slope_wanted, view_of
from ocr_core.prepare.skew import page_slope
from ocr_core.prepare.steps import AppliedStep, Preparation, Step, Switch
from ocr_core.types import Image, Polygon

Polygons = tuple[Polygon, ...]
Find = Callable[[Image], Polygons]
"""Polygons of the lines of an image."""


def find_upright(
    page: PlacedImage,
    measures: Measures,
    preparation: Preparation,
    find: Find,
    upside_down: UpsideDown,
    sureness: Sureness,
) -> tuple[PlacedImage, Polygons]:
    """The page as it was or turned, and the polygons of its lines in it; steps done to see them count as applied.

    measures: of the page.
    """
    look = _look(measures, preparation, find)
    if preparation.switch(Step.ORIENTATION) is not Switch.OFF:
        quarters = quarters_to_upright(page.image, look.polygons, upside_down, sureness)
        if quarters:
            page = page.turned(quarters, AppliedStep(Step.ORIENTATION, 90.0 * quarters))
            look = _look(Measures(page.image), preparation, find)
    slope = page_slope(look.polygons)
    if is_slope_wanted(slope, preparation.switch(Step.DESKEW)):
        page = level(page, -slope)
        look = _look(Measures(page.image), preparation, find)
    return replace(page, applied=page.applied + look.applied), look.polygons


@dataclass(frozen=True, slots=True)
class _Look:
    """polygons: in the page; applied: what was done to a view of it in which they were found."""

    polygons: Polygons
    applied: tuple[AppliedStep, ...]


def _look(page: Measures, preparation: Preparation, find: Find) -> _Look:
    view = view_of(page, preparation)
    return _Look(tuple(map(view.in_source, find(view.image))), view.applied)
