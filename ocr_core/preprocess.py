"""Image or polygon -> upright line crops; line crops -> padded batch."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import cv2
import numpy as np
import numpy.typing as npt

from ocr_core.bundle import InputFormat
from ocr_core.layout.boxes import TALL_RATIO
from ocr_core.layout.seams import window_starts
from ocr_core.layout.shapes import corners, straightened
from ocr_core.types import Image, LineCrop, Point, Polygon

if TYPE_CHECKING:
    from ocr_core.engine import Batch

MAX_WIDTH = 1280
MAX_RATIO = 80 / 3
"""Lines of a greater width, or of a greater one in relation to their height, are read through windows: the recogniser's
memory grows with the width."""

OVERLAP_RATIO = 10 / 3
"""What two windows share at least, in heights."""
MAX_WINDOWS = 16
"""What is longer still is squeezed."""

_WINDOW_STEP = 32
"""Windows start at multiples of it, so that their timesteps fall on each other."""

# Few, because the engine keeps code for every width it has seen: 3.4 MB a network, and padding takes 6 % of the time.
_WIDTHS = (64, 128, 192, 256, 320, 384, 448, 512, 640, 768, 896, 1024, MAX_WIDTH)


def whole_image(image: Image) -> LineCrop:
    """The image as one line crop."""
    height, width = image.shape[:2]
    outline = (Point(0, 0), Point(width, 0), Point(width, height), Point(0, height))
    return LineCrop(image, Polygon(outline))


def crop_line(image: Image, polygon: Polygon) -> LineCrop:
    """Cut out `polygon` and flatten it to a rectangle of its mean side lengths."""
    places = corners(polygon)
    if len(places) != 4:
        return LineCrop(straightened(image, places), polygon)
    width = max(1, round(_mean_length(places[0] - places[1], places[3] - places[2])))
    height = max(1, round(_mean_length(places[0] - places[3], places[1] - places[2])))
    # Only the polygon's surroundings take part: warping costs by the size of its source as well.
    left, top = np.maximum(np.floor(places.min(axis=0)).astype(int) - 2, 0)
    right, bottom = np.ceil(places.max(axis=0)).astype(int) + 2
    target = np.array([[0, 0], [width, 0], [width, height], [0, height]], np.float32)
    origin = np.array([left, top], np.float32)
    # OpenCV's pixel centres are at whole numbers, ours at halves.
    transform = cv2.getPerspectiveTransform(places - origin - np.float32(0.5), target - np.float32(0.5))
    flat = cv2.warpPerspective(
        image[top:bottom, left:right],
        transform,
        (width, height),
        flags=cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_REPLICATE,
    )
    return LineCrop(np.asarray(flat, np.uint8), polygon)


def turn_if_vertical(crop: LineCrop) -> LineCrop:
    """Turn a high narrow crop by 90 degrees counter-clockwise, so that text that ran downwards runs to the right."""
    height, width = crop.image.shape[:2]
    return replace(turned(crop, 1), is_vertical=True) if height >= TALL_RATIO * width else crop


def turned(crop: LineCrop, quarters: int) -> LineCrop:
    """Turn a crop counter-clockwise by quarters of a circle; the polygon's first vertex goes along."""
    vertices = crop.polygon.vertices
    first = quarters % 4 * len(vertices) // 4
    image = np.ascontiguousarray(np.rot90(crop.image, quarters))
    return replace(crop, image=image, polygon=Polygon(vertices[first:] + vertices[:first]))


def stretched(crop: LineCrop, factor: float) -> LineCrop:
    """A wider crop: narrow letters get more timesteps."""
    height, width = crop.image.shape[:2]
    return replace(crop, image=resize(crop.image, round(factor * width), height))


def fitted_width(crop: LineCrop, wanted: InputFormat) -> int:
    """Width in pixels of the crop at the model's height, aspect kept, at most what MAX_WINDOWS cover."""
    height, width = crop.image.shape[:2]
    window = max_width(wanted)
    most = window + (MAX_WINDOWS - 1) * (window - _overlap(wanted))
    return int(min(max(1, math.ceil(wanted.height * width / height)), most))


