"""Characters written stroke by stroke."""

from __future__ import annotations

import json

import numpy as np
import pytest

from training.synth.pen import BASELINE, Hand, Strokes, any_hand, build_strokes, load_strokes, write
from training.synth.pixels import to_field
from training.synth.rolls import Rolls

NEAT = Hand(to_field(np.zeros((6, 2))), slant=0.0, width=0.05, taper=0.0, shake=0.0, linking=0.0, rounding=1)


@pytest.fixture
def strokes(tmp_path) -> Strokes:
    package = tmp_path / "npm/hanzi-writer-data/package"
    package.mkdir(parents=True)
    (package / "十.json").write_text(json.dumps({"medians": [[[100, 400], [900, 400]], [[500, 800], [500, 0]]]}))
    (package / "一.json").write_text(json.dumps({"medians": [[[100, 400], [500, 410], [900, 400]]]}))
    (package / "package.json").write_text("{}")
    build_strokes(tmp_path, tmp_path / "strokes.npz")
    return load_strokes(tmp_path / "strokes.npz")


def test_strokes_come_back_in_writing_order(strokes):
    """Each character has its own strokes, with y downwards in the unit square."""
    assert set(strokes.characters) == {"十", "一"}
    across, down = strokes.of("十")
    np.testing.assert_allclose(across[:, 1], 500 / 1024)
    assert down[0, 1] < down[-1, 1]
    assert len(strokes.of("一")) == 1


def test_a_neat_hand_writes_where_the_strokes_are(strokes):
    """The cross has its ink on its two strokes and none in the corners."""
    ink = write(strokes.of("十"), NEAT, 40, Rolls.of(1, 0))
    middle_row, middle_column = round((500 / 1024 + 0.25) * 40), round((500 / 1024 + 0.25) * 40)
    assert ink.shape == (60, 60)
    assert ink[middle_row, 20:40].min() > 100
    assert ink[20:40, middle_column].min() > 100
    assert ink[:15, :15].max() == 0


def test_the_base_line_is_where_the_source_has_it(strokes):
    """Where the source has y = 0 the image has its base line."""
    ink = write(strokes.of("十")[1:], NEAT, 40, Rolls.of(1, 0))
    lowest = np.flatnonzero(ink.max(axis=1) > 100)[-1]
    assert abs(lowest - BASELINE * 40) <= 2


def test_no_two_characters_are_written_alike(strokes):
    """Even one hand varies, and hands differ more."""
    rolls = Rolls.of(5, 0)
    hand = any_hand(rolls)
    first, second = write(strokes.of("十"), hand, 40, rolls), write(strokes.of("十"), hand, 40, rolls)
    assert not np.array_equal(first, second)
    assert 20 < np.count_nonzero(first) < first.size / 3
