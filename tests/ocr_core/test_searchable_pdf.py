"""Searchable PDFs, as PDFium and, where there is one, pdftotext see them."""

from __future__ import annotations

import errno
import io
import shutil
import subprocess
from xml.etree import ElementTree

import numpy as np
import pypdfium2 as pdfium
import pytest
from PIL import Image as PillowImage

from ocr_core.errors import DocumentUnreadable
from ocr_core.image_limits import ImageLimits
from ocr_core.searchable_pdf import SearchablePdf
from ocr_core.types import Line, Point, Polygon, Recognition, Timings
from tests.ocr_core.page_samples import LEVEL, LINES, MIXED, VERTICAL, rectangle
from tests.pdf_files import image_file, scanned_pdf, text_pdf

WIDTH, HEIGHT = 827, 1169
RARE = Line("𠀋 and 送 together", 0.9, rectangle(100, 700, 600, 740))


def text(*lines: Line, turned: bool = False) -> Recognition:
    """A page of a hundred dots per inch."""
    width, height = (HEIGHT, WIDTH) if turned else (WIDTH, HEIGHT)
    return Recognition(lines, width, height, "m", "1", Timings())


class FullDisk(io.BytesIO):
    """Has no room."""

    def write(self, content):
        raise OSError(errno.ENOSPC, "no space")


def made(*additions) -> bytes:
    """A PDF of these pages: (file, number, recognition)."""
    pdf = SearchablePdf(ImageLimits())
    for content, number, recognition in additions:
        pdf.add(io.BytesIO(content), number, recognition, dpi=100)
    out = io.BytesIO()
    pdf.save(out)
    return out.getvalue()


def scan() -> bytes:
    """A page as an image."""
    return image_file("a scan", size=(WIDTH, HEIGHT))


def found_at(content: bytes, wanted: str, page: int = 0) -> tuple[float, float, float, float]:
    """Where PDFium's search finds a text, in pixels of the page as it is shown, at a hundred dots per inch."""
    shown = pdfium.PdfDocument(content)[page]
    text_page = shown.get_textpage()
    index, count = text_page.search(wanted, match_case=True).get_next()
    boxes = [text_page.get_charbox(i, loose=True) for i in range(index, index + count)]
    height = shown.get_height()
    left, bottom = min(box[0] for box in boxes), min(box[1] for box in boxes)
    right, top = max(box[2] for box in boxes), max(box[3] for box in boxes)
    return tuple(value * 100 / 72 for value in (left, height - top, right, height - bottom))


@pytest.mark.parametrize("line", LINES, ids=lambda line: line.text)
def test_each_line_is_found_in_its_polygon(line):
    """Chinese, English, slanted and vertical: the text is found where it was read, on an image."""
    content = made((scan(), 1, text(*LINES)))
    corners = [(vertex.x, vertex.y) for vertex in line.polygon.vertices]
    expected = [bound([corner[axis] for corner in corners]) for bound in (min, max) for axis in (0, 1)]
    assert found_at(content, line.text) == pytest.approx(expected, abs=2)


def test_a_word_is_found_at_its_own_place():
    """Places are those of words, not only of lines."""
    left, _, right, _ = found_at(made((scan(), 1, text(LEVEL))), "<words>")
    assert (left, right) == (pytest.approx(220, abs=2), pytest.approx(360, abs=2))


def test_pages_of_a_pdf_keep_their_look():
    """A page of a PDF looks as before, to the pixel, with text that is found over it."""
    original = scanned_pdf(image_file("a scan"))
    content = made((original, 1, text(MIXED)))
    before, after = (np.asarray(pdfium.PdfDocument(each)[0].render().to_pil()) for each in (original, content))
    assert np.array_equal(before, after)
    assert found_at(content, "Delivery")[1] == pytest.approx(100, abs=2)


