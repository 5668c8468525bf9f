"""Tests of the glyph atlas."""

import dataclasses

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont

pytest.importorskip("torch", reason="needs the extra `training`")

from training.synth.atlas.glyphs import BASELINE, CELL, EM, LEFT, GlyphAtlas, Writer, build_atlas
from training.synth.pen import Strokes


def pixels(atlas, font, character):
    """Pixels, bool [row, column], of a character's cell."""
    glyph = atlas.glyph_of[font, atlas.characters.index(character)]
    return np.unpackbits(atlas.bits[glyph], axis=1).T.astype(bool)


def test_a_glyph_is_the_font_s_own_drawing(atlas, faces):
    """The bits of a glyph are the font's picture of the character, black where more than about half is covered."""
    picture = Image.new("L", (CELL, CELL))
    pen = ImageFont.truetype(faces[0].path, EM, layout_engine=ImageFont.Layout.BASIC)
    ImageDraw.Draw(picture).text((LEFT, BASELINE), "g", font=pen, fill=255, anchor="ls")
    assert (pixels(atlas, 0, "g") != (np.asarray(picture) > 127)).mean() < 0.01
    assert atlas.advances[atlas.glyph_of[0, atlas.characters.index("g")]] == pen.getlength("g")


def test_rows_of_ink_enclose_it(atlas):
    """Tops and bottoms are the first row with ink and the row after the last; a space has none."""
    for character in "gA.é":
        glyph = atlas.glyph_of[1, atlas.characters.index(character)]
        rows = np.flatnonzero(pixels(atlas, 1, character).any(axis=1))
        assert (atlas.tops[glyph], atlas.bottoms[glyph]) == (rows[0], rows[-1] + 1)
    space = atlas.glyph_of[0, atlas.characters.index(" ")]
    assert space > 0
    assert (atlas.tops[space], atlas.bottoms[space]) == (0, 0)
    assert atlas.advances[space] > 10


def test_what_a_font_lacks_has_no_glyph(faces):
    """Characters outside a face's coverage get glyph 0, which is empty."""
    atlas = build_atlas([dataclasses.replace(faces[0], characters=frozenset("B"))], ("A", "B", "A", "two"))
    assert atlas.characters == ("A", "B")
    assert atlas.glyph_of.tolist() == [[0, 1]]
    assert not atlas.bits[0].any()


def test_writers_write_what_they_have_the_strokes_of(faces):
    """A writer's characters are those with strokes, drawn along them, in the writer's own way, and count as a hand."""
    points = np.array([[0.5, 0.1], [0.5, 0.5], [0.5, 0.9]], np.float32)
    strokes = Strokes({"丨": 0}, np.array([0, 1]), np.array([0, 3]), points)
    atlas = build_atlas(faces[:1], ("A", "丨"), [Writer(seed, strokes, 0.5) for seed in (1, 2)])
    assert atlas.glyph_of.tolist() == [[1, 0], [0, 2], [0, 3]]
    assert (atlas.fonts[1:], atlas.styles[1:]) == (("pen-1", "pen-2"), ("hand", "hand"))
    for font in (1, 2):
        rows, columns = np.nonzero(pixels(atlas, font, "丨"))
        assert np.ptp(rows) > 0.6 * EM
        assert abs(columns.mean() - LEFT - EM / 2) < 0.2 * EM
    assert (pixels(atlas, 1, "丨") != pixels(atlas, 2, "丨")).any()


def test_a_saved_atlas_loads_the_same(atlas, settings):
    """What is loaded equals what was saved, and is smaller on disk than in memory."""
    loaded = GlyphAtlas.load(settings.atlas)
    for field in dataclasses.fields(GlyphAtlas):
        np.testing.assert_array_equal(getattr(loaded, field.name), getattr(atlas, field.name))
    assert settings.atlas.stat().st_size < atlas.bits.nbytes / 3
