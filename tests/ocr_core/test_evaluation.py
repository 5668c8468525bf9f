"""Tests of ocr_core.evaluation."""

import json
from pathlib import Path

import pytest

from ocr_core.errors import ImageEmpty, InputError
from ocr_core.evaluation import LineScore, PageScore, evaluate, read_labels, read_pages, score_texts
from ocr_core.page_scores import normalise
from ocr_core.types import Line, Mode, Point, Polygon, Recognition, RecognizeOptions, Timings


class Reader:
    """Reads every image as its own bytes, over the whole of a 100 x 20 image."""

    def __init__(self) -> None:
        self.modes: list[Mode] = []

    def recognize(self, image: bytes, options: RecognizeOptions) -> Recognition:
        self.modes.append(options.mode)
        if not image:
            raise ImageEmpty("nothing")
        polygon = Polygon((Point(0, 0), Point(100, 0), Point(100, 20), Point(0, 20)))
        return Recognition((Line(image.decode(), 1.0, polygon),), 100, 20, "m", "1", Timings())


def test_figures_of_a_hand_made_example() -> None:
    """Two of three lines differ raw, one after normalisation; edits and lengths are counted over all lines."""
    score = score_texts("s", ["AB c", "１２", "xyz"], ["abc", "12", "xyz"])
    assert score == LineScore(
        "s", 3, 0, pytest.approx(1 / 3), pytest.approx(1.0), pytest.approx(5 / 9), pytest.approx(0.0)
    )


def test_normalisation() -> None:
    """Full-width forms, white space of any kind and case do not count."""
    assert normalise("Ａ b\u3000Ｃ\n") == "abc"


def test_line_sets_honour_the_ignore_list(tmp_path: Path) -> None:
    """Characters of ignore.txt are taken out of both sides, and progress is told of each image."""
    folder = tmp_path / "plates"
    folder.mkdir()
    (folder / "labels.tsv").write_text("a.png\t京A·1\nb.png\t京B2\n", encoding="utf-8")
    (folder / "ignore.txt").write_text("·-\n", encoding="utf-8")
    (folder / "a.png").write_text("京A-1", encoding="utf-8")
    (folder / "b.png").write_text("京B3", encoding="utf-8")
    seen: list[str] = []
    reader = Reader()
    (score,) = evaluate(reader, tmp_path, RecognizeOptions(), seen.append)
    assert isinstance(score, LineScore)
    assert (score.exact, score.cer) == (0.5, pytest.approx(1 / 6))
    assert seen == ["a.png", "b.png"]
    assert set(reader.modes) == {Mode.LINE}


def test_a_mark_at_the_beginning_is_no_part_of_a_path(tmp_path: Path) -> None:
    """As editors of Windows put it into what they call UTF-8."""
    (tmp_path / "labels.tsv").write_text("a.png\tx\r\n", encoding="utf-8-sig")
    assert read_labels(tmp_path) == [("a.png", "x")]


def test_labels_that_cannot_be_understood_are_named(tmp_path: Path) -> None:
    """Their file is in the message, instead of a traceback."""
    (tmp_path / "labels.tsv").write_bytes("a.png\t合计\n".encode("gb18030"))
    with pytest.raises(InputError, match=r"labels\.tsv is no UTF-8"):
        read_labels(tmp_path)
    for text in ("[", "1", '[{"image": "a.png"}]', '[{"image": "a.png", "lines": [{"text": "x", "polygon": [1]}]}]'):
        (tmp_path / "pages.json").write_text(text, encoding="utf-8")
        with pytest.raises(InputError, match=r"pages\.json is no list of pages"):
            read_pages(tmp_path)


def test_page_sets_count_found_and_read_lines(tmp_path: Path) -> None:
    """One line of two was found, and read with two wrong characters of ten; ignored ones do not count."""
    lines = [
        {"text": "Hello you", "polygon": [[0, 0], [98, 0], [98, 20], [0, 20]], "ignore": False},
        {"text": "ab", "polygon": [[0, 100], [98, 100], [98, 120], [0, 120]], "ignore": False},
        {"text": "###", "polygon": [[200, 0], [250, 0], [250, 20], [200, 20]], "ignore": True},
    ]
    (tmp_path / "pages.json").write_text(json.dumps([{"image": "p.png", "lines": lines}]))
    (tmp_path / "p.png").write_text("hell you")
    (score,) = evaluate(Reader(), tmp_path, RecognizeOptions())
    assert score == PageScore(tmp_path.name, 1, 2, 0, 1.0, 0.5, pytest.approx(2 / 3), pytest.approx(0.3), 0.0)


def test_an_image_that_cannot_be_read_counts_as_empty_text(tmp_path: Path) -> None:
    """One damaged file neither ends the run nor vanishes from the figures."""
    (tmp_path / "labels.tsv").write_text("a.png\tabcd\n", encoding="utf-8")
    (tmp_path / "a.png").write_bytes(b"")
    (score,) = evaluate(Reader(), tmp_path, RecognizeOptions())
    assert (score.failed, score.exact, score.cer) == (1, 0.0, 1.0)
