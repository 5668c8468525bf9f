"""Text and fonts -> a line drawn on paper, with room around it and what stands near it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np
from PIL import Image as Pillow
from PIL import ImageDraw, ImageFont

from ocr_core.types import Image
from training.synth.fonts import Face, Run, is_wide
from training.synth.paper import Colour, luminance, make_paper
from training.synth.pen import BASELINE, Hand, Strokes, any_hand, write
from training.synth.pixels import Field, to_field, to_image
from training.synth.rolls import Rolls
from training.synth.scenes import Scene

# Room around the line in font sizes: for neighbouring lines, and for cuts that are turned or loose.
_MARGIN = 0.55


@dataclass(frozen=True, slots=True)
class Drawn:
    """A drawn line.

    canvas: RGB, float32 [height, width, 3], about 0 to 255; box: left, top, right, bottom of its ink,
    with the room of a small letter where that is flat.
    """

    canvas: Field
    box: tuple[float, float, float, float]


@dataclass(frozen=True, slots=True)
class _Writer:
    """Who writes the characters whose strokes are known. hand: None when each character is by another person."""

    strokes: Strokes
    hand: Hand | None


@dataclass(frozen=True, slots=True)
class _Piece:
    """Text drawn at once. advance: width up to the next piece."""

    text: str
    font: ImageFont.FreeTypeFont
    advance: float


def render_line(runs: Sequence[Run], scene: Scene, rolls: Rolls, strokes: Strokes | None = None) -> Drawn | None:
    """Draw runs of one line as the scene has it; None when the faces leave no ink.

    Where a pen writes, characters of which strokes has the course are written, the others drawn in their faces.
    """
    low, high = np.log(scene.size_px)
    size = round(float(np.exp(rolls.between(low, high))))
    writer = (
        _Writer(strokes, None if rolls.happens(0.2) else any_hand(rolls)) if strokes and rolls.does("pen") else None
    )
    by_hand = writer is not None or rolls.does("jitter")
    mask, baseline = _draw_pieces(list(_pieces(runs, size, by_hand, rolls)), size, by_hand, writer, rolls)
    box = cv2.boundingRect(mask)
    if not box[2]:
        return None
    ink_box = _box(box, size)
    mask = _worn(mask, size, any(is_wide(character) for run in runs for character in run.text), rolls)
    if rolls.does("neighbours"):
        mask = _with_neighbours(mask, size, rolls)
    return Drawn(_inked(mask, ink_box, baseline, size, scene, rolls), ink_box)


def _box(ink: Sequence[int], size: int) -> tuple[float, float, float, float]:
    """Left, top, right, bottom of ink; a dash or a dot has the room of a small letter."""
    left, top, width, height = ink
    room_x, room_y = max(0.0, 0.3 * size - width) / 2, max(0.0, 0.5 * size - height) / 2
    return left - room_x, top - room_y, left + width + room_x, top + height + room_y


@lru_cache(maxsize=128)
def _font(path: Path, index: int, size: int) -> ImageFont.FreeTypeFont:
    return ImageFont.truetype(path, size, index=index, layout_engine=ImageFont.Layout.BASIC)


def _pieces(runs: Sequence[Run], size: int, jitter: bool, rolls: Rolls) -> Iterator[_Piece]:
    """Whole runs where nothing moves single characters, else characters one by one."""
    spacing = rolls.between(-0.04, 0.35) * size if rolls.does("spacing") else 0.0
    small_caps = rolls.does("small_caps")
    gap_at = _gap(runs, rolls) if rolls.does("wide_gap") else None
    latin_scale = rolls.between(0.92, 1.06)
    position, before = 0, ""
    for run in runs:
        font = _font(run.face.path, run.face.index, max(6, size if run.face.chinese else round(size * latin_scale)))
        if not (spacing or small_caps or jitter or gap_at is not None):
            yield _Piece(run.text, font, font.getlength(run.text))
            continue
        for character in run.text:
            pen = font
            if small_caps and character.isupper() and before.isalpha():
                pen = _small(run.face, font)
            extra = rolls.between(1, 5) * size if position == gap_at else 0.0
            wobble = rolls.between(-0.06, 0.1) * size if jitter else 0.0
            yield _Piece(character, pen, pen.getlength(character) + spacing + extra + wobble)
            position, before = position + 1, character


def _small(face: Face, font: ImageFont.FreeTypeFont) -> ImageFont.FreeTypeFont:
    return _font(face.path, face.index, max(6, round(font.size * 0.78)))


def _gap(runs: Sequence[Run], rolls: Rolls) -> int | None:
    """Position of one of the spaces; columns of a table stand that far apart."""
    text = "".join(run.text for run in runs)
    spaces = [position for position, character in enumerate(text) if character == " "]
    return rolls.dice.choice(spaces) if spaces else None


def _draw_pieces(
    pieces: Sequence[_Piece], size: int, by_hand: bool, writer: _Writer | None, rolls: Rolls
) -> tuple[Image, float]:
    """Ink of the pieces, uint8 [height, width], and the baseline's row."""
    margin = round(_MARGIN * size)
    width = round(sum(piece.advance for piece in pieces)) + 2 * margin
    baseline = margin + size
    sheet = Pillow.new("L", (max(width, 1), round(1.25 * size) + 2 * margin))
    pen = ImageDraw.Draw(sheet)
    ink = np.zeros((sheet.height, sheet.width), np.uint8) if by_hand else None
    x = float(margin)
    for piece in pieces:
        if ink is None:
            pen.text((x, baseline), piece.text, font=piece.font, fill=255, anchor="ls")
        elif writer and piece.text in writer.strokes.characters:
            glyph = write(writer.strokes.of(piece.text), writer.hand or any_hand(rolls), size, rolls)
            left, top = x + (piece.advance - glyph.shape[1]) / 2, baseline - BASELINE * size
            _overlay(ink, glyph, round(left), round(top + rolls.between(-0.05, 0.05) * size))
        elif piece.text.strip():
            _draw_by_hand(ink, piece, x, baseline, rolls)
        x += piece.advance
    return (np.asarray(sheet) if ink is None else ink), float(baseline)


