"""ALTO."""

from __future__ import annotations

from xml.etree import ElementTree

from ocr_core import alto
from tests.ocr_core.page_samples import LINES, STRUCTURE, sample

NAMESPACE = "{http://www.loc.gov/standards/alto/ns-v4#}"
CHILDREN = {
    "alto": ["Description", "Layout"],
    "Page": ["PrintSpace"],
    "TextBlock": ["TextLine"],
    "PrintSpace": ["TextBlock", "ComposedBlock"],
    "ComposedBlock": ["TextBlock"],
    "Shape": ["Polygon"],
}
"""What the schema allows, as far as it is used."""


def parsed(*pages) -> ElementTree.Element:
    """The file with these pages."""
    return ElementTree.fromstring(alto.HEAD + "".join(map(alto.page, pages)) + alto.TAIL)  # noqa: S314 - ours


def named(root: ElementTree.Element, name: str) -> list[ElementTree.Element]:
    """Elements of a name, in their order."""
    return list(root.iter(NAMESPACE + name))


def place(element: ElementTree.Element) -> tuple[int, int, int, int]:
    """Left, top, right, bottom."""
    left, top, width, height = (int(element.attrib[name]) for name in ("HPOS", "VPOS", "WIDTH", "HEIGHT"))
    return left, top, left + width, top + height


def test_the_file_is_built_as_the_schema_says():
    """Pages hold a print space, blocks, lines with a shape before their words, and spaces between words."""
    root = parsed(sample(*LINES, structure=STRUCTURE), sample(position=2))
    assert [each.tag.removeprefix(NAMESPACE) for each in named(root, "Layout")[0]] == ["Page", "Page"]
    for element in root.iter():
        name = element.tag.removeprefix(NAMESPACE)
        children = [child.tag.removeprefix(NAMESPACE) for child in element]
        if name in CHILDREN:
            assert set(children) <= set(CHILDREN[name])
        if name == "TextLine":
            assert children[:2] == ["Shape", "String"]
            assert set(children[1::2]) == {"String"}
            assert set(children[2::2]) <= {"SP"}
    names = [each.get("ID") for each in root.iter() if each.get("ID")]
    assert len(names) == len(set(names))


def test_places_lie_within_each_other():
    """A word is inside its line, a line inside its block, a block on its page."""
    root = parsed(sample(*LINES, structure=STRUCTURE))
    space = named(root, "PrintSpace")[0]
    assert place(space) == (0, 0, 827, 1169)
    for outer in (space, *named(root, "ComposedBlock"), *named(root, "TextBlock"), *named(root, "TextLine")):
        left, top, right, bottom = place(outer)
        for inner in (child for child in outer if child.get("HPOS")):
            x0, y0, x1, y1 = place(inner)
            assert left <= x0 < x1 <= right
            assert top <= y0 < y1 <= bottom


def test_words_have_text_and_confidence():
    """CONTENT is what was read, whatever it is made of; WC is from 0 to 1."""
    root = parsed(sample(*LINES))
    texts = [" ".join(word.attrib["CONTENT"] for word in named(line, "String")) for line in named(root, "TextLine")]
    assert texts == [line.text for line in LINES]
    assert named(root, "String")[0].attrib["WC"] == "0.7500"
    assert named(root, "Page")[0].attrib["PHYSICAL_IMG_NR"] == "3"
    assert named(root, "Polygon")[2].attrib["POINTS"] == "100.0,300.0 400.0,330.0 397.0,360.0 97.0,330.0"


def test_a_paragraph_is_a_block_and_a_table_one_of_its_cells():
    """In reading order; cells without text are no blocks."""
    (space,) = named(parsed(sample(*LINES, structure=STRUCTURE)), "PrintSpace")
    kinds = [(block.tag.removeprefix(NAMESPACE), block.get("TYPE")) for block in space]
    assert kinds == [("TextBlock", None), ("ComposedBlock", "table"), ("TextBlock", None)]
    texts = [[line.get("ID") for line in named(block, "TextLine")] for block in named(space, "TextBlock")]
    assert texts == [["line_1_1", "line_1_3"], ["line_1_2"], ["line_1_4"]]
