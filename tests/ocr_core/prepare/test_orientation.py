"""Tests of ocr_core.prepare.orientation."""

import numpy as np
import pytest

from ocr_core.prepare.orientation import quarters_to_upright
from ocr_core.types import LineCrop, Point, Polygon

IMAGE = np.zeros((400, 400, 3), np.uint8)


def box(left: float, top: float, width: float, height: float) -> Polygon:
    right, bottom = left + width, top + height
    return Polygon((Point(left, top), Point(right, top), Point(right, bottom), Point(left, bottom)))


WIDE = [box(10, 20 * row, 200 + row, 16) for row in range(9)]
HIGH = [box(20 * column, 10, 16, 200 + column) for column in range(9)]
SQUARE = [box(300, 20 * row, 16, 16) for row in range(20)]


class Judge:
    """Says the same of every line, and counts how often it is asked."""

    def __init__(self, answer):
        self.answer = answer
        self.seen: list[LineCrop] = []

    def __call__(self, crop: LineCrop):
        self.seen.append(crop)
        return self.answer


def test_an_upright_page_costs_one_look_at_its_longest_line() -> None:
    """One line that is clearly upright decides; nothing is read for it."""
    look, read = Judge(0.01), Judge(1.0)
    assert quarters_to_upright(IMAGE, [*SQUARE, *WIDE], look, read) == 0
    assert [crop.image.shape[1] for crop in look.seen] == [208]
    assert read.seen == []


MARKED = IMAGE.copy()
MARKED[:, :20] = 255
"""Bright where lines begin, so that a crop shows whether it was turned."""


def marked(begins_bright: float, ends_bright: float):
    """Confidence by the end of the line at which it is bright."""
    return lambda crop: begins_bright if crop.image[0, 0, 0] else ends_bright


def test_a_page_on_its_head_is_turned_by_half() -> None:
    """When two of the longest lines are clearly upside down, and are read more surely turned."""
    look = Judge(0.99)
    assert quarters_to_upright(MARKED, WIDE, look, marked(0.4, 0.9)) == 2
    assert len(look.seen) == 2


def test_a_page_that_reads_better_as_it_is_stays() -> None:
    """Whatever the classifier says of its lines, which may be longer than any that it has seen."""
    assert quarters_to_upright(MARKED, WIDE, Judge(0.99), marked(0.9, 0.4)) == 0


@pytest.mark.parametrize("shares", [[0.99, 0.01, 0.02], [0.7] * 5 + [0.01] * 4, [0.5] * 9])
def test_doubtful_lines_turn_nothing(shares) -> None:
    """Neither one mistake, nor several guesses, nor lines that say nothing."""
    answers = iter(shares)
    assert quarters_to_upright(IMAGE, WIDE, lambda _: next(answers), Judge(1.0)) == 0


def reading(upright: float, lain: float):
    """Confidence by the width of what is read: squares side by side are narrower than the lines that they are of."""
    return lambda crop: lain if crop.image.shape[1] > 16 * 8 else upright


@pytest.mark.parametrize(("share", "expected"), [(0.01, 3), (0.99, 1)])
def test_a_page_on_its_side_is_turned_by_a_quarter(share, expected) -> None:
    """The side is told by the classifier, from lines turned by a quarter, which can be read."""
    polygons = [*HIGH, *WIDE[:2], *SQUARE]
    assert quarters_to_upright(IMAGE, polygons, Judge(share), reading(0.2, 0.9)) == expected


def test_columns_of_characters_are_left() -> None:
    """They can be read lying on their side, but upright as well."""
    assert quarters_to_upright(IMAGE, HIGH, Judge(0.01), reading(0.9, 0.95)) == 0


def test_high_shapes_that_are_no_text_are_left() -> None:
    """What cannot be read either way turns nothing."""
    assert quarters_to_upright(IMAGE, HIGH, Judge(0.99), reading(0.1, 0.3)) == 0


@pytest.mark.parametrize("polygons", [[], SQUARE])
def test_a_page_without_long_lines_is_left(polygons) -> None:
    """There is nothing to tell from."""
    assert quarters_to_upright(IMAGE, polygons, Judge(0.99), Judge(1.0)) == 0
