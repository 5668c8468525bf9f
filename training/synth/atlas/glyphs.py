"""The glyph atlas: every character of a charset in every font that has it, drawn once, one bit a pixel.

At 64 px to the em a bit a pixel holds more than four bits do at 32 px, and packs better: about 150 bytes a glyph.
"""

from __future__ import annotations

import lzma
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

from training.synth import pen
from training.synth.rolls import Rolls

if TYPE_CHECKING:
    from training.synth.fonts import Face

EM = 64
CELL = 80
"""Rows and columns of a glyph's square cell."""
LEFT = 8
"""Columns between the cell's left side and the pen position."""
BASELINE = 60
"""Row of the baseline; fonts that reach too high or too low are moved up or down."""
COLUMN_BYTES = CELL // 8
HAND = "hand"
"""The style of handwriting."""

_INK = 112
"""Grey value from which a pixel is ink: a little below the middle keeps hairlines."""
_MOST_CUT = 4
"""Glyphs that stick out of the cell further than this are left out."""


@dataclass(frozen=True, slots=True)
class GlyphAtlas:
    """Glyphs of some characters in some fonts.

    bits: uint8 [glyph, CELL, COLUMN_BYTES], the cell's columns from the left, in each the pixels from the top, most
    significant bit first; advances: float32 [glyph], px; tops, bottoms: uint8 [glyph], first row with ink and the row
    after the last, both 0 without ink; glyph_of: int32 [font, character], 0 where the font lacks it. Glyph 0 is empty.
    characters: a code point each; fonts: names; styles, weights: of each font; chinese: bool [font].
    """

    bits: npt.NDArray[np.uint8]
    advances: npt.NDArray[np.float32]
    tops: npt.NDArray[np.uint8]
    bottoms: npt.NDArray[np.uint8]
    glyph_of: npt.NDArray[np.int32]
    characters: tuple[str, ...]
    fonts: tuple[str, ...]
    styles: tuple[str, ...]
    weights: npt.NDArray[np.float64]
    chinese: npt.NDArray[np.bool_]

    def save(self, path: Path) -> None:
        """Write the atlas, packed."""
        packed = lzma.compress(self.bits.tobytes(), preset=4)
        path.parent.mkdir(parents=True, exist_ok=True)
        np.savez_compressed(
            path,
            packed_bits=np.frombuffer(packed, np.uint8),
            advances=self.advances,
            tops=self.tops,
            bottoms=self.bottoms,
            glyph_of=self.glyph_of,
            characters=np.array([ord(character) for character in self.characters], np.uint32),
            fonts=np.array(self.fonts),
            styles=np.array(self.styles),
            weights=self.weights,
            chinese=self.chinese,
        )

    @classmethod
    def load(cls, path: Path) -> GlyphAtlas:
        """Read what save() wrote. Raises OSError."""
        with np.load(path) as file:
            bits = np.frombuffer(bytearray(lzma.decompress(file["packed_bits"].tobytes())), np.uint8)
            return cls(
                bits=bits.reshape(-1, CELL, COLUMN_BYTES),
                advances=file["advances"],
                tops=file["tops"],
                bottoms=file["bottoms"],
                glyph_of=file["glyph_of"],
                characters=tuple(map(chr, file["characters"])),
                fonts=tuple(map(str, file["fonts"])),
                styles=tuple(map(str, file["styles"])),
                weights=file["weights"],
                chinese=file["chinese"],
            )


@dataclass(frozen=True, slots=True)
class _Glyph:
    bits: npt.NDArray[np.uint8]
    advance: float
    top: int
    bottom: int


_EMPTY = _Glyph(np.zeros((CELL, COLUMN_BYTES), np.uint8), 0.0, 0, 0)


@dataclass(frozen=True, slots=True)
class Writer:
    """A hand whose characters are counted as those of a face. seed: of the hand and of each character it writes."""

    seed: int
    strokes: pen.Strokes
    weight: float


