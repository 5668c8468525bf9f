"""Handwriting that no font has: characters from the course of their strokes, each time written a little differently."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np

from ocr_core.types import Image
from training.synth.pixels import Field, to_field, to_image
from training.synth.rolls import Rolls

STROKES = "strokes.npz"
_EM, _TOP = 1024, 900  # of the source: y grows upwards, and the square ends this far above the base line
_FINE = 3  # strokes are drawn this much larger, for widths between whole pixels
_CELL = 1.5  # side of a written character's image in font sizes
BASELINE = _TOP / _EM + (_CELL - 1) / 2  # row of the base line in that image, in font sizes


@dataclass(frozen=True, slots=True)
class Strokes:
    """Courses of strokes by character, each float32 [point, 2], x and y in the unit square."""

    characters: dict[str, int]
    strokes_at: Field
    points_at: Field
    points: Field

    def of(self, character: str) -> list[Field]:
        """Strokes of a character in writing order. Raises KeyError."""
        number = self.characters[character]
        ends = self.points_at[self.strokes_at[number] : self.strokes_at[number + 1] + 1]
        return [self.points[start:end] for start, end in pairwise(ends)]


@dataclass(frozen=True, slots=True)
class Hand:
    """How one person writes one line. warp: habit of form, float32 [6, 2]; the rest are shares of the font size."""

    warp: Field
    slant: float
    width: float
    taper: float
    shake: float
    linking: float
    rounding: int


def build_strokes(packages: Path, file: Path) -> None:
    """Write the courses of all characters of the unpacked packages as one file."""
    characters: list[str] = []
    strokes_at, points_at, points = [0], [0], []
    for source in sorted((packages / "npm/hanzi-writer-data/package").glob("?.json")):
        for course in json.loads(source.read_text(encoding="utf-8"))["medians"]:
            points += [(x / _EM, (_TOP - y) / _EM) for x, y in course]
            points_at.append(len(points))
        characters.append(source.stem)
        strokes_at.append(len(points_at) - 1)
    np.savez_compressed(
        file,
        characters=np.array(characters),
        strokes_at=np.array(strokes_at, np.int32),
        points_at=np.array(points_at, np.int32),
        points=to_field(points),
    )
    print(f"{file.name}: {len(characters)} characters", flush=True)


def load_strokes(file: Path) -> Strokes:
    """Courses that build_strokes wrote. Raises FileNotFoundError."""
    with np.load(file) as arrays:
        characters = {str(character): number for number, character in enumerate(arrays["characters"])}
        return Strokes(characters, arrays["strokes_at"], arrays["points_at"], arrays["points"])


def any_hand(rolls: Rolls) -> Hand:
    """A writer, from neat to hasty."""
    haste = rolls.between(0, 1)
    return Hand(
        warp=(0.02 + 0.06 * haste) * rolls.normal(6, 2),
        slant=rolls.between(-0.1, 0.3) * (0.3 + haste),
        width=rolls.between(0.025, 0.085),
        taper=rolls.between(0, 0.7),
        shake=0.006 + 0.02 * haste * rolls.between(0.3, 1),
        linking=max(0.0, haste - 0.35) * rolls.between(0, 1),
        rounding=rolls.dice.randint(1, 3),
    )


def write(strokes: Sequence[Field], hand: Hand, size: int, rolls: Rolls) -> Image:
    """A character as ink, uint8 [side, side] with side _CELL times the font size."""
    side = round(_CELL * size)
    ink = np.zeros((side * _FINE, side * _FINE), np.uint8)
    form = hand.warp + 0.5 * float(np.abs(hand.warp).mean()) * rolls.normal(6, 2)
    pen_up: Field | None = None
    for stroke in strokes:
        course = _rounded(_moved(stroke, form, hand, rolls), hand.rounding)
        line = np.rint((course + (_CELL - 1) / 2) * size * _FINE * 16).astype(np.int32)
        width = max(1, round(hand.width * size * _FINE * rolls.between(0.85, 1.15)))
        if pen_up is not None and rolls.happens(hand.linking):
            link = np.stack([pen_up, line[0]])
            cv2.polylines(ink, [link], False, 200, max(1, width // 2), cv2.LINE_AA, 4)
        cv2.polylines(ink, [line[: max(2, len(line) * 3 // 5)]], False, 255, width, cv2.LINE_AA, 4)
        cv2.polylines(
            ink, [line[len(line) // 3 :]], False, 255, max(1, round(width * (1 - hand.taper))), cv2.LINE_AA, 4
        )
        pen_up = line[-1]
    return to_image(cv2.resize(ink, (side, side), interpolation=cv2.INTER_AREA))


def _moved(stroke: Field, form: Field, hand: Hand, rolls: Rolls) -> Field:
    """A stroke bent by the form of its character, and off by itself a little."""
    x, y = (stroke - 0.5).T
    bent = stroke + np.stack([np.ones_like(x), x, y, x * y, x * x, y * y], 1) @ form
    center = bent.mean(0)
    turned = np.array([[1, rolls.between(-3, 3) * hand.shake], [rolls.between(-3, 3) * hand.shake, 1]])
    own = (bent - center) @ turned * (1 + 2 * hand.shake * rolls.normal(2)) + center
    slanted = own + np.stack([-hand.slant * (own[:, 1] - 0.5), np.zeros(len(own))], 1)
    return to_field(slanted + hand.shake * rolls.normal(1, 2) + 0.4 * hand.shake * rolls.normal(len(own), 2))


def _rounded(course: Field, times: int) -> Field:
    """Corners cut (Chaikin 1974): each bend becomes a curve, the ends stay."""
    for _ in range(times):
        first, second = course[:-1], course[1:]
        cut = np.stack([0.75 * first + 0.25 * second, 0.25 * first + 0.75 * second], 1).reshape(-1, 2)
        course = np.concatenate([course[:1], cut, course[-1:]])
    return course
