"""Lines one below another that were found as one, cut apart where there is no ink between them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ocr_core.layout.boxes import are_tall, heights, level_boxes, line_heights
from ocr_core.layout.snapping import cut_along
from ocr_core.layout.unread import blanks, has_ink
from ocr_core.preprocess import crop_line
from ocr_core.types import Image, Polygon

_HIGH = 1.6
"""Polygons that are so many times as high as the median line may hold several."""
_LOWEST_ROW = 0.4
"""Median lines that each of them is high at least."""


def rows_apart(image: Image, polygons: Sequence[Polygon]) -> list[Polygon]:
    """The polygons, those of several level lines cut into one for each. image: the page that they are on."""
    if not polygons:
        return []
    boxes = level_boxes(polygons)
    usual = float(np.median(line_heights(boxes)))
    may_be_several = ~are_tall(boxes) & (heights(boxes) > _HIGH * usual)
    return [
        row
        for polygon, several in zip(polygons, may_be_several, strict=True)
        for row in (_rows(image, polygon, _LOWEST_ROW * usual) if several else [polygon])
    ]


def _rows(image: Image, polygon: Polygon, lowest: float) -> list[Polygon]:
    """A quadrilateral cut where no row of pixels has ink; as it is where the pieces would be too low for lines."""
    if len(polygon.vertices) != 4:
        return [polygon]
    crop = crop_line(image, polygon).image
    height = len(crop)
    gaps = blanks(has_ink(np.ascontiguousarray(np.swapaxes(crop, 0, 1))))
    cuts = [(start + end) / 2 for start, end in gaps.tolist() if start > 0 and end < height]
    if min(np.diff([0, *cuts, height])) < lowest:
        return [polygon]
    # With another corner as its first, the polygon is cut across instead of along.
    lying = Polygon(polygon.vertices[1:] + polygon.vertices[:1])
    pieces = cut_along(lying, [cut / height for cut in cuts])
    return [Polygon(piece.vertices[-1:] + piece.vertices[:-1]) for piece in pieces]