def build_atlas(faces: Sequence[Face], characters: Sequence[str], writers: Sequence[Writer] = ()) -> GlyphAtlas:
    """Draw the characters in the faces and by hand. Characters of several code points are left out."""
    wanted = tuple(dict.fromkeys(character for character in characters if len(character) == 1))
    glyph_of = np.zeros((len(faces) + len(writers), len(wanted)), np.int32)
    glyphs = [_EMPTY]
    drawn = (*(_glyphs(face, wanted) for face in faces), *(_written(writer, wanted) for writer in writers))
    for row, found in zip(glyph_of, drawn, strict=True):
        for position, glyph in found:
            row[position] = len(glyphs)
            glyphs.append(glyph)
    return GlyphAtlas(
        bits=np.stack([glyph.bits for glyph in glyphs]),
        advances=np.array([glyph.advance for glyph in glyphs], np.float32),
        tops=np.array([glyph.top for glyph in glyphs], np.uint8),
        bottoms=np.array([glyph.bottom for glyph in glyphs], np.uint8),
        glyph_of=glyph_of,
        characters=wanted,
        fonts=(*(face.name for face in faces), *(f"pen-{writer.seed}" for writer in writers)),
        styles=(*(face.style for face in faces), *(HAND for _ in writers)),
        weights=np.array([*(face.weight for face in faces), *(writer.weight for writer in writers)]),
        chinese=np.array([*(face.chinese for face in faces), *(True for _ in writers)]),
    )


def _glyphs(face: Face, characters: Sequence[str]) -> Iterator[tuple[int, _Glyph]]:
    font = ImageFont.truetype(face.path, EM, index=face.index, layout_engine=ImageFont.Layout.BASIC)
    baseline = _baseline(font, [sample for sample in "国Hdpg" if sample in face.characters])
    for position, character in enumerate(characters):
        known = character.isspace() or character in face.characters
        if known and (glyph := _draw(font, character, baseline)) is not None:
            yield position, glyph


def _baseline(font: ImageFont.FreeTypeFont, samples: Sequence[str]) -> int:
    """Row of the baseline at which the samples fit the cell, BASELINE if that does."""
    boxes = [font.getbbox(sample, anchor="ls") for sample in samples]
    highest = -min((box[1] for box in boxes), default=0)
    lowest = max((box[3] for box in boxes), default=0)
    return int(max(min(BASELINE, CELL - lowest), min(highest, CELL)))


def _draw(font: ImageFont.FreeTypeFont, character: str, baseline: int) -> _Glyph | None:
    left, top, right, bottom = font.getbbox(character, anchor="ls")
    if not character.isspace() and (
        min(left + LEFT, top + baseline, CELL - right - LEFT, CELL - bottom - baseline) < -_MOST_CUT
    ):
        return None
    image = Image.new("L", (CELL, CELL))
    ImageDraw.Draw(image).text((LEFT, baseline), character, font=font, fill=255, anchor="ls")
    glyph = _packed(np.asarray(image), float(font.getlength(character)))
    return glyph if glyph.bottom or character.isspace() else None


def _written(writer: Writer, characters: Sequence[str]) -> Iterator[tuple[int, _Glyph]]:
    hand = pen.any_hand(Rolls.of(writer.seed, 0))
    for position, character in enumerate(characters):
        if character in writer.strokes.characters:
            picture = pen.write(writer.strokes.of(character), hand, EM, Rolls.of(writer.seed, 1 + position))
            top, left = round(pen.BASELINE * EM) - BASELINE, (picture.shape[1] - EM) // 2 - LEFT
            yield position, _packed(picture[top : top + CELL, left : left + CELL], EM)


def _packed(picture: npt.NDArray[np.uint8], advance: float) -> _Glyph:
    """picture: uint8 [CELL, CELL], 255 ink."""
    ink = picture >= _INK
    rows = np.flatnonzero(ink.any(axis=1))
    first, end = (int(rows[0]), int(rows[-1]) + 1) if rows.size else (0, 0)
    return _Glyph(np.packbits(ink.T, axis=1), advance, first, end)
