"""Pages as output formats see them: lines, and words with their places.

Formats take results of the pipeline and of the client alike, which have the same fields; hence the protocols.
"""

from __future__ import annotations

import itertools
import math
import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

Place = tuple[float, float]
"""x, y in pixels."""

_NOT_XML = re.compile("[^\t\n\r -\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


class _Vertex(Protocol):
    @property
    def x(self) -> float: ...
    @property
    def y(self) -> float: ...


class _Outline(Protocol):
    @property
    def vertices(self) -> Sequence[_Vertex]: ...


class _Character(Protocol):
    @property
    def text(self) -> str: ...
    @property
    def confidence(self) -> float: ...
    @property
    def x_start(self) -> float: ...
    @property
    def x_end(self) -> float: ...


class TextLine(Protocol):
    """ocr_core.types.Line, or the client's."""

    @property
    def text(self) -> str:
        """What it says."""

    @property
    def confidence(self) -> float:
        """From 0 to 1."""

    @property
    def polygon(self) -> _Outline:
        """Clockwise from the corner where reading starts."""

    @property
    def characters(self) -> Sequence[_Character]:
        """None when their places are not known."""


class _Paragraph(Protocol):
    @property
    def lines(self) -> Sequence[int]: ...


class _Table(Protocol):
    @property
    def cells(self) -> Sequence[_Paragraph]: ...


class _Structure(Protocol):
    @property
    def paragraphs(self) -> Sequence[_Paragraph]: ...
    @property
    def tables(self) -> Sequence[_Table]: ...


class TextPage(Protocol):
    """ocr_core.types.Recognition, or the client's."""

    @property
    def lines(self) -> Sequence[TextLine]:
        """In reading order."""

    @property
    def structure(self) -> _Structure | None:
        """What the lines form together, when it was asked for."""

    @property
    def image_width(self) -> int:
        """In pixels."""

    @property
    def image_height(self) -> int:
        """In pixels."""


@dataclass(frozen=True, slots=True)
class OutputPage:
    """A page of a file. number: in the file, from 1. position: in the output, from 1. dpi: 0 when nobody knows."""

    file: str
    number: int
    position: int
    dpi: float
    text: TextPage


@dataclass(frozen=True, slots=True)
class Box:
    """Upright, in whole pixels, inside the page."""

    left: int
    top: int
    right: int
    bottom: int


@dataclass(frozen=True, slots=True)
class Word:
    """Characters without white space. corners: clockwise from the one where reading starts."""

    text: str
    confidence: float
    corners: tuple[Place, Place, Place, Place]


@dataclass(frozen=True, slots=True)
class Block:
    """Lines that belong together, by their indices. parts: the cells of a table that have text; else one.

    kind: area where the structure of the page is not known.
    """

    kind: Literal["area", "paragraph", "table"]
    parts: tuple[tuple[int, ...], ...]

    @property
    def lines(self) -> list[int]:
        """Of all parts."""
        return [line for part in self.parts for line in part]


def blocks(page: TextPage) -> list[Block]:
    """Blocks in reading order; each line of the page is in one of them."""
    everything = range(len(page.lines))
    if page.structure is None:
        return [Block("area", (tuple(everything),))] if everything else []
    found = [Block("paragraph", (tuple(each.lines),)) for each in page.structure.paragraphs]
    for table in page.structure.tables:
        cells = tuple(tuple(cell.lines) for cell in table.cells if cell.lines)
        if cells:
            found.append(Block("table", cells))
    return sorted(found, key=lambda block: min(block.lines))


def words(line: TextLine) -> list[Word]:
    """The words of a line: placed by its characters where they are known, else by the usual widths of characters."""
    edges = _Edges.of(line)
    return [
        _word(list(run), edges)
        for is_space, run in itertools.groupby(_pieces(line, edges.length), key=lambda piece: piece[0].isspace())
        if not is_space
    ]


def word_at(line: TextLine, start: int, end: int) -> Word:
    """The characters of a line that have text[start:end], at least one, placed as words are."""
    edges = _Edges.of(line)
    pieces = list(_pieces(line, edges.length))
    ends = itertools.accumulate(len(piece[0]) for piece in pieces)
    return _word([piece for piece, last in zip(pieces, ends, strict=True) if start < last < end + len(piece[0])], edges)


def box(corners: Sequence[Place], page: TextPage) -> Box:
    """Around the corners."""
    xs, ys = [x for x, _ in corners], [y for _, y in corners]
    width, height = page.image_width, page.image_height
    left, top = (min(max(math.floor(min(values)), 0), most) for values, most in ((xs, width), (ys, height)))
    return Box(left, top, min(max(math.ceil(max(xs)), left), width), min(max(math.ceil(max(ys)), top), height))


def line_box(line: TextLine, page: TextPage) -> Box:
    """Around the line's polygon."""
    return lines_box([line], page)


def lines_box(lines: Sequence[TextLine], page: TextPage) -> Box:
    """Around the polygons of several lines."""
    return box([(vertex.x, vertex.y) for line in lines for vertex in line.polygon.vertices], page)


def is_wide(character: str) -> bool:
    """Whether it takes the room of two letters, as Chinese characters do."""
    return unicodedata.east_asian_width(character[0]) in "WF"


def xml_text(text: str) -> str:
    """Without characters that no XML file may have."""
    return _NOT_XML.sub("\N{REPLACEMENT CHARACTER}", text)


_Piece = tuple[str, float, float, float]
"""Text, confidence, start and end along the line."""


def _pieces(line: TextLine, length: float) -> Iterator[_Piece]:
    if line.characters:
        for each in line.characters:
            yield each.text, each.confidence, each.x_start, each.x_end
        return
    widths = [2 if is_wide(character) else 1 for character in line.text]
    starts = [0, *itertools.accumulate(widths)]
    for character, start, width in zip(line.text, starts, widths, strict=False):
        scale = length / starts[-1]
        yield character, line.confidence, start * scale, (start + width) * scale


@dataclass(frozen=True, slots=True)
class _Edges:
    """Of a line, in reading direction: along the tops and along the feet of its letters. length: of the tops."""

    tops: list[Place]
    feet: list[Place]
    length: float

    @classmethod
    def of(cls, line: TextLine) -> _Edges:
        vertices = [(vertex.x, vertex.y) for vertex in line.polygon.vertices]
        middle = len(vertices) // 2
        tops = vertices[:middle]
        length = sum(itertools.starmap(math.dist, itertools.pairwise(tops))) or 1.0
        return cls(tops, vertices[: middle - 1 : -1], length)


def _word(run: list[_Piece], edges: _Edges) -> Word:
    first, last = (min(max(end / edges.length, 0.0), 1.0) for end in (run[0][2], run[-1][3]))
    tops, feet = edges.tops, edges.feet
    corners = _along(tops, first), _along(tops, last), _along(feet, last), _along(feet, first)
    confidence = sum(piece[1] for piece in run) / len(run)
    return Word("".join(piece[0] for piece in run), confidence, corners)


def _along(path: Sequence[Place], share: float) -> Place:
    """The place on a path at a share of its length."""
    lengths = list(itertools.starmap(math.dist, itertools.pairwise(path)))
    left = share * sum(lengths)
    for (start, end), length in zip(itertools.pairwise(path), lengths, strict=True):
        if left <= length and length:
            part = left / length
            return start[0] + part * (end[0] - start[0]), start[1] + part * (end[1] - start[1])
        left -= length
    return path[-1]
