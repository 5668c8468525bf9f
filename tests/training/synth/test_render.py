"""Lines as they are drawn."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("fontTools", reason="needs the extra `training`")

from training.synth.fonts import load_fonts
from training.synth.pen import Strokes
from training.synth.pixels import to_field
from training.synth.render import render_line
from training.synth.rolls import Rolls
from training.synth.scenes import DRAWING, INKING, Scene

PLAIN = Scene("plain", 1, {}, {"print": 1}, (30, 30), {"white": 1})


def draw(text: str, odds: dict[str, float], seed: int = 1, strokes: Strokes | None = None):
    rolls = Rolls.of(seed, 0).with_odds(odds, 1.0)
    book = load_fonts(None, frozenset("Wide gap,.i-"))
    return render_line(book.choose(text, PLAIN.styles, rolls.dice), PLAIN, rolls, strokes)


def test_the_box_holds_all_ink_of_a_plain_line():
    """Outside the box there is paper alone."""
    drawn = draw("Wide", {})
    left, top, right, bottom = map(int, drawn.box)
    outside = np.ones(drawn.canvas.shape[:2], bool)
    outside[top:bottom, left:right] = False
    paper = drawn.canvas[0, 0]
    assert np.abs(drawn.canvas[outside] - paper).max() < 1
    assert np.abs(drawn.canvas[top:bottom, left:right] - paper).max() > 100


def test_text_without_ink_is_no_line():
    """A line of spaces cannot be drawn."""
    assert draw(" ", {}) is None


@pytest.mark.parametrize("name", [name for name in (*DRAWING, *INKING) if name not in ("small_caps", "pen")])
def test_each_mark_changes_the_line(name):
    """Every named thing shows: the line with it differs from the line of the same dice without."""
    assert any(
        with_it.canvas.shape != without.canvas.shape or not np.array_equal(with_it.canvas, without.canvas)
        for seed in range(3)
        for with_it, without in [(draw("Wide gap,", {name: 1.0}, seed), draw("Wide gap,", {name: 0.0}, seed))]
    )


def test_small_capitals_are_narrower_than_capitals():
    """Capitals inside a word become small ones."""
    wide, small = draw("WWW", {}), draw("WWW", {"small_caps": 1.0})
    assert small.box[2] - small.box[0] < wide.box[2] - wide.box[0]


def test_a_pen_writes_what_it_knows():
    """With a pen the characters whose strokes are known are written, the others drawn as ever."""
    dash = Strokes({"W": 0}, np.array([0, 1]), np.array([0, 2]), to_field([[0.1, 0.5], [0.9, 0.5]]))
    written, drawn = draw("W", {"pen": 1.0}, strokes=dash), draw("W", {}, strokes=dash)
    assert written.box[3] - written.box[1] < 0.7 * (drawn.box[3] - drawn.box[1])
    assert draw("i", {"pen": 1.0}, strokes=dash).box[3] - drawn.box[1] > 5


def test_a_dash_has_the_room_of_a_letter():
    """The box of flat ink is half a font size high, with the ink in its middle."""
    drawn = draw("-", {})
    _, top, _, bottom = drawn.box
    assert bottom - top == 15
    ink = np.flatnonzero((drawn.canvas < drawn.canvas[0, 0] - 100).any(axis=(1, 2)))
    assert abs((ink[0] + ink[-1] + 1) / 2 - (top + bottom) / 2) <= 1
