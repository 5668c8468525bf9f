"""The crop of a line as a detector would cut it: tight or loose, tilted, in perspective, on a curve."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from ocr_core.types import Image
from training.synth.pixels import Array, Field, to_field, to_image
from training.synth.render import Drawn
from training.synth.rolls import Rolls

_MIN_SIDE = 6


@dataclass(frozen=True, slots=True)
class _Bend:
    """A line on an arch. reach: pixels the ends are off the middle; middle: where that is, a share of the width."""

    reach: float
    middle: float


def cut_line(drawn: Drawn, rolls: Rolls) -> Image:
    """Cut the line out of its canvas. Returns RGB, uint8 [height, width, 3]."""
    left, top, right, bottom = _edges(drawn, rolls)
    shifts = _corner_shifts(right - left, bottom - top, rolls)
    bend = _bend(right - left, bottom - top, rolls) if rolls.does("curve") else _Bend(0.0, 0.5)
    # What is turned or bent fills a taller crop.
    slack = 0.6 * float(np.abs(shifts[:, 1]).max()) + 0.4 * abs(bend.reach)
    top, bottom = top - slack, bottom + slack
    stretch = float(np.exp(rolls.between(-0.35, 0.3))) if rolls.does("stretch") else 1.0
    height, width = max(_MIN_SIDE, round(bottom - top)), max(_MIN_SIDE, round((right - left) * stretch))
    wobble = rolls.does("wobble")
    if not shifts.any() and not bend.reach and not wobble and stretch == 1.0:
        return to_image(_slice(drawn.canvas, round(left), round(top), width, height))
    corners = to_field([[left, top], [right, top], [right, bottom], [left, bottom]]) + shifts
    target = to_field([[0, 0], [width, 0], [width, height], [0, height]])
    matrix = cv2.getPerspectiveTransform(target, corners)
    if bend.reach or wobble:
        return to_image(_warped(drawn.canvas, matrix, (height, width), bend, wobble, rolls))
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    size = width, height
    return to_image(cv2.warpPerspective(drawn.canvas, matrix, size, flags=flags, borderMode=cv2.BORDER_REFLECT_101))


def _edges(drawn: Drawn, rolls: Rolls) -> tuple[float, float, float, float]:
    """The box of the ink with margins, each side by itself; a tight cut may shave the ink."""
    left, top, right, bottom = drawn.box
    height = bottom - top
    if rolls.does("tight"):
        low, high = -0.05, 0.05
    elif rolls.does("loose"):
        low, high = 0.12, 0.4
    else:
        low, high = 0.02, 0.14
    margins = [rolls.between(low, high) * height for _ in range(4)]
    return left - margins[0], top - margins[1], right + margins[2], bottom + margins[3]


def _corner_shifts(width: float, height: float, rolls: Rolls) -> Field:
    """How far the four corners are off, float32 [4, 2]."""
    shifts = np.zeros((4, 2), np.float32)
    if rolls.does("tilt"):
        # A long line leaves its crop at small angles: what matters is how far its end has moved.
        rise = float(np.clip(rolls.between(-0.05, 0.05) * width, -0.3 * height, 0.3 * height))
        shifts[:, 1] += to_field([-rise, rise, rise, -rise]) / 2
        shifts[:, 0] += rolls.between(-0.06, 0.06) * height * to_field([1, 1, -1, -1])
    if rolls.does("perspective"):
        reach = to_field([min(0.3 * height, 0.06 * width), 0.16 * height])
        shifts += np.clip(0.5 * rolls.normal(4, 2), -1, 1) * reach
    return shifts


def _bend(width: float, height: float, rolls: Rolls) -> _Bend:
    reach = min(0.45, 0.06 + 0.05 * width / height) * height
    return _Bend(rolls.between(-reach, reach), rolls.between(0.3, 0.7))


def _warped(canvas: Field, matrix: Array, shape: tuple[int, int], bend: _Bend, wobble: bool, rolls: Rolls) -> Array:
    """A cut along a curve, over waves of paper."""
    height, width = shape
    rows, columns = map(to_field, np.mgrid[:height, :width])
    along = 2 * (columns / width - bend.middle)
    rows = to_field(rows + bend.reach * (along**2 - 0.4))
    if wobble:
        strength = rolls.between(0.01, 0.035) * height
        rows = rows + strength * rolls.field(height, width, height * rolls.between(0.5, 1.5))
        columns = columns + strength * rolls.field(height, width, height * rolls.between(0.5, 1.5))
    points = cv2.perspectiveTransform(np.stack([columns, rows], -1).reshape(1, -1, 2), matrix).reshape(height, width, 2)
    return cv2.remap(canvas, points[..., 0], points[..., 1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101)


def _slice(canvas: Field, left: int, top: int, width: int, height: int) -> Field:
    """A part of the canvas; columns and rows beyond its edge repeat the edge."""
    rows = np.clip(np.arange(top, top + height), 0, canvas.shape[0] - 1)
    columns = np.clip(np.arange(left, left + width), 0, canvas.shape[1] - 1)
    return (
        canvas[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
        if _inside(rows, columns)
        else canvas[np.ix_(rows, columns)]
    )


def _inside(rows: Array, columns: Array) -> bool:
    return bool(rows[-1] - rows[0] + 1 == len(rows) and columns[-1] - columns[0] + 1 == len(columns))
