"""How well labelled images are read: exact match and CER of lines; detection, CER and line recall of pages.

A set is a folder with labels.tsv ("path<TAB>text", UTF-8) or pages.json (image, lines with text, polygon, ignore).
ignore.txt in a set lists characters that do not count.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from rapidfuzz.distance import Levenshtein

from ocr_core.errors import InputError
from ocr_core.page_scores import PageCounts, PageLine, compare_page, normalise, polygon_of
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


def evaluate(
    recognizer: Recognizer, directory: Path, options: RecognizeOptions, progress: Progress = lambda _: None
) -> Iterator[LineScore | PageScore]:
    """Score every set at or below `directory`, in order of their names. options.mode is set to suit each set."""
    for folder in find_sets(directory):
        if (folder / LABELS).exists():
            yield score_lines(recognizer, folder, replace(options, mode=Mode.LINE), progress)
        else:
            yield _score_pages(recognizer, folder, replace(options, mode=Mode.PAGE), progress)


def find_sets(directory: Path) -> list[Path]:
    """Folders at or below `directory` that hold a set."""
    return sorted({path.parent for name in (LABELS, PAGES) for path in directory.rglob(name)})


def read_labels(folder: Path) -> list[tuple[str, str]]:
    """Rows of labels.tsv: path of an image below the folder, and its text."""
    rows = (folder / LABELS).read_text(encoding="utf-8").split("\n")
    return [(path, text) for path, _, text in (row.partition("\t") for row in rows if row)]


def score_lines(
    recognizer: Recognizer, folder: Path, options: RecognizeOptions, progress: Progress = lambda _: None
) -> LineScore:
    """Score one folder with labels.tsv."""
    rows = read_labels(folder)
    ignored = folder / "ignore.txt"
    dropped = dict.fromkeys(map(ord, ignored.read_text(encoding="utf-8").strip("\r\n") if ignored.exists() else ""))
    texts = []
    failed = 0
    for path, _ in rows:
        lines = _lines(recognizer, folder / path, options)
        failed += lines is None
        texts.append("".join(line.text for line in lines or ()).translate(dropped))
        progress(path)
    return score_texts(folder.name, [label.translate(dropped) for _, label in rows], texts, failed)


def read_pages(folder: Path) -> list[tuple[str, list[PageLine]]]:
    """Pages of pages.json: path of an image below the folder, and its labelled lines."""
    pages = json.loads((folder / PAGES).read_text(encoding="utf-8"))
    return [
        (page["image"], [PageLine(line["text"], polygon_of(line["polygon"]), line["ignore"]) for line in page["lines"]])
        for page in pages
    ]


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


def _score_pages(recognizer: Recognizer, folder: Path, options: RecognizeOptions, progress: Progress) -> PageScore:
    pages = read_pages(folder)
    counts, failed = PageCounts(), 0
    for path, labels in pages:
        lines = _lines(recognizer, folder / path, options)
        failed += lines is None
        counts += compare_page(labels, [PageLine(line.text, line.polygon) for line in lines or ()])
        progress(path)
    figures = (counts.precision, counts.recall, counts.h_mean, counts.cer, counts.line_recall)
    return PageScore(folder.name, len(pages), counts.labelled, failed, *figures)


def _lines(recognizer: Recognizer, path: Path, options: RecognizeOptions) -> tuple[Line, ...] | None:
    """The lines of an image, or None when it is none that can be read."""
    try:
        return recognizer.recognize(path.read_bytes(), options).lines
    except InputError:
        return None
