"""Parts of a line that were passed over: there is ink, but no character was emitted for a long way.

Recognisers of lines do this where a line is unlike those that they learned from; the part alone they read.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import cv2
import numpy as np
import numpy.typing as npt

from ocr_core.types import Image

Span = tuple[int, int]
"""First column, and one past the last."""

_MIN_LENGTH = 2.5
"""Heights without a character between two, or between one and an end, that are suspicious."""
_MIN_INK = 0.6
"""Heights of columns with ink that such a part has at least."""
_INK_SHARE = 0.4
"""Share of the line's contrast that a column with ink has."""
_WORD_GAP = 0.2
"""Heights without ink between two words."""


def unread_spans(image: Image, peaks: Sequence[float]) -> list[Span]:
    """Columns to be read again on their own. peaks: columns of the characters that were emitted, in order.

    A line without any is cut at its widest gap between words, as reading the same again would give the same.
    """
    height, width = image.shape[:2]
    if not peaks:
        return _halves(image)
    # A character reaches half a height to either side.
    reach = height // 2
    borders = [0, *(round(peak) for peak in peaks), width]
    spans = [
        (start + reach * (number > 0), end - reach * (number + 2 < len(borders)) // 2)
        for number, (start, end) in enumerate(itertools.pairwise(borders))
        if end - start > _MIN_LENGTH * height
    ]
    if not spans:
        return []
    ink = has_ink(image)
    return [span for span in spans if ink[slice(*span)].sum() > _MIN_INK * height]


def has_ink(image: Image) -> npt.NDArray[np.bool_]:
    """Which columns of a line crop have ink, bool [width]."""
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    margin = len(grey) // 6
    inner = grey[margin : len(grey) - margin].astype(np.int16)
    contrast = inner.max(axis=0) - inner.min(axis=0)
    return np.asarray(contrast > _INK_SHARE * max(int(contrast.max()), 1))


def blanks(ink: npt.NDArray[np.bool_]) -> npt.NDArray[np.intp]:
    """First column, and one past the last, of each stretch without ink; int [stretch, 2]."""
    edges = np.flatnonzero(np.diff(np.concatenate([[True], ink, [True]]).astype(np.int8)))
    return edges.reshape(-1, 2)


def _halves(image: Image) -> list[Span]:
    height, width = image.shape[:2]
    if width < _MIN_LENGTH * height:
        return []
    inner = [(start, end) for start, end in blanks(has_ink(image)).tolist() if start > 0 and end < width]
    start, end = max(inner, key=lambda gap: gap[1] - gap[0], default=(0, 0))
    return [(0, (start + end) // 2), ((start + end) // 2, width)] if end - start >= _WORD_GAP * height else []
