"""Tests of ocr_core.quality_report."""

import base64
import re
from html.parser import HTMLParser
from pathlib import Path

import cv2
import numpy as np
import pytest

from ocr_core.evaluation import LineReading, LineSet, PageReading, PageSet
from ocr_core.page_scores import PageLine, compare_page, polygon_of
from ocr_core.quality_report import quality_report

VOID = {"meta", "img"}


class Outline(HTMLParser):
    """Every element must be closed by its own end; text and addresses are kept."""

    def __init__(self, report: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.addresses: list[str] = []
        self.texts: list[str] = []
        self.feed(report)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.addresses += [value for name, value in attrs if name in ("src", "href")]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.addresses += [value for name, value in attrs if name in ("src", "href")]

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.texts.append(data)


@pytest.fixture
def image(tmp_path) -> Path:
    path = tmp_path / "image<1>.png"
    cv2.imwrite(str(path), np.full((400, 3000, 3), 200, np.uint8))
    return path


def reading(path: Path, label: str, read: str, *, is_failed: bool = False) -> LineReading:
    return LineReading(path, label, tuple((character, 0.9) for character in read), 0.9 if read else 0.0, is_failed)


def box(left: float, top: float = 0.0) -> list[tuple[float, float]]:
    return [(left, top), (left + 80, top), (left + 80, top + 20), (left, top + 20)]


def test_the_worst_lines_are_shown_with_what_differs(image) -> None:
    """As many of each set as asked for, the worst first; right ones never; markup in a text is text."""
    lines = LineSet(
        "a set",
        (reading(image, "right", "right"), reading(image, "<b>12</b>", "<b>1Z</b>"), reading(image, "ab", "xy")),
    )
    report = quality_report("a & b", [lines], worst=1)
    texts = "".join(Outline(report).texts)
    assert "<mark>ab</mark>" in report
    assert "edits: 2, confidence: 0.90, image<1>.png" in texts
    assert "edits: 1" not in texts
    report = quality_report("a & b", [lines], worst=5)
    assert "&lt;b&gt;1<mark>2</mark>&lt;/b&gt;" in report
    assert report.index("<mark>ab</mark>") < report.index("<mark>2</mark>")
    assert "right</dd>" not in report


def test_the_report_needs_no_other_file(image) -> None:
    """Pictures are in it, no larger than they are shown; nothing is fetched."""
    report = quality_report("t", [LineSet("s", (reading(image, "a", "b"),))], worst=3)
    (address,) = Outline(report).addresses
    kind, _, content = address.partition(",")
    assert kind == "data:image/jpeg;base64"
    height, width = cv2.imdecode(np.frombuffer(base64.b64decode(content), np.uint8), cv2.IMREAD_COLOR).shape[:2]
    assert (height, width) == (64, 480)
    assert not re.search(r"https?://|@import|url\(", report)


def test_lines_of_pages_are_drawn_by_their_fate(image) -> None:
    """Matched, spurious, missed and ignored, in pixels of the image; the text of what is wrong stands below."""
    labels = [
        PageLine("Total", polygon_of(box(0))),
        PageLine("gone", polygon_of(box(0, 100))),
        PageLine("###", polygon_of(box(0, 200)), ignore=True),
    ]
    found = [PageLine("T0tal", polygon_of(box(1))), PageLine("more", polygon_of(box(200)))]
    pages = PageSet("pages", (PageReading(image, compare_page(labels, found)),))
    report = quality_report("t", [pages], worst=1)
    assert Outline(report).texts
    drawn = re.findall(r'<polygon class="box (\w+)" points="([\d,.]+) [^"]+"><title>(.*?)</title>', report)
    assert drawn == [
        ("matched", "1,0", "T0tal"),
        ("spurious", "200,0", "more"),
        ("missed", "0,100", "gone"),
        ("ignored", "0,200", "###"),
    ]
    assert 'viewBox="0 0 3000 400"' in report
    assert "T<mark>o</mark>tal" in report
    assert "<mark>gone</mark>" in report


def test_images_that_cannot_be_read_are_left_out(tmp_path) -> None:
    """A damaged file has no picture, and its line says so."""
    damaged = tmp_path / "damaged.jpg"
    damaged.write_bytes(b"no image")
    lines = LineSet("lines", (reading(damaged, "a", "", is_failed=True),))
    pages = PageSet("pages", (PageReading(damaged, compare_page([], []), is_failed=True),))
    parsed = Outline(quality_report("t", [lines, pages], worst=1))
    assert parsed.addresses == []
    assert "cannot be read" in parsed.texts
    assert "The image cannot be read." in parsed.texts


def test_diagrams_are_drawn_of_what_there_is(image) -> None:
    """A point per bin of characters, and two of lines: of their characters and of whole lines."""
    report = quality_report("t", [LineSet("s", (reading(image, "ab", "ab"), reading(image, "ab", "a")))], worst=0)
    assert report.count("<circle") == 3
    assert "2 with 0.900: 0.500 whole line right" in report
