"""Tests of the ink of lines."""

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the extra `training`")

from training.synth.atlas.dice import Dice
from training.synth.atlas.glyphs import CELL, LEFT
from training.synth.atlas.ink import InkPress, PlacedLines, bend, level_for, take
from training.synth.atlas.layout import Geometry, Layout

CPU = torch.device("cpu")


def dice(strength=0.0):
    return Dice(np.random.default_rng(0), torch.Generator().manual_seed(0), strength)


def upright(atlas, texts, scale=0.5, **changes):
    """Straight lines in the atlas's first font, 10 px from the left, crops of 40 px."""
    longest = max(map(len, texts))
    characters = np.array([[atlas.characters.index(c) for c in text] + [-1] * (longest - len(text)) for text in texts])
    glyphs = np.where(characters >= 0, atlas.glyph_of[0][characters], 0)
    steps = np.where(characters >= 0, atlas.advances[glyphs], 0.0)
    pens = np.concatenate([np.zeros((len(texts), 1)), np.cumsum(steps, axis=1)], axis=1)
    values = dict.fromkeys(("tilt", "bow", "slant", "narrowing", "wobble"), 0.0)
    values |= {"scale": scale, "stretch": 1.0, "left": 10.0, "content": 200.0, "middle": CELL / 2} | changes
    geometry = Geometry(**{name: np.full(len(texts), value) for name, value in values.items()})
    return PlacedLines.of(Layout(characters, glyphs, pens, np.zeros(glyphs.shape), geometry), CPU)


def cell(atlas, character):
    """Pixels, float [row, column], of a character in the first font."""
    return np.unpackbits(atlas.bits[atlas.glyph_of[0, atlas.characters.index(character)]], axis=1).T.astype(np.float32)


def test_strips_are_the_glyphs_side_by_side(atlas):
    """A strip has each character's pixels from its pen position on, and nothing after a shorter line's end."""
    lines = upright(atlas, ["Hn", "1"])
    strips = InkPress(atlas.bits, CPU).strips(lines, 0)
    place = round(float(lines.pens[0, 1]))
    expected = np.zeros((CELL, strips.shape[2]), np.float32)
    expected[:, :CELL] = cell(atlas, "H")
    expected[:, place : place + CELL] = np.maximum(expected[:, place : place + CELL], cell(atlas, "n"))
    np.testing.assert_array_equal(strips[0, 0].T, expected)
    np.testing.assert_array_equal(strips[1, 0, :CELL].T, cell(atlas, "1"))
    assert not strips[1, 0, CELL:].any()


@pytest.mark.parametrize("level", [1, 2, 3])
def test_smaller_strips_are_averages(atlas, level):
    """A strip at a level has the mean of the full strip's pixels in each of its own."""
    lines, press = upright(atlas, ["And", "so"]), InkPress(atlas.bits, CPU)
    full, small = press.strips(lines, 0), press.strips(lines, level)
    averages = torch.nn.functional.avg_pool2d(full, 1 << level, ceil_mode=True)
    torch.testing.assert_close(small[:, :, : averages.shape[2] - 1], averages[:, :, : small.shape[2]][:, :, :-1])


def test_unbent_crops_show_the_strip(atlas):
    """At the atlas's own size a straight line's crop is its strip, shifted by the left margin."""
    lines = upright(atlas, ["Add"], scale=1.0, content=300.0)
    strip = InkPress(atlas.bits, CPU).strips(lines, 0)
    grid = bend(lines, dice(), height=CELL, size=(CELL, 300), width=300)
    ink = take(strip, grid, 0)[0, 0]
    shift = 10 - LEFT
    columns = min(300 - shift, strip.shape[2])
    torch.testing.assert_close(ink[:, shift : shift + columns], strip[0, 0, :columns].T, atol=1e-3, rtol=0)


def test_a_tilted_line_falls(atlas):
    """A tilted line's ink lies lower at its end than at its beginning, by the tilt's share of the height."""
    lines = upright(atlas, ["HHHHHHHH"], scale=0.4, content=180.0, tilt=0.25)
    grid = bend(lines, dice(), height=40, size=(40, 200), width=200)
    ink = take(InkPress(atlas.bits, CPU).strips(lines, 1), grid, 1)[0, 0]
    rows = torch.arange(40.0)[:, None]
    first, last = (float((part * rows).sum() / part.sum()) for part in (ink[:, 10:30], ink[:, 125:145]))
    assert last - first == pytest.approx(40 * 0.25 * 115 / 180, rel=0.25)


def test_levels_follow_the_scale(atlas):
    """The strip's level is the last that is not coarser than the crop."""
    lines = upright(atlas, ["A"], scale=0.4)
    assert [level_for(lines, factor) for factor in (0.2, 1.0, 2.0, 3.0)] == [3, 1, 0, 0]
