"""Layout of a batch of lines: which text, in which fonts, where its glyphs stand, how the line lies in its crop.

Drawn with NumPy, so that a seed gives the same texts on every device.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
import numpy.typing as npt

from training.synth.atlas.glyphs import BASELINE, EM, GlyphAtlas
from training.synth.atlas.stream import TextStream

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]

_CANDIDATE_FONTS = 4
"""So many fonts are tried for a line; the one that has most of its characters is taken."""
_USUAL_INK = 54
"""Rows of ink of a usual line, where its characters are not known yet."""
_LEAST_INK = 26
"""Lines of dashes or dots are not blown up to more than this many rows a crop."""
_ASCENT, _DESCENT = 52, 6
"""Rows above and below the baseline of a crop that goes by the font rather than by the ink."""
_LONGEST = 120
"""Characters of a line at most."""


@dataclass(frozen=True, slots=True)
class Geometry:
    """How lines lie in their crops; float64 [line] each.

    Lengths in px are those of the finished crop; drifts are shares of its height.
    scale: px for each atlas pixel, downwards; stretch: how much more of that along the line; left: px before the
    first pen position; content: px with text and margins; middle: atlas row in the middle of the crop; tilt: how far
    the line's end lies below its beginning; bow: how far its ends lie below its middle; slant: px to the right for
    each px upwards; narrowing: how much higher the text is at the end than at the beginning; wobble: of hand or paper.
    """

    scale: Floats
    stretch: Floats
    left: Floats
    content: Floats
    middle: Floats
    tilt: Floats
    bow: Floats
    slant: Floats
    narrowing: Floats
    wobble: Floats


@dataclass(frozen=True, slots=True)
class Layout:
    """Lines of a batch.

    characters: int64 [line, longest], positions in the atlas's characters, -1 after the end; glyphs: int64 [line,
    longest]; pens: float64 [line, longest + 1], pen positions in atlas pixels from the line's start, the last one
    repeated after the end; rises: float64 [line, longest], atlas pixels by which each character stands too low.
    """

    characters: Integers
    glyphs: Integers
    pens: Floats
    rises: Floats
    geometry: Geometry

    @property
    def lengths(self) -> Integers:
        """Characters of each line, int64 [line]."""
        return np.asarray((self.characters >= 0).sum(axis=1))

    def part(self, which: slice) -> Layout:
        """Some of the lines."""
        geometry = Geometry(*(getattr(self.geometry, field.name)[which] for field in fields(Geometry)))
        return Layout(self.characters[which], self.glyphs[which], self.pens[which], self.rises[which], geometry)


@dataclass(frozen=True, slots=True)
class FontChances:
    """Chances of the fonts. any_font: float64 [font], of being a line's font; latin: of drawing its Latin characters.

    handwritten: bool [font]; handwriting is mixed with handwriting alone.
    """

    any_font: Floats
    latin: Floats
    handwritten: npt.NDArray[np.bool_]


class Typesetter:
    """Lays out lines of a text stream in the fonts of an atlas."""

    def __init__(self, atlas: GlyphAtlas, stream: TextStream, chances: FontChances, *, height: int) -> None:
        self._atlas = atlas
        self._stream = stream
        self._chances = chances
        self._height = height
        self._is_latin = np.array([ord(character) < 0x2E80 for character in atlas.characters])
        self._space = atlas.characters.index(" ") if " " in atlas.characters else -1
        self._fullest = int((atlas.glyph_of > 0).sum(axis=1).argmax())

    def lay_out(self, rng: np.random.Generator, count: int, width: int, strength: float) -> Layout:
        """So many lines that fit crops of this width, most of them nearly filling it. strength: 0 to 1, as in Dice."""
        draw = _Draw(rng, count, strength)
        height = self._height
        squeeze = draw.sometimes(0.4, np.exp(rng.normal(0, 0.1, count)), 1.0) * draw.sometimes(
            0.1, draw.uniform(0.6, 1.4), 1.0
        )
        tracking = self._tracking(draw)
        tilt = draw.sometimes(0.35, rng.normal(0, 0.05, count), 0.0) + draw.sometimes(
            0.08, draw.uniform(-0.3, 0.3), 0.0
        )
        bow = draw.sometimes(0.12, rng.normal(0, 0.05, count), 0.0) + draw.sometimes(
            0.04, draw.uniform(-0.35, 0.35), 0.0
        )
        slant = draw.sometimes(0.12, draw.uniform(-0.12, 0.3), 0.0)
        above, below = _vertical_margins(draw), _vertical_margins(draw)
        left, right = _side_margin(draw) * height, _side_margin(draw) * height
        room = (1 + above + below) * (1 + np.abs(tilt) + np.abs(bow))

        usual_scale = height / (_USUAL_INK * room)
        line_px = np.maximum(width - left - right, height / 2)
        wanted_em = line_px * draw.uniform(0.75, 1.15) / (usual_scale * squeeze * (EM + tracking))
        characters = self._characters(rng, wanted_em)
        glyphs, by_hand = self._glyphs(draw, characters)
        tops, bottoms = self._ink_rows(draw, glyphs)
        scale = height / ((bottoms - tops) * room)

        pens = self._pens(draw, glyphs, characters, tracking, by_hand)
        fits = pens[:, 1:] * (scale * squeeze)[:, None] <= line_px[:, None]
        fits[:, 0] = True
        characters = self._without_end_spaces(np.where(fits, characters, -1))
        lengths = (characters >= 0).sum(axis=1)
        longest = int(lengths.max())
        totals = pens[np.arange(count), lengths]
        stretch = squeeze * np.minimum(1.0, line_px / (totals * scale * squeeze))
        lean = np.abs(slant) * height / 2
        return Layout(
            characters=characters[:, :longest],
            glyphs=np.where(characters >= 0, glyphs, 0)[:, :longest],
            pens=np.minimum(pens, totals[:, None])[:, : longest + 1],
            rises=self._rises(draw, longest, by_hand),
            geometry=Geometry(
                scale=scale,
                stretch=stretch,
                left=left + lean,
                content=np.clip(left + right + 2 * lean + totals * scale * stretch, height / 4, width),
                middle=(tops - above * (bottoms - tops) + bottoms + below * (bottoms - tops)) / 2,
                tilt=tilt,
                bow=bow,
                slant=slant,
                narrowing=draw.sometimes(0.2, draw.uniform(-0.3, 0.3), 0.0),
                wobble=draw.sometimes(0.1, draw.uniform(0.01, 0.04), by_hand * draw.uniform(0.0, 0.05)),
            ),
        )

    def _characters(self, rng: np.random.Generator, wanted_em: Floats) -> Integers:
        begin, end = self._stream.stretches(rng, wanted_em)
        positions = self._stream.positions
        end = np.minimum(np.maximum(end, begin + 1), begin + _LONGEST)
        at = begin[:, None] + np.arange(int((end - begin).max()))
        characters = positions[np.minimum(at, len(positions) - 1)]
        return np.where((at < end[:, None]) & (at < len(positions)), characters, -1)

    def _without_end_spaces(self, characters: Integers) -> Integers:
        seen_from_end = np.logical_or.accumulate(((characters >= 0) & (characters != self._space))[:, ::-1], axis=1)
        return np.where(seen_from_end[:, ::-1], characters, -1)

    def _glyphs(self, draw: _Draw, characters: Integers) -> tuple[Integers, Floats]:
        """Glyphs of characters, from the font among some that has most of them, and how irregular that makes them.

        What the font lacks is taken from another of the line, the fullest font, or any. Handwriting is irregular.
        """
        glyph_of = self._atlas.glyph_of
        rows = np.arange(draw.count)
        known = np.maximum(characters, 0)
        fonts = draw.rng.choice(len(glyph_of), (draw.count, _CANDIDATE_FONTS), p=self._chances.any_font)
        covered = ((glyph_of[fonts[:, :, None], known[:, None, :]] > 0) & (characters >= 0)[:, None]).sum(axis=2)
        font = fonts[rows, covered.argmax(axis=1)]
        latin_font = draw.rng.choice(len(glyph_of), draw.count, p=self._chances.latin)
        alike = self._chances.handwritten[font] == self._chances.handwritten[latin_font]
        other = np.where(alike & (draw.rng.random(draw.count) < 0.6), latin_font, font)
        glyphs = glyph_of[np.where(self._is_latin[known], other[:, None], font[:, None]), known]
        for fallback in (font[:, None], fonts[:, :1], fonts[:, -1:], np.int64(self._fullest)):
            glyphs = np.where(glyphs > 0, glyphs, glyph_of[fallback, known])
        drawn = self._or_any(np.where(characters >= 0, glyphs, 0), characters)
        return drawn, self._chances.handwritten[font] * draw.strength

    def _or_any(self, glyphs: Integers, characters: Integers) -> Integers:
        """Characters that none of the line's fonts has are drawn in the first font that has them."""
        lines, places = np.nonzero((glyphs == 0) & (characters >= 0))
        lacking = characters[lines, places]
        first = (self._atlas.glyph_of[:, lacking] > 0).argmax(axis=0)
        glyphs[lines, places] = self._atlas.glyph_of[first, lacking]
        return glyphs

    def _ink_rows(self, draw: _Draw, glyphs: Integers) -> tuple[Floats, Floats]:
        """First row and end of what the crop encloses: the ink, or what the font reserves."""
        bottoms = self._atlas.bottoms[glyphs].astype(np.float64)
        tops = np.where(bottoms > 0, self._atlas.tops[glyphs], np.inf).min(axis=1)
        bottom = bottoms.max(axis=1)
        top = np.minimum(tops, bottom)
        by_font = draw.rng.random(draw.count) < 0.45
        top = np.where(by_font | (bottom == 0), np.minimum(top, BASELINE - _ASCENT), top)
        bottom = np.where(by_font | (bottom == 0), np.maximum(bottom, BASELINE + _DESCENT), bottom)
        lacking = np.maximum(_LEAST_INK - (bottom - top), 0) / 2
        return top - lacking, bottom + lacking

    def _pens(self, draw: _Draw, glyphs: Integers, characters: Integers, tracking: Floats, by_hand: Floats) -> Floats:
        """Pen positions, float64 [line, longest + 1]."""
        uneven = draw.sometimes(0.25, draw.uniform(0.5, 3.5), by_hand * draw.uniform(0.0, 5.0))
        steps = self._atlas.advances[glyphs] + tracking[:, None] + uneven[:, None] * draw.rng.normal(size=glyphs.shape)
        space_widths = draw.sometimes(0.3, draw.uniform(0.7, 3.0), 1.0)
        steps = np.where(characters == self._space, steps * space_widths[:, None], steps)
        steps = np.where(characters >= 0, np.maximum(steps, EM / 16), np.inf)
        return np.concatenate([np.zeros((draw.count, 1)), np.cumsum(steps, axis=1)], axis=1)

    def _rises(self, draw: _Draw, longest: int, by_hand: Floats) -> Floats:
        amounts = draw.sometimes(0.15, draw.uniform(0.5, 4.0), by_hand * draw.uniform(0.0, 4.0))
        return np.asarray(amounts[:, None] * draw.rng.normal(size=(draw.count, longest)))

    @staticmethod
    def _tracking(draw: _Draw) -> Floats:
        """Atlas pixels between characters: mostly none, some touch, some stand wide apart."""
        return draw.sometimes(0.35, draw.uniform(-4, 4), 0.0) + draw.sometimes(
            0.12, draw.uniform(4, 24), draw.sometimes(0.04, draw.uniform(24, 64), 0.0)
        )


@dataclass(frozen=True, slots=True)
class _Draw:
    """Random numbers for a batch, one a line. strength: 0 to 1, scales the chance of everything unusual."""

    rng: np.random.Generator
    count: int
    strength: float

    def uniform(self, low: float, high: float) -> Floats:
        return self.rng.uniform(low, high, self.count)

    def sometimes(self, chance: float, values: Floats, otherwise: Floats | float) -> Floats:
        return np.where(self.rng.random(self.count) < chance * self.strength, values, otherwise)


def _vertical_margins(draw: _Draw) -> Floats:
    """Shares of the ink's height, negative where the crop cuts into it."""
    usual = draw.uniform(0.02, 0.18)
    return draw.sometimes(0.4, draw.uniform(-0.04, 0.06), draw.sometimes(0.12, draw.uniform(0.18, 0.5), usual))


def _side_margin(draw: _Draw) -> Floats:
    """Shares of the crop's height."""
    usual = draw.uniform(0.02, 0.3)
    return draw.sometimes(0.3, draw.uniform(-0.04, 0.06), draw.sometimes(0.08, draw.uniform(0.3, 0.9), usual))
