"""Lines of a page that is upright and level; of one that is not they are looked for again once it is turned."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from ocr_core.layout.order import reading_order
from ocr_core.layout.scale import covered_share
from ocr_core.layout.shapes import corners
from ocr_core.prepare.acts import level
from ocr_core.prepare.measures import Measures
from ocr_core.prepare.orientation import Sureness, UpsideDown, quarters_to_upright
from ocr_core.prepare.placed_image import PlacedImage
from ocr_core.prepare.plan import is_slope_wanted, view_of
from ocr_core.prepare.skew import page_slope
from ocr_core.prepare.steps import AppliedStep, Preparation, Step, Switch
from ocr_core.types import Image, Polygon

_SEEN_SHARE = 0.3
"""Of a line's area on the sloping page that lines of the level one cover when it is among them."""

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
    """The page as it was or turned by quarters, and the polygons of its lines in it.

    Steps done to see them count as applied. measures: of the page.
    """
    look = _look(measures, preparation, find)
    if preparation.switch(Step.ORIENTATION) is not Switch.OFF:
        quarters = quarters_to_upright(page.image, look.polygons, upside_down, sureness)
        if quarters:
            page = page.turned(quarters, AppliedStep(Step.ORIENTATION, 90.0 * quarters))
            look = _look(Measures(page.image), preparation, find)
    slope = page_slope(look.polygons)
    if is_slope_wanted(slope, preparation.switch(Step.DESKEW)):
        look = _with_what_it_lost(_level_look(page.image, -slope, preparation, find), look)
    return replace(page, applied=page.applied + look.applied), look.polygons


@dataclass(frozen=True, slots=True)
class _Look:
    """polygons: in the page; applied: what was done to a view of it in which they were found."""

    polygons: Polygons
    applied: tuple[AppliedStep, ...]


def _look(page: Measures, preparation: Preparation, find: Find) -> _Look:
    view = view_of(page, preparation)
    return _Look(tuple(map(view.in_source, find(view.image))), view.applied)


def _level_look(page: Image, degrees: float, preparation: Preparation, find: Find) -> _Look:
    """Lines found in a page turned level, placed in the page as it is: they are read best in pixels moved but once."""
    view = level(PlacedImage.unprepared(page), degrees)
    look = _look(Measures(view.image), preparation, find)
    return _Look(tuple(map(view.in_source, look.polygons)), view.applied + look.applied)


def _with_what_it_lost(levelled: _Look, sloping: _Look) -> _Look:
    """The lines of the level view, and those that were seen on the sloping page alone: not all slope like most."""
    seen = [corners(polygon) for polygon in levelled.polygons]
    lost = [polygon for polygon in sloping.polygons if covered_share(corners(polygon), seen) < _SEEN_SHARE]
    return replace(levelled, polygons=reading_order([*levelled.polygons, *lost])) if lost else levelled
