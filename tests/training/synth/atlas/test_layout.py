"""Tests of the layout of lines."""

import numpy as np
import pytest

pytest.importorskip("torch", reason="needs the extra `training`")

from training.synth.atlas.layout import FontChances, Typesetter
from training.synth.atlas.stream import TextStream

SENTENCES = 20 * ["the dog ran into a bush", "rust, dust and sand", "1234567890", "A.B.C.D.E.F", "on it", "Ja"]


@pytest.fixture(params=[0.0, 1.0], ids=["clean", "disturbed"])
def strength(request):
    return request.param


@pytest.fixture
def typesetter(atlas):
    """Lines of 32 px."""
    usable = np.array([character not in "é" for character in atlas.characters])
    stream = TextStream.of(SENTENCES, atlas.characters, usable)
    chances = FontChances(np.array([0.5, 0.5]), np.array([1.0, 0.0]), np.array([False, True]))
    return Typesetter(atlas, stream, chances, height=32)


@pytest.mark.parametrize("width", [64, 160, 640])
def test_lines_fit_their_crops(typesetter, strength, width):
    """The last pen position and the margins lie within the crop, and most of its width is used."""
    layout = typesetter.lay_out(np.random.default_rng(0), 200, width, strength)
    geometry = layout.geometry
    ends = geometry.left + layout.pens[:, -1] * geometry.scale * geometry.stretch
    assert (ends <= width + 32 * 0.1).all()
    assert (geometry.content <= width).all()
    assert (geometry.content / width).mean() > 0.6


def test_lines_are_parts_of_the_text(typesetter, strength, atlas):
    """Every line is a piece of the sentences one after the other, without spaces at its ends."""
    layout = typesetter.lay_out(np.random.default_rng(1), 100, 200, strength)
    whole = " ".join([*SENTENCES, ""])
    for row, length in zip(layout.characters, layout.lengths, strict=True):
        line = "".join(atlas.characters[position] for position in row[:length])
        assert length > 0
        assert line in whole
        assert line == line.strip()


def test_glyphs_are_of_the_line_s_characters(typesetter, strength, atlas):
    """Each glyph draws its character in one of the fonts, and there is none after the end."""
    layout = typesetter.lay_out(np.random.default_rng(2), 100, 200, strength)
    for characters, glyphs in zip(layout.characters, layout.glyphs, strict=True):
        for character, glyph in zip(characters, glyphs, strict=True):
            assert glyph in (atlas.glyph_of[:, character] if character >= 0 else [0])


def test_pens_only_move_on(typesetter, strength):
    """Pen positions grow with every character and stay after the last."""
    layout = typesetter.lay_out(np.random.default_rng(3), 100, 200, strength)
    steps = np.diff(layout.pens, axis=1)
    assert (steps[layout.characters >= 0] > 0).all()
    assert (steps[layout.characters < 0] == 0).all()


def test_a_seed_gives_the_same_layout(typesetter, strength):
    """The same generator state lays out the same lines, another one others."""
    one, same, other = (typesetter.lay_out(np.random.default_rng(seed), 20, 160, strength) for seed in (4, 4, 5))
    np.testing.assert_array_equal(one.pens, same.pens)
    assert one.pens.shape != other.pens.shape or (one.pens != other.pens).any()
