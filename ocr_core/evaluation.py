"""How well labelled images are read: exact match and CER of lines; detection, CER and line recall of pages.

A set is a folder with labels.tsv ("path<TAB>text", UTF-8) or pages.json (image, lines with text, polygon, ignore).
ignore.txt in a set lists characters that do not count.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

from rapidfuzz.distance import Levenshtein

from ocr_core.edits import Edits, edits_of
from ocr_core.errors import InputError
from ocr_core.page_scores import PageComparison, PageCounts, PageLine, compare_page, normalise, polygon_of
from ocr_core.types import Line, Mode, Recognition, RecognizeOptions

LABELS = "labels.tsv"
PAGES = "pages.json"

Progress = Callable[[str], None]
"""Called with the path of each image that has been read."""


class Recognizer(Protocol):
    """Whatever reads an image: the pipeline in process, or a client."""

    def recognize(self, image: bytes, options: RecognizeOptions) -> Recognition:
        """The whole path for one image."""


@dataclass(frozen=True, slots=True)
class LineScore:
    """One set of line images. exact: share of lines fully right; cer: edit distances over label lengths.

    failed: images that could not be read at all; they count as empty text.

    The _norm figures compare after NFKC, removal of white space and case folding.
    """

    name: str
    lines: int
    failed: int
    exact: float
    exact_norm: float
    cer: float
    cer_norm: float


@dataclass(frozen=True, slots=True)
class PageScore:
    """One set of pages. failed: images that could not be read at all; their lines count as not found.

    precision, recall, h_mean: of the lines found, at an intersection over union of 0.5. cer, line_recall: of their
    text, normalised, however lines were cut; see page_scores.
    """

    name: str
    pages: int
    lines: int
    failed: int
    precision: float
    recall: float
    h_mean: float
    cer: float
    line_recall: float


@dataclass(frozen=True, slots=True)
class LineReading:
    """An image of a line, its label and what was read, both without what does not count.

    characters: (text, confidence) pairs, which joined are the text. confidence: of the line. is_failed: whether it
    could not be read at all.
    """

    path: Path
    label: str
    characters: tuple[tuple[str, float], ...]
    confidence: float
    is_failed: bool = False

    @property
    def text(self) -> str:
        """What was read."""
        return "".join(text for text, _ in self.characters)

    @property
    def edits(self) -> Edits:
        """From the label to what was read; its read_right has one element per character."""
        return edits_of(self.label, [text for text, _ in self.characters])


@dataclass(frozen=True, slots=True)
class LineSet:
    """A set of lines that has been read."""

    name: str
    readings: tuple[LineReading, ...]

    @property
    def score(self) -> LineScore:
        """Its figures."""
        failed = sum(reading.is_failed for reading in self.readings)
        labels = [reading.label for reading in self.readings]
        return score_texts(self.name, labels, [reading.text for reading in self.readings], failed)


@dataclass(frozen=True, slots=True)
class PageReading:
    """An image of a page against its labels. is_failed: whether it could not be read at all."""

    path: Path
    comparison: PageComparison
    is_failed: bool = False


@dataclass(frozen=True, slots=True)
class PageSet:
    """A set of pages that has been read."""

    name: str
    readings: tuple[PageReading, ...]

    @property
    def score(self) -> PageScore:
        """Its figures."""
        counts = sum((reading.comparison.counts for reading in self.readings), PageCounts())
        failed = sum(reading.is_failed for reading in self.readings)
        figures = (counts.precision, counts.recall, counts.h_mean, counts.cer, counts.line_recall)
        return PageScore(self.name, len(self.readings), counts.labelled, failed, *figures)


def evaluate(
    recognizer: Recognizer, directory: Path, options: RecognizeOptions, progress: Progress = lambda _: None
) -> Iterator[LineScore | PageScore]:
    """Score every set at or below `directory`, in order of their names. options as of read_sets."""
    for read in read_sets(recognizer, directory, options, progress):
        yield read.score


def read_sets(
    recognizer: Recognizer, directory: Path, options: RecognizeOptions, progress: Progress = lambda _: None
) -> Iterator[LineSet | PageSet]:
    """Read every set at or below `directory`, in order of their names. options.mode is set to suit each set."""
    for folder in find_sets(directory):
        if (folder / LABELS).exists():
            yield read_lines(recognizer, folder, replace(options, mode=Mode.LINE), progress)
        else:
            yield _read_page_set(recognizer, folder, replace(options, mode=Mode.PAGE), progress)


def find_sets(directory: Path) -> list[Path]:
    """Folders at or below `directory` that hold a set."""
    return sorted({path.parent for name in (LABELS, PAGES) for path in directory.rglob(name)})


def read_labels(folder: Path) -> list[tuple[str, str]]:
    """Rows of labels.tsv: path of an image below the folder, and its text. Raises InputError."""
    rows = _text(folder / LABELS).split("\n")
    return [(path, text) for path, _, text in (row.partition("\t") for row in rows if row)]


def read_lines(
    recognizer: Recognizer, folder: Path, options: RecognizeOptions, progress: Progress = lambda _: None
) -> LineSet:
    """Read one folder with labels.tsv, with the confidences of characters."""
    options = replace(options, include_characters=True)
    ignored = folder / "ignore.txt"
    dropped = dict.fromkeys(map(ord, _text(ignored).strip("\r\n") if ignored.exists() else ""))
    readings = []
    for path, label in read_labels(folder):
        lines = _lines(recognizer, folder / path, options)
        characters = [(text.translate(dropped), sure) for line in lines or () for text, sure in _characters(line)]
        readings.append(
            LineReading(
                path=folder / path,
                label=label.translate(dropped),
                characters=tuple((text, sure) for text, sure in characters if text),
                confidence=lines[0].confidence if lines else 0.0,
                is_failed=lines is None,
            )
        )
        progress(path)
    return LineSet(folder.name, tuple(readings))


def read_pages(folder: Path) -> list[tuple[str, list[PageLine]]]:
    """Pages of pages.json: path of an image below the folder, and its labelled lines. Raises InputError."""
    text = _text(folder / PAGES)
    try:
        return [(page["image"], [_page_line(line) for line in page["lines"]]) for page in json.loads(text)]
    except (ValueError, LookupError, TypeError) as error:
        raise InputError(f"{folder / PAGES} is no list of pages: {error!r}") from None


def _page_line(line: Mapping[str, Any]) -> PageLine:
    return PageLine(line["text"], polygon_of(line["polygon"]), line["ignore"])


def _text(path: Path) -> str:
    """Some editors begin a file with a mark, which is none of its text."""
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is no UTF-8: {error}") from None


def score_texts(name: str, labels: Sequence[str], texts: Sequence[str], failed: int = 0) -> LineScore:
    """Compare texts with their labels, pair by pair."""
    exact, cer = _compare(labels, texts)
    exact_norm, cer_norm = _compare([normalise(label) for label in labels], [normalise(text) for text in texts])
    return LineScore(name, len(labels), failed, exact, exact_norm, cer, cer_norm)


def _compare(labels: Sequence[str], texts: Sequence[str]) -> tuple[float, float]:
    pairs = list(zip(labels, texts, strict=True))
    edits = sum(Levenshtein.distance(label, text) for label, text in pairs)
    exact = sum(label == text for label, text in pairs)
    return exact / max(len(pairs), 1), edits / max(sum(map(len, labels)), 1)


def _read_page_set(recognizer: Recognizer, folder: Path, options: RecognizeOptions, progress: Progress) -> PageSet:
    readings = []
    for path, labels in read_pages(folder):
        lines = _lines(recognizer, folder / path, options)
        comparison = compare_page(labels, [PageLine(line.text, line.polygon) for line in lines or ()])
        readings.append(PageReading(folder / path, comparison, is_failed=lines is None))
        progress(path)
    return PageSet(folder.name, tuple(readings))


def _characters(line: Line) -> list[tuple[str, float]]:
    """Text and confidence of each; where there are none, as of other readers, the line's confidence."""
    if line.characters:
        return [(character.text, character.confidence) for character in line.characters]
    return [(text, line.confidence) for text in line.text]


def _lines(recognizer: Recognizer, path: Path, options: RecognizeOptions) -> tuple[Line, ...] | None:
    """The lines of an image, or None when it is none that can be read."""
    try:
        return recognizer.recognize(path.read_bytes(), options).lines
    except InputError:
        return None
