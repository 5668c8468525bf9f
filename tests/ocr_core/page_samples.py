"""Pages for the tests of output formats."""

from __future__ import annotations

from ocr_core.page_output import OutputPage
from ocr_core.structure import Cell, Paragraph, Structure, Table
from ocr_core.types import Character, Line, Point, Polygon, Recognition, Timings


def rectangle(left: float, top: float, right: float, bottom: float) -> Polygon:
    """Upright."""
    return Polygon((Point(left, top), Point(right, top), Point(right, bottom), Point(left, bottom)))


def spread(text: str, width: float) -> tuple[Character, ...]:
    """Its characters, evenly over a width."""
    step = width / len(text)
    return tuple(Character(each, 0.5, i, i * step, (i + 1) * step, i, i + 1) for i, each in enumerate(text))


MIXED = Line("送货单 Delivery note", 0.75, rectangle(100, 100, 700, 140))
LEVEL = Line('Level <words> & "more"', 0.9, rectangle(100, 200, 540, 240), spread('Level <words> & "more"', 440))
SLANTED = Line("slanted", 0.8, Polygon((Point(100, 300), Point(400, 330), Point(397, 360), Point(97, 330))))
VERTICAL = Line("竖排文字", 0.6, Polygon((Point(600, 300), Point(600, 600), Point(560, 600), Point(560, 300))))
LINES = (MIXED, LEVEL, SLANTED, VERTICAL)
RECOGNITION = Recognition(LINES, 827, 1169, "m", "1", Timings())


STRUCTURE = Structure(
    paragraphs=(Paragraph("竖排文字", (3,)), Paragraph("送货单 Delivery note slanted", (0, 2))),
    tables=(
        Table(
            1,
            2,
            is_ruled=True,
            cells=(
                Cell(0, 0, 1, 1, "", (), rectangle(90, 190, 95, 250)),
                Cell(0, 1, 1, 1, LEVEL.text, (1,), rectangle(95, 190, 600, 250)),
            ),
            polygon=rectangle(90, 190, 600, 250),
        ),
    ),
)
"""Of LINES."""


def sample(*lines: Line, position: int = 1, structure: Structure | None = None) -> OutputPage:
    """The third page of a file with a name that needs care."""
    text = Recognition(lines, 827, 1169, "m", "1", Timings(), structure)
    return OutputPage('scans/"a" & b.pdf', 3, position, 100.0, text)
