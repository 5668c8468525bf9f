"""Hints which text names which: "Date: 2024-11-18", in one line, in two beside or below each other."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

import numpy as np

from ocr_core.layout.boxes import BOTTOM, LEFT, RIGHT, TOP, Boxes, heights
from ocr_core.structure import KeyValue

_PAIR = re.compile(r"\s*(?P<key>[^:：]{1,40}?)\s*[:：]\s*(?P<value>.*?)\s*$")
_MAX_WORDS = 5
_REACH = 8.0
"""Line heights to the right of a key within which its value begins."""


def find_key_values(boxes: Boxes, texts: Sequence[str]) -> list[KeyValue]:
    """Pairs by the line of their key, in the order of the lines. boxes: of the lines, on the level page."""
    return [pair for line, text in enumerate(texts) for pair in _pairs(boxes, texts, line, text)]


def _pairs(boxes: Boxes, texts: Sequence[str], line: int, text: str) -> Iterator[KeyValue]:
    found = _PAIR.match(text)
    if not found or not _is_key(found["key"], found["value"]):
        return
    if found["value"]:
        yield KeyValue(found["key"], found["value"], line, line)
    elif (value_line := _value_line(boxes, texts, line)) is not None:
        yield KeyValue(found["key"], texts[value_line], line, value_line)


def _is_key(key: str, value: str) -> bool:
    """A few words with a letter among them; neither a time of day nor the beginning of an address."""
    is_time = key[-1].isdigit() and value[:1].isdigit()
    return any(map(str.isalpha, key)) and len(key.split()) <= _MAX_WORDS and not is_time and value[:2] != "//"


def _value_line(boxes: Boxes, texts: Sequence[str], key: int) -> int | None:
    """The line to the right of a key, else the one right below it."""
    box, height = boxes[key], float(heights(boxes[[key]])[0])
    is_free = np.array([bool(text) and not _PAIR.match(text) for text in texts])
    shared = np.minimum(boxes[:, BOTTOM], box[BOTTOM]) - np.maximum(boxes[:, TOP], box[TOP])
    distance = boxes[:, LEFT] - box[RIGHT]
    beside = is_free & (shared > 0.5 * height) & (distance > -0.5 * height) & (distance < _REACH * height)
    beside[key] = False
    if beside.any():
        return int(np.where(beside, distance, np.inf).argmin())
    drop = boxes[:, TOP] - box[BOTTOM]
    below = is_free & (np.abs(boxes[:, LEFT] - box[LEFT]) < height) & (drop > -0.5 * height) & (drop < height)
    below[key] = False
    return int(np.where(below, drop, np.inf).argmin()) if below.any() else None
