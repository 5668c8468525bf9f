"""What rules have changed and found, as values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ocr_core.types import Polygon


@dataclass(frozen=True, slots=True)
class Correction:
    """A part of a line that a rule has changed. start, end: of what stands there in Line.raw_text.

    rule: the field of RuleOptions, or the name of a field type.
    """

    rule: str
    before: str
    after: str
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Field:
    """A part of a line that a rule has found. line: its index in the recognition; start, end: in the line's text."""

    name: str
    value: str
    line: int
    start: int
    end: int
    polygon: Polygon
