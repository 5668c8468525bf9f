"""How well the lines of a page were found and read, against labelled lines.

Detection: pairs of a found and a labelled line with an intersection over union of at least 0.5, one to one, as in the
ICDAR 2015 competition; what lies on ignored labels does not count.

Text does not depend on how lines were cut: found and labelled lines that share half the area of the smaller one form a
group, and the texts of each group are compared as a whole.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from enum import Enum
from functools import cached_property

import cv2
import numpy as np
import numpy.typing as npt
from rapidfuzz.distance import Levenshtein

from ocr_core.layout.order import reading_order
from ocr_core.types import Point, Polygon

MATCHED_IOU = 0.5

_SHARED = 0.5


@dataclass(frozen=True, slots=True)
class PageLine:
    """A line of a page, found or labelled. ignore: a label whose text nobody could read."""

    text: str
    polygon: Polygon
    ignore: bool = False


@dataclass(frozen=True, slots=True)
class PageCounts:
    """Counts of one page; those of several add up.

    labelled, found: lines, without those ignored; matched: pairs of them. read: labelled lines whose text is right.
    characters: of the labels, normalised; edits: needed to get from what was read to them. Text where nothing is
    labelled counts as found and not as edits: some sets leave out text that nobody verified.
    """

    labelled: int = 0
    found: int = 0
    matched: int = 0
    read: int = 0
    characters: int = 0
    edits: int = 0

    def __add__(self, other: PageCounts) -> PageCounts:
        return PageCounts(*(getattr(self, field.name) + getattr(other, field.name) for field in fields(self)))

    @property
    def precision(self) -> float:
        """Share of the found lines that match a label."""
        return self.matched / max(self.found, 1)

    @property
    def recall(self) -> float:
        """Share of the labelled lines that were found."""
        return self.matched / max(self.labelled, 1)

    @property
    def h_mean(self) -> float:
        """Harmonic mean of precision and recall."""
        return 2 * self.matched / max(self.found + self.labelled, 1)

    @property
    def line_recall(self) -> float:
        """Share of the labelled lines that were read right."""
        return self.read / max(self.labelled, 1)

    @property
    def cer(self) -> float:
        """Edits per labelled character."""
        return self.edits / max(self.characters, 1)


class Fate(Enum):
    """What became of a line of a page: a label was MATCHED or MISSED, a found one MATCHED or SPURIOUS."""

    MATCHED = "matched"
    MISSED = "missed"
    SPURIOUS = "spurious"
    IGNORED = "ignored"


@dataclass(frozen=True, slots=True)
class TextGroup:
    """Labelled and found lines that are compared as a whole: their texts, each in reading order."""

    labels: tuple[str, ...]
    found: tuple[str, ...]

    @property
    def counts(self) -> PageCounts:
        """read, characters and edits."""
        wanted = [normalise(label) for label in self.labels]
        text = "".join(map(normalise, self.found))
        edits = Levenshtein.distance("".join(wanted), text)
        right = sum(one in text for one in wanted) if len(wanted) > 1 else int(edits == 0)
        return PageCounts(read=right, characters=sum(map(len, wanted)), edits=edits)


@dataclass(frozen=True)
class PageComparison:
    """One page against its labels. labels, found: every line and what became of it. groups: without ignored labels."""

    labels: tuple[tuple[PageLine, Fate], ...]
    found: tuple[tuple[PageLine, Fate], ...]
    groups: tuple[TextGroup, ...]

    @cached_property
    def counts(self) -> PageCounts:
        """Of the page."""
        lines = PageCounts(
            labelled=sum(fate is not Fate.IGNORED for _, fate in self.labels),
            found=sum(fate is not Fate.IGNORED for _, fate in self.found),
            matched=sum(fate is Fate.MATCHED for _, fate in self.labels),
        )
        return sum((group.counts for group in self.groups), lines)


def normalise(text: str) -> str:
    """NFKC, no white space, case folded."""
    return "".join(unicodedata.normalize("NFKC", text).split()).casefold()


def compare_page(labels: Sequence[PageLine], found: Sequence[PageLine]) -> PageComparison:
    """What was found on a page, against what is there."""
    shared = _intersections(labels, found)
    label_areas, found_areas = (np.array([_area(line) for line in lines]) for lines in (labels, found))
    ignored = np.array([label.ignore for label in labels], bool)
    counted = ~(shared[ignored].sum(axis=0) > _SHARED * found_areas) if ignored.any() else np.ones(len(found), bool)
    union = label_areas[:, None] + found_areas[None] - shared
    ious = shared / np.maximum(union, 1.0)
    ious[ignored] = ious[:, ~counted] = 0.0
    rows, columns = _pairs(ious)
    linked = shared >= _SHARED * np.minimum(label_areas[:, None], found_areas[None])
    linked[ignored] = False
    return PageComparison(
        _fates(labels, ~ignored, rows, Fate.MISSED),
        _fates(found, counted, columns, Fate.SPURIOUS),
        tuple(
            TextGroup(_texts([labels[i] for i in some]), _texts([found[i] for i in others]))
            for some, others in _groups(linked)
            if not ignored[some[0]]
        ),
    )


def _fates(
    lines: Sequence[PageLine], counted: npt.NDArray[np.bool_], matched: set[int], alone: Fate
) -> tuple[tuple[PageLine, Fate], ...]:
    """counted: bool [line]. matched: indices of lines. alone: fate of others that count."""
    return tuple(
        (line, Fate.MATCHED if i in matched else alone if counted[i] else Fate.IGNORED) for i, line in enumerate(lines)
    )


def _texts(lines: Sequence[PageLine]) -> tuple[str, ...]:
    """In reading order."""
    by_polygon = {id(line.polygon): line.text for line in lines}
    return tuple(by_polygon[id(polygon)] for polygon in reading_order([line.polygon for line in lines]))


def _groups(linked: npt.NDArray[np.bool_]) -> Iterator[tuple[list[int], list[int]]]:
    """Rows and columns that hang together, by groups with at least one row."""
    left = set(range(linked.shape[0]))
    while left:
        rows, columns = {left.pop()}, set[int]()
        while more := set(np.flatnonzero(linked[sorted(rows)].any(axis=0)).tolist()) - columns:
            columns |= more
            rows |= set(np.flatnonzero(linked[:, sorted(columns)].any(axis=1)).tolist())
        left -= rows
        yield sorted(rows), sorted(columns)


def _pairs(ious: npt.NDArray[np.float64]) -> tuple[set[int], set[int]]:
    """Rows and columns that are pairs by their IoU, the best first, each row and column once."""
    rows, columns = np.nonzero(ious >= MATCHED_IOU)
    taken_rows, taken_columns = set[int](), set[int]()
    for i in np.argsort(-ious[rows, columns], kind="stable"):
        if rows[i] not in taken_rows and columns[i] not in taken_columns:
            taken_rows.add(int(rows[i]))
            taken_columns.add(int(columns[i]))
    return taken_rows, taken_columns


def _intersections(labels: Sequence[PageLine], found: Sequence[PageLine]) -> npt.NDArray[np.float64]:
    """Shared area of each label with each found line, [label, found], square pixels."""
    hulls = [_hull(line.polygon) for line in found]
    shared = np.zeros((len(labels), len(found)))
    for row, label in zip(shared, labels, strict=True):
        labelled = _hull(label.polygon)
        row[:] = [cv2.intersectConvexConvex(labelled, hull)[0] for hull in hulls]
    return shared


def _area(line: PageLine) -> float:
    return max(1.0, cv2.contourArea(_hull(line.polygon)))


def _hull(polygon: Polygon) -> cv2.typing.MatLike:
    return cv2.convexHull(np.array([(vertex.x, vertex.y) for vertex in polygon.vertices], np.float32))


def polygon_of(vertices: Sequence[Sequence[float]]) -> Polygon:
    """From [x, y] pairs."""
    return Polygon(tuple(Point(float(x), float(y)) for x, y in vertices))
