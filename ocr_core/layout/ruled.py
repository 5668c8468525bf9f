"""Tables by the lines that are drawn around their cells."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import cv2
import numpy as np
import numpy.typing as npt

from ocr_core.layout.grids import Grid, GridCell
from ocr_core.types import Image

_MAX_SIDE = 1600
"""Rules are looked for in a copy of at most so many pixels a side."""
_INK = 12
"""Grey levels by which a rule differs from its surroundings."""
_BORDER_SHARE = 0.6
"""Share of a border that must be drawn."""
_CLUSTER = 0.35
"""Rules closer than this many line heights are one."""

Mask = npt.NDArray[np.uint8]
"""255 on rules, uint8 [height, width]."""

_Rect = tuple[int, int, int, int]
"""First row, first column, last row, last column, in units of the grid; last ones not included."""


def find_ruled(image: Image, line_height: float, slant: float) -> list[Grid]:
    """Grids of the tables that are drawn. line_height: of the text, in pixels; slant: of the page, in radians."""
    scale = min(1.0, _MAX_SIDE / max(image.shape[:2]))
    height = max(6.0, line_height * scale)
    level = _level(image, scale, slant)
    across, down = _rules(level, (round(2 * height), 1)), _rules(level, (1, round(1.3 * height)))
    both = cv2.dilate(across | down, np.ones((3, 3), np.uint8))
    count, _, stats, _ = cv2.connectedComponentsWithStats(both, connectivity=8)
    grids = []
    for left, top, width, tall, _ in stats[1:count].tolist():
        if width < 3 * height or tall < 1.5 * height:
            continue
        part = np.s_[top : top + tall, left : left + width]
        grid = _grid(across[part], down[part], _CLUSTER * height, (left, top), scale, slant)
        grids += [grid] if grid else []
    return grids


def _level(image: Image, scale: float, slant: float) -> npt.NDArray[np.uint8]:
    """The image in grey, turned level about its origin, smaller."""
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    height, width = grey.shape
    along, across = scale * math.cos(slant), scale * math.sin(slant)
    size = round(scale * width), round(scale * height)
    if abs(slant) < 0.002:
        shrunk = cv2.resize(grey, size, interpolation=cv2.INTER_AREA) if scale < 1 else grey
        return np.asarray(shrunk, np.uint8)
    turn = np.array([[along, across, 0], [-across, along, 0]])
    turned = cv2.warpAffine(grey, turn, size, flags=cv2.INTER_AREA, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(turned, np.uint8)


def _rules(grey: npt.NDArray[np.uint8], kernel: tuple[int, int]) -> Mask:
    """Straight lines at least as long as the kernel, (width, height), dark on light or light on dark."""
    around = cv2.blur(grey, (25, 25))
    ink = cv2.subtract(around, grey) if grey.mean() > 110 else cv2.subtract(grey, around)
    mask = np.where(ink > _INK, np.uint8(255), np.uint8(0))
    # A rule that is a little slanted or broken leaves the row that the kernel sees.
    bridge = (5, 3) if kernel[0] > kernel[1] else (3, 5)
    mask = np.asarray(cv2.morphologyEx(mask, cv2.MORPH_CLOSE, np.ones(bridge[::-1], np.uint8)), np.uint8)
    return np.asarray(cv2.morphologyEx(mask, cv2.MORPH_OPEN, np.ones(kernel[::-1], np.uint8)), np.uint8)


def _grid(across: Mask, down: Mask, cluster: float, origin: tuple[int, int], scale: float, slant: float) -> Grid | None:
    """The grid of one group of rules that touch; None without two rows and two columns."""
    ys, xs = _positions(across, 0, cluster), _positions(down, 1, cluster)
    if len(ys) < 3 or len(xs) < 3:
        return None
    rects = list(_cells(across, down, xs, ys))
    # Strokes of letters look like short rules, but border no cell.
    rows, columns = ({rect[start] for rect in rects} | {rect[start + 2] for rect in rects} for start in (0, 1))
    row_of, column_of = ({place: number for number, place in enumerate(sorted(used))} for used in (rows, columns))
    if len(rows) < 3 or len(columns) < 3:
        return None
    cells = [
        GridCell(
            row_of[top],
            column_of[left],
            row_of[bottom] - row_of[top],
            column_of[right] - column_of[left],
            (
                (origin[0] + xs[left]) / scale,
                (origin[1] + ys[top]) / scale,
                (origin[0] + xs[right]) / scale,
                (origin[1] + ys[bottom]) / scale,
            ),
        )
        for top, left, bottom, right in rects
    ]
    return Grid(len(rows) - 1, len(columns) - 1, is_ruled=True, slant=slant, cells=tuple(cells))


def _positions(rules: Mask, axis: int, cluster: float) -> list[float]:
    """Where rules lie on an axis: rows of those across (0), columns of those down (1); near ones are one."""
    count, _, stats, centres = cv2.connectedComponentsWithStats(rules, connectivity=8)
    length = stats[1:count, cv2.CC_STAT_WIDTH if axis == 0 else cv2.CC_STAT_HEIGHT]
    found = sorted(zip(centres[1:count, 1 - axis].tolist(), length.tolist(), strict=True))
    groups: list[list[tuple[float, int]]] = []
    for place, weight in found:
        if groups and place - groups[-1][-1][0] <= cluster:
            groups[-1].append((place, weight))
        else:
            groups.append([(place, weight)])
    return [float(np.average([place for place, _ in group], weights=[w for _, w in group])) for group in groups]


def _cells(across: Mask, down: Mask, xs: Sequence[float], ys: Sequence[float]) -> Iterator[_Rect]:
    """Rectangles of grid units that no border divides, by row, then column."""
    rows, columns = len(ys) - 1, len(xs) - 1
    below = [[_is_drawn(across, 0, ys[i + 1], xs[j], xs[j + 1]) for j in range(columns)] for i in range(rows)]
    right = [[_is_drawn(down, 1, xs[j + 1], ys[i], ys[i + 1]) for j in range(columns)] for i in range(rows)]
    taken = np.zeros((rows, columns), bool)
    for i in range(rows):
        for j in range(columns):
            if taken[i, j]:
                continue
            last_column = next((k for k in range(j, columns) if right[i][k] or k + 1 == columns or taken[i, k + 1]), j)
            last_row = i
            while last_row + 1 < rows and not any(below[last_row][j : last_column + 1]):
                last_row += 1
            taken[i : last_row + 1, j : last_column + 1] = True
            yield i, j, last_row + 1, last_column + 1


def _is_drawn(rules: Mask, axis: int, place: float, start: float, end: float) -> bool:
    """Whether most of a border is drawn: at the row (axis 0) or column (1) `place`, from start to end."""
    at = slice(max(0, round(place) - 3), round(place) + 4)
    along = slice(round(start) + 2, max(round(end) - 1, round(start) + 3))
    strip = rules[at, along].max(axis=0) if axis == 0 else rules[along, at].max(axis=1)
    return bool(strip.mean() > _BORDER_SHARE * 255) if strip.size else False
