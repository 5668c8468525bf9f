"""Words and their places."""

from __future__ import annotations

import pytest

from ocr_core.page_output import Box, box, line_box, words, xml_text
from ocr_core.types import Line, Point, Polygon
from tests.ocr_core.page_samples import LEVEL, MIXED, RECOGNITION, VERTICAL, rectangle, spread


def test_words_are_placed_by_their_characters():
    """A word reaches from its first character to its last; its confidence is their mean."""
    first, second, third, fourth = words(LEVEL)
    assert [word.text for word in (first, second, third, fourth)] == ["Level", "<words>", "&", '"more"']
    assert first.corners == ((100, 200), (200, 200), (200, 240), (100, 240))
    assert second.corners[0] == (220, 200)
    assert fourth.corners[1] == (540, 200)
    assert first.confidence == 0.5


def test_without_characters_wide_ones_take_twice_the_room():
    """Where the places of characters are not known, Chinese ones count as two letters."""
    chinese, *_ = words(MIXED)
    assert (chinese.text, chinese.confidence) == ("送货单", 0.75)
    assert chinese.corners[1] == (pytest.approx(100 + 600 * 6 / 20), 100)


def test_words_of_a_vertical_line_follow_it():
    """Along the first side of the polygon, wherever that points."""
    line = Line("一二 三四", 1.0, VERTICAL.polygon, spread("一二 三四", 300))
    upper, lower = words(line)
    assert upper.corners == ((600, 300), (600, 420), (560, 420), (560, 300))
    assert lower.corners[0] == (600, 480)


def test_words_of_a_curved_line_lie_on_the_curve():
    """With more vertices, the first half is the tops of the letters and the rest, backwards, their feet."""
    top = (Point(0, 100), Point(100, 0), Point(200, 100))
    feet = (Point(200, 150), Point(100, 50), Point(0, 150))
    length = 2 * 100 * 2**0.5
    first, second = words(Line("a b", 1.0, Polygon(top + feet), spread("a b", length)))
    assert first.corners[0] == (0, 100)
    assert first.corners[1] == (pytest.approx(200 / 3), pytest.approx(100 / 3))
    assert second.corners[1] == (pytest.approx(200), pytest.approx(100))
    assert second.corners[2] == (pytest.approx(200), pytest.approx(150))


@pytest.mark.parametrize("text", ["", "   "])
def test_a_line_without_text_has_no_words(text):
    """Neither an empty line nor white space is a word."""
    assert words(Line(text, 0.0, rectangle(0, 0, 10, 10))) == []


def test_boxes_stay_inside_the_page():
    """A box has whole pixels around its corners, cut at the borders of the page."""
    assert box([(-5.5, 10.2), (2000, 20.7)], RECOGNITION) == Box(0, 10, 827, 21)
    assert box([(-9, -9), (-5, -5)], RECOGNITION) == Box(0, 0, 0, 0)
    assert line_box(VERTICAL, RECOGNITION) == Box(560, 300, 600, 600)


def test_what_xml_cannot_hold_is_replaced():
    """Control characters and halves of pairs leave a mark; all else stays."""
    assert xml_text("a\x00b\x1fc\ud800d\ufffe") == "a\ufffdb\ufffdc\ufffdd\ufffd"
    assert xml_text("送\t<&>\n𠀋") == "送\t<&>\n𠀋"
