"""hOCR."""

from __future__ import annotations

import re
from xml.etree import ElementTree

from ocr_core import hocr
from tests.ocr_core.page_samples import LINES, STRUCTURE, sample

XHTML = "{http://www.w3.org/1999/xhtml}"


def parsed(*pages) -> ElementTree.Element:
    """The file with these pages."""
    return ElementTree.fromstring(hocr.HEAD + "".join(map(hocr.page, pages)) + hocr.TAIL)  # noqa: S314 - ours


def of_class(root: ElementTree.Element, name: str) -> list[ElementTree.Element]:
    """Elements of a class, in their order."""
    return [each for each in root.iter() if each.get("class") == name]


def bbox(element: ElementTree.Element) -> tuple[int, ...]:
    """The four numbers in its title."""
    return tuple(map(int, re.search(r"bbox (\d+) (\d+) (\d+) (\d+)", element.get("title", ""))[0].split()[1:]))


def test_pages_hold_lines_and_lines_hold_words():
    """Each word is in its line, each line in its page, and so are their boxes; the texts are those that were read."""
    (page,) = of_class(parsed(sample(*LINES)), "ocr_page")
    lines = of_class(page, "ocr_line")
    assert [" ".join(word.text for word in of_class(line, "ocrx_word")) for line in lines] == [
        line.text for line in LINES
    ]
    for outer, inner in [(page, lines), *((line, of_class(line, "ocrx_word")) for line in lines)]:
        left, top, right, bottom = bbox(outer)
        for x0, y0, x1, y1 in map(bbox, inner):
            assert left <= x0 < x1 <= right
            assert top <= y0 < y1 <= bottom


def test_a_page_says_where_it_is_from():
    """Its title has the file, the size, the page's index in the file, and the resolution."""
    (page,) = of_class(parsed(sample()), "ocr_page")
    assert page.get("title") == "image \"scans/'a' & b.pdf\"; bbox 0 0 827 1169; ppageno 2; scan_res 100 100"


def test_words_have_their_confidence_and_lines_their_angle():
    """In per cent and in degrees, anticlockwise."""
    root = parsed(sample(*LINES))
    assert of_class(root, "ocrx_word")[0].get("title", "").endswith("x_wconf 75")
    angles = [re.search(r"textangle (\S+)", line.get("title", "")) for line in of_class(root, "ocr_line")]
    assert [found and float(found[1]) for found in angles] == [None, None, -5.7, -90.0]


def test_names_are_unique_over_pages():
    """No two elements of a file have the same id."""
    root = parsed(sample(*LINES), sample(*LINES, position=2))
    names = [each.get("id") for each in root.iter() if each.get("id")]
    assert len(of_class(root, "ocr_page")) == 2
    assert len(names) == len(set(names))
    assert root.tag == f"{XHTML}html"


def test_paragraphs_and_tables_hold_their_lines():
    """In reading order, each in the box of its lines; where nothing is known of them, all lines are in one area."""
    (page,) = of_class(parsed(sample(*LINES, structure=STRUCTURE)), "ocr_page")
    assert [(block.get("class"), [line.get("id") for line in block]) for block in page] == [
        ("ocr_par", ["line_1_1", "line_1_3"]),
        ("ocr_table", ["line_1_2"]),
        ("ocr_par", ["line_1_4"]),
    ]
    assert bbox(page[0]) == (97, 100, 700, 360)
    (page,) = of_class(parsed(sample(*LINES)), "ocr_page")
    assert [(block.get("class"), len(block)) for block in page] == [("ocr_carea", 4)]