def batch_width(crop: LineCrop, wanted: InputFormat) -> int:
    """Width of the batch in which the crop, or a window of it, is read: one of a small fixed set."""
    width = fitted_width(crop, wanted)
    return _in_set(max(_window_width(width, wanted) if is_long(crop, wanted) else width, wanted.min_width))


def window_count(crop: LineCrop, wanted: InputFormat) -> int:
    """Through how many windows the crop is read."""
    return len(_window_starts(fitted_width(crop, wanted), wanted)) if is_long(crop, wanted) else 1


def is_long(crop: LineCrop, wanted: InputFormat) -> bool:
    """Whether the crop is read through windows."""
    return fitted_width(crop, wanted) > max_width(wanted)


def max_width(wanted: InputFormat) -> int:
    """Width in pixels of the widest line that is read at once."""
    return min(MAX_WIDTH, int(MAX_RATIO * wanted.height))


def windows(crop: LineCrop, wanted: InputFormat) -> tuple[list[LineCrop], list[int]]:
    """Overlapping parts of a long crop, at the model's height, and columns where they start."""
    width = fitted_width(crop, wanted)
    window = _window_width(width, wanted)
    starts = _window_starts(width, wanted)
    line = resize(crop.image, width, wanted.height)
    return [replace(crop, image=line[:, start : start + window]) for start in starts], starts


def _window_starts(width: int, wanted: InputFormat) -> list[int]:
    return window_starts(width, _window_width(width, wanted), _overlap(wanted), _WINDOW_STEP)


def _window_width(width: int, wanted: InputFormat) -> int:
    """Of the windows of a long line that need the least of it twice."""
    overlap = _overlap(wanted)
    fewest = math.ceil((width - overlap) / (max_width(wanted) - overlap))
    counts = range(fewest, fewest + 2)
    widths = [_in_set(math.ceil((width + (count - 1) * overlap) / count)) for count in counts]
    # A window that is itself long would be squeezed into a narrower batch.
    return min(max_width(wanted), min(zip(counts, widths, strict=True), key=math.prod)[1])


def _overlap(wanted: InputFormat) -> int:
    return round(OVERLAP_RATIO * wanted.height)


def _in_set(width: int) -> int:
    """The width of the batches that hold a line of this one."""
    return _WIDTHS[bisect_left(_WIDTHS, width)]


def make_batch(crops: Sequence[LineCrop], wanted: InputFormat) -> Batch:
    """Resize crops to the model's height and pad them on the right to one width.

    Returns uint8 [batch, height, width, 3], channels in the model's order; the padding is what normalisation maps to 0.
    """
    width = wanted.width or max(batch_width(crop, wanted) for crop in crops)
    batch = np.empty((len(crops), wanted.height, width, 3), np.uint8)
    for row, crop in zip(batch, crops, strict=True):
        text_width = min(fitted_width(crop, wanted), width)
        text = resize(crop.image, text_width, wanted.height, into=row[:, :text_width])
        in_model_order(text, wanted, into=text)
        row[:, text_width:] = wanted.padding
    return batch


def in_model_order(image: Image, wanted: InputFormat, into: Image | None = None) -> Image:
    """An RGB image with its channels in the order that the model wants. into: as of resize."""
    if wanted.channels == "RGB":
        return image
    return np.asarray(cv2.cvtColor(image, cv2.COLOR_RGB2BGR, dst=into), np.uint8)


def resize(image: Image, width: int, height: int, into: Image | None = None) -> Image:
    """Resize, averaging over areas when shrinking: on lines over 32 px high this saves a tenth of the errors.

    into: where the result is put; for a new array OpenCV would wait for the interpreter once more.
    """
    shrinks = height < image.shape[0]
    interpolation = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(image, (width, height), dst=into, interpolation=interpolation), np.uint8)


def _mean_length(one: npt.NDArray[np.float32], other: npt.NDArray[np.float32]) -> float:
    return float(np.linalg.norm(one) + np.linalg.norm(other)) / 2