@pytest.mark.parametrize("turn", [90, 180, 270])
def test_turned_pages_have_their_text_where_they_show_it(turn):
    """On a page that is shown turned, text is found where it is seen."""
    content = made((text_pdf("x", rotate=turn), 1, text(MIXED, turned=turn != 180)))
    flat = pdfium.PdfDocument(content)
    shown = flat[0]
    text_page = shown.get_textpage()
    index, count = text_page.search("Delivery", match_case=True).get_next()
    raw = pdfium.raw
    places = []
    for i in (index, index + count - 1):
        left, bottom, right, top = text_page.get_charbox(i, loose=True)
        for x, y in ((left, bottom), (right, top)):
            across, down = raw.c_int(), raw.c_int()
            raw.FPDF_PageToDevice(shown, 0, 0, text_width(turn), text_height(turn), 0, x, y, across, down)
            places.append((across.value, down.value))
    xs, ys = zip(*places, strict=True)
    assert (min(ys), max(ys)) == (pytest.approx(100, abs=3), pytest.approx(140, abs=3))
    assert 280 < min(xs) < max(xs) < 560


def text_width(turn: int) -> int:
    """Of a turned page."""
    return WIDTH if turn == 180 else HEIGHT


def text_height(turn: int) -> int:
    """Of a turned page."""
    return HEIGHT if turn == 180 else WIDTH


def test_nothing_of_the_text_is_seen():
    """A page of white with much text is rendered white."""
    white = io.BytesIO()
    PillowImage.new("RGB", (WIDTH, HEIGHT), "white").save(white, "PNG", dpi=(100, 100))
    page = pdfium.PdfDocument(made((white.getvalue(), 1, text(*LINES))))[0]
    assert np.asarray(page.render().to_pil()).min() >= 250


def test_pages_keep_their_size_and_order():
    """Pages come as they are added, in the size that their resolution says; a JPEG is taken as it is."""
    tiff = image_file("a", "b", size=(400, 200), form="TIFF")
    jpeg = scan()
    content = made((tiff, 2, None), (jpeg, 1, None), (text_pdf("a", "b", size=(300, 300)), 2, None))
    pdf = pdfium.PdfDocument(content)
    sizes = [page.get_size() for page in pdf]
    assert [tuple(map(round, size)) for size in sizes] == [(288, 144), (595, 842), (300, 300)]
    assert jpeg in content


def test_a_page_without_text_is_fine():
    """Nothing read, nothing added."""
    page = pdfium.PdfDocument(made((scan(), 1, text())))[0]
    assert page.get_textpage().count_chars() == 0


def test_a_pdf_that_cannot_be_opened_says_so():
    """A damaged source is an unreadable document."""
    with pytest.raises(DocumentUnreadable, match="cannot be opened"):
        made((b"%PDF-1.7 nonsense", 1, text(MIXED)))


@pytest.mark.skipif(shutil.which("pdftotext") is None, reason="poppler-utils is not installed")
def test_pdftotext_finds_the_words(tmp_path):
    """Another reader of PDFs sees the same words at the same places, spaces between them, rare characters too."""
    path = tmp_path / "made.pdf"
    path.write_bytes(made((scan(), 1, text(MIXED, LEVEL, RARE, VERTICAL))))
    command = [shutil.which("pdftotext"), "-bbox", path, "-"]
    printed = subprocess.run(command, capture_output=True, check=True, text=True)
    assert not printed.stderr
    parsed = ElementTree.fromstring(printed.stdout)  # noqa: S314 - of a file of ours
    rows = {each.text: each.attrib for each in parsed.iter() if "xMin" in each.attrib}
    assert set(rows) == {word for line in (MIXED, LEVEL, RARE, VERTICAL) for word in line.text.split()}
    place = [float(rows["送货单"][name]) * 100 / 72 for name in ("xMin", "yMin", "xMax", "yMax")]
    assert place == pytest.approx([100, 100, 280, 140], abs=2)
    assert float(rows["竖排文字"]["yMax"]) * 100 / 72 == pytest.approx(600, abs=2)


def test_a_slanted_word_is_slanted():
    """The text follows the line's direction: its middle is on the line."""
    line = Line("slanted", 0.8, Polygon((Point(100, 300), Point(400, 600), Point(380, 620), Point(80, 320))))
    content = made((scan(), 1, text(line)))
    left, top, right, bottom = found_at(content, "slanted")
    assert (left + right) / 2 == pytest.approx(240, abs=5)
    assert (top + bottom) / 2 == pytest.approx(460, abs=5)


def test_a_file_that_cannot_be_written_is_an_error():
    """PDFium itself goes on when its output fails."""
    pdf = SearchablePdf(ImageLimits())
    pdf.add(io.BytesIO(text_pdf("text")), 1, None)
    with pytest.raises(OSError, match="no space"):
        pdf.save(FullDisk())