def _draw_by_hand(ink: Image, piece: _Piece, x: float, baseline: float, rolls: Rolls) -> None:
    """A character a little turned, slanted, sized and shifted, as no two are alike."""
    left, top, right, bottom = map(round, piece.font.getbbox(piece.text, anchor="ls"))
    if right <= left or bottom <= top:
        return
    pad = max(2, (bottom - top) // 5)
    glyph = Pillow.new("L", (right - left + 2 * pad, bottom - top + 2 * pad))
    ImageDraw.Draw(glyph).text((pad - left, pad - top), piece.text, font=piece.font, fill=255, anchor="ls")
    angle, shear = rolls.between(-0.09, 0.09), rolls.between(-0.14, 0.14)
    wide, high = rolls.between(0.85, 1.12), rolls.between(0.85, 1.12)
    linear = to_field([[wide, shear - angle], [angle, high]])
    center = to_field([glyph.width / 2, glyph.height / 2])
    moved = np.column_stack([linear, center - linear @ center])
    glyph_ink = cv2.warpAffine(np.asarray(glyph), moved, glyph.size)
    row = round(baseline + top - pad + rolls.between(-0.05, 0.05) * piece.font.size)
    _overlay(ink, to_image(glyph_ink), round(x + left - pad), row)


def _overlay(ink: Image, glyph: Image, column: int, row: int) -> None:
    """Add the ink of a glyph whose corner is at a column and row, which may be outside."""
    rows = slice(max(row, 0), min(row + glyph.shape[0], ink.shape[0]))
    columns = slice(max(column, 0), min(column + glyph.shape[1], ink.shape[1]))
    part = ink[rows, columns]
    shown = glyph[rows.start - row : rows.stop - row, columns.start - column : columns.stop - column]
    np.maximum(part, shown, out=part)


def _worn(mask: Image, size: int, wide: bool, rolls: Rolls) -> Image:
    """Strokes made slanted, heavier, lighter, dotted or patchy."""
    if rolls.does("oblique"):
        slant = rolls.between(-0.3, 0.3)
        turned = to_field([[1, slant, -slant * mask.shape[0] / 2], [0, 1, 0]])
        mask = to_image(cv2.warpAffine(mask, turned, mask.shape[::-1]))
    if rolls.does("bold"):
        mask = to_image(
            cv2.dilate(mask, np.ones((2, 2) if size < 34 else rolls.dice.choice(((2, 3), (3, 3))), np.uint8))
        )
    elif rolls.does("thin") and size > 24:
        thinner = cv2.erode(mask, np.ones((2, 2), np.uint8))
        mask = to_image(cv2.addWeighted(mask, 0.45, thinner, 0.55, 0))
    if rolls.does("dots"):
        # Print heads have 9 dots to the height of Latin letters; Han characters need 16 to 24.
        pitch = round(size / (rolls.between(15, 20) if wide else rolls.between(9, 14)))
        mask = _dotted(mask, pitch) if pitch > 1 else mask
    if rolls.does("fading"):
        mask = _faded(mask, size, rolls)
    return mask


def _dotted(mask: Image, pitch: int) -> Image:
    """Dot-matrix print: one round dot wherever a cell of the grid has ink."""
    height, width = mask.shape
    cells = cv2.resize(mask, (max(1, width // pitch), max(1, height // pitch)), interpolation=cv2.INTER_AREA)
    dot = np.zeros((pitch, pitch), np.uint8)
    cv2.circle(dot, (pitch // 2, pitch // 2), max(1, round(pitch * 0.42)), 255, -1, cv2.LINE_AA)
    grid = np.kron(to_image(cells > 90), dot)
    full = np.zeros_like(mask)
    full[: grid.shape[0], : grid.shape[1]] = grid[:height, :width]
    return to_image(cv2.max(full, mask // 4))


def _faded(mask: Image, size: int, rolls: Rolls) -> Image:
    """Ink that is missing in patches, in a band of a print head, or as grain."""
    height, width = mask.shape
    strength = rolls.between(0.25, 0.75)
    kind = rolls.dice.randrange(3)
    if kind == 0:
        loss = rolls.field(height, width, size * rolls.between(0.3, 1.5))
    elif kind == 1:
        row = rolls.between(0.25, 0.75) * height
        loss = 1.6 * np.exp(-(((np.arange(height, dtype=np.float32) - row) / (0.1 * size)) ** 2))[:, None]
    else:
        loss = rolls.field(height, width, rolls.between(1, 2.2))
    kept = 1 - strength * np.clip(loss, 0, 1)
    return to_image(mask * kept)


def _with_neighbours(mask: Image, size: int, rolls: Rolls) -> Image:
    """Parts of the lines above and below: this line's own ink, moved along, at the distance of lines."""
    around = mask
    for direction in (-1, 1):
        if rolls.happens(0.7):
            rows = direction * round(size * rolls.between(1.02, 1.5))
            moved = np.roll(mask, rolls.dice.randrange(mask.shape[1]), axis=1)
            shifted = np.zeros_like(mask)
            if rows > 0:
                shifted[rows:] = moved[:-rows] if rows < len(mask) else 0
            else:
                shifted[:rows] = moved[-rows:] if -rows < len(mask) else 0
            around = to_image(cv2.max(around, shifted))
    return around


def _inked(mask: Image, box: tuple[float, ...], baseline: float, size: int, scene: Scene, rolls: Rolls) -> Field:
    """Ink and all other marks on paper."""
    height, width = mask.shape
    canvas, ink = make_paper(scene.paper, height, width, rolls)
    if rolls.does("stamp"):
        _stamp(canvas, size, rolls)
    if rolls.does("cast_shadow"):
        _cast_shadow(canvas, mask, ink, size, rolls)
    if rolls.does("outline"):
        _outline(canvas, mask, ink, size, rolls)
    colours: Field | Colour = ink
    if rolls.does("gradient"):
        steps = np.linspace(0, 1, height, dtype=np.float32)[:, None, None]
        colours = ink + steps * to_field(rolls.between(20, 90) * rolls.normal(3))
    _blend(canvas, mask, colours, rolls.between(0.85, 1) if rolls.happens(0.3) else 1.0)
    _lines(canvas, box, baseline, size, ink, rolls)
    return canvas


def _blend(canvas: Field, mask: Image, colour: Field | Colour, opacity: float) -> None:
    alpha = (mask * np.float32(opacity / 255))[..., None]
    canvas += alpha * (colour - canvas)


def _opposite(ink: Colour, rolls: Rolls) -> Colour:
    """Black around light ink, white around dark ink, or nearly."""
    level = rolls.between(0, 50) if luminance(ink) > 120 else rolls.between(205, 255)
    return to_field(np.clip(level + 10 * rolls.normal(3), 0, 255))


def _outline(canvas: Field, mask: Image, ink: Colour, size: int, rolls: Rolls) -> None:
    reach = 2 * max(1, round(size * rolls.between(0.025, 0.085))) + 1
    edge = cv2.dilate(mask, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (reach, reach)))
    if rolls.happens(0.4):
        edge = cv2.GaussianBlur(edge, (0, 0), rolls.between(0.5, 1.5))
    _blend(canvas, to_image(edge), _opposite(ink, rolls), rolls.between(0.6, 1))


def _cast_shadow(canvas: Field, mask: Image, ink: Colour, size: int, rolls: Rolls) -> None:
    reach = max(1.0, size * 0.1)
    offset = to_field([[1, 0, rolls.between(-0.3, 1) * reach], [0, 1, rolls.between(0, 1) * reach]])
    shadow = cv2.warpAffine(mask, offset, mask.shape[::-1])
    if rolls.happens(0.6):
        shadow = cv2.GaussianBlur(shadow, (0, 0), rolls.between(0.4, 0.08 * size + 0.5))
    _blend(canvas, to_image(shadow), _opposite(ink, rolls), rolls.between(0.3, 0.9))


def _lines(canvas: Field, box: tuple[float, ...], baseline: float, size: int, ink: Colour, rolls: Rolls) -> None:
    """Underlines, rules of tables, boxes and strokes through the text."""
    height, width = canvas.shape[:2]
    left, top, right, bottom = map(round, box)
    colour = (ink if rolls.happens(0.7) else np.clip(128 + 60 * rolls.normal(3), 0, 255)).tolist()
    weight = max(1, round(size * rolls.between(0.02, 0.07)))
    if rolls.does("underline"):
        row = round(baseline + size * rolls.between(0.1, 0.28))
        cv2.line(canvas, (left, row), (right, row), colour, weight, cv2.LINE_AA)
    if rolls.does("strike"):
        row = round(baseline - size * rolls.between(0.2, 0.5))
        cv2.line(canvas, (left, row), (right, row + rolls.dice.randint(-3, 3)), colour, 1, cv2.LINE_AA)
    if rolls.does("rules"):
        for row in (top - round(size * rolls.between(0.05, 0.4)), bottom + round(size * rolls.between(0.05, 0.4))):
            if rolls.happens(0.7):
                cv2.line(canvas, (0, row), (width, row), colour, weight)
        for column in (left - round(size * rolls.between(0.08, 0.4)), right + round(size * rolls.between(0.08, 0.4))):
            if rolls.happens(0.3):
                cv2.line(canvas, (column, 0), (column, height), colour, weight)
    if rolls.does("box"):
        gap = round(size * rolls.between(0.1, 0.4))
        cv2.rectangle(canvas, (left - gap, top - gap), (right + gap, bottom + gap), colour, weight, cv2.LINE_AA)


def _stamp(canvas: Field, size: int, rolls: Rolls) -> None:
    """Part of a red or blue seal: rings and worn strokes, below the ink as on signed paper."""
    height, width = canvas.shape[:2]
    seal = np.zeros((height, width), np.uint8)
    radius = round(size * rolls.between(1, 3))
    center = rolls.dice.randrange(width), rolls.dice.randrange(-radius // 2, height + radius // 2)
    cv2.circle(seal, center, radius, 255, max(2, size // 12), cv2.LINE_AA)
    for angle in np.arange(0, 2 * np.pi, rolls.between(0.25, 0.5)):  # letters along the rim, seen as strokes
        rim = to_field(center) + to_field([np.cos(angle), np.sin(angle)]) * radius * 0.78
        for _ in range(3):
            a, b = rim + rolls.normal(2, 2) * size * 0.16
            cv2.line(seal, tuple(map(int, a)), tuple(map(int, b)), 255, max(1, size // 16), cv2.LINE_AA)
    worn = to_image(seal * np.clip(0.75 + 0.35 * rolls.field(height, width, size * 0.3), 0, 1))
    colour = to_field([200, 30, 40] if rolls.happens(0.8) else [40, 60, 170]) + 15 * rolls.normal(3)
    _blend(canvas, worn, colour, rolls.between(0.35, 0.8))
