"""Tests of ocr_core.layout.unread."""

import numpy as np
import numpy.typing as npt

from ocr_core.layout.unread import blanks, has_ink, unread_spans


def line(*words: tuple[int, int]) -> npt.NDArray[np.uint8]:
    """A line 30 pixels high and 400 wide with strokes at every fourth column of each word."""
    image = np.full((30, 400, 3), 240, np.uint8)
    for start, end in words:
        image[6:24, start:end:2] = 20
    return image


def test_ink_without_characters_is_read_again() -> None:
    """Two words of which the second alone was read: the first is a span of its own, up to the second."""
    ((start, end),) = unread_spans(line((10, 150), (200, 390)), [215, 240, 270, 300, 330, 360, 380])
    assert start == 0
    assert 150 <= end <= 215


def test_what_was_read_is_not_read_again() -> None:
    """Characters all along, and wide gaps without ink, leave nothing to do."""
    assert unread_spans(line((10, 390)), list(range(10, 400, 20))) == []
    assert unread_spans(line((10, 100), (300, 390)), [*range(10, 105, 15), *range(300, 395, 15)]) == []


def test_a_line_without_characters_is_cut_between_words() -> None:
    """At its widest gap; without one there is nothing new to try."""
    (_, middle), (other, end) = unread_spans(line((10, 100), (110, 190), (230, 390)), [])
    assert middle == other
    assert 190 < middle < 230
    assert end == 400
    assert unread_spans(line((0, 400)), []) == []


def test_blanks_are_stretches_without_ink() -> None:
    """Also at the ends of a line."""
    ink = has_ink(line((40, 80)))
    assert not ink[:40].any()
    assert blanks(np.array([False, True, True, False, False])).tolist() == [[0, 1], [3, 5]]
