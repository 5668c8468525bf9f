"""All rules together."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ocr_core.errors import OptionInvalid
from ocr_core.rules.findings import Correction
from ocr_core.rules.options import Extractor, FieldType, RuleOptions, WidthForm
from ocr_core.rules.rules import MAX_FIELDS, Rules, ruled
from ocr_core.types import Line, Point, Polygon
from tests.ocr_core.rules.read_lines import read_line

RECEIPT = RuleOptions(
    width_form=WidthForm.HALF_ALPHANUMERIC,
    dictionary=("TOTAL",),
    field_types=(FieldType.AMOUNT,),
    extractors=(Extractor("total", r"TOTAL\D*([\d.]+)"),),
)


def test_rules_follow_each_other():
    """Width, then words, then fields, then extractors: each finds what those before it have made."""
    found = Rules(RECEIPT).apply([read_line("x"), read_line("T0TAL：１O.50")])
    line = found.lines[1]
    assert (line.text, line.raw_text) == ("TOTAL：10.50", "T0TAL：１O.50")
    assert line.corrections == (
        Correction("width_form", "１", "1", 6, 7),
        Correction("dictionary", "T0TAL", "TOTAL", 0, 5),
        Correction("amount", "1O.50", "10.50", 6, 11),
    )
    assert [(each.name, each.value, each.line, each.start, each.end) for each in found.fields] == [
        ("amount", "10.50", 1, 6, 11),
        ("total", "10.50", 1, 6, 11),
    ]


def test_fields_have_the_place_of_their_characters():
    """The polygon is the part of the line that has the value, with and without known characters."""
    line = read_line("total 12.5")
    rules = Rules(RuleOptions(extractors=(Extractor("total", r"\d+\.\d"),)))
    corners = (Point(60, 0), Point(100, 0), Point(100, 10), Point(60, 10))
    for known in (line, replace(line, characters=())):
        (field,) = rules.apply([known]).fields
        assert field.polygon.vertices == corners


def beside(*texts: str) -> list[Line]:
    """Lines in one row."""
    lines = [read_line(text) for text in texts]
    return [
        replace(line, polygon=Polygon(tuple(Point(each.x + 200 * i, each.y) for each in line.polygon.vertices)))
        for i, line in enumerate(lines)
    ]


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        (r"total\s+(\d+\.\d\d)", [(1, "12.50")]),
        (r"^total$\D*(\d+)", [(1, "12")]),
        (r"total.*(\d+)", []),
        (r"\d+\.\d\d", [(1, "12.50"), (2, "9.00")]),
        (r"(?s)total(.*)", []),
        (r"total", [(0, "total")]),
    ],
)
def test_values_may_be_lines_beside(pattern, expected):
    """A match begins in one line and may go on in those to its right; a value is in one line, which it names."""
    rules = Rules(RuleOptions(extractors=(Extractor("x", pattern),)))
    fields = rules.apply(beside("total", "12.50", "9.00 kg")).fields
    assert [(each.line, each.value) for each in fields] == expected
    assert all(each.polygon.vertices[0].x >= 200 * each.line for each in fields)


def test_fields_are_bounded():
    """A pattern that finds everything everywhere gives so many fields and no more."""
    rules = Rules(RuleOptions(extractors=(Extractor("any", "."),)))
    assert len(rules.apply([read_line("a" * 600)] * 2).fields) == MAX_FIELDS


def test_characters_are_left_out_when_nobody_asked():
    """Rules need them; callers get them when they want them."""
    line = read_line("12.50")
    rules = Rules(RuleOptions(field_types=(FieldType.AMOUNT,)))
    assert ruled(rules, [line], include_characters=True).lines == (line,)
    found = ruled(rules, [line], include_characters=False)
    assert (found.lines, len(found.fields)) == ((replace(line, characters=()),), 1)
    assert ruled(None, [line], include_characters=True).lines == (line,)


@pytest.mark.parametrize(
    ("extractors", "field"),
    [
        ((Extractor("a b", "c"),), "options.rules.extractors[0].name"),
        ((Extractor("", "c"),), "options.rules.extractors[0].name"),
        ((Extractor("a", "c"), Extractor("a", "d")), "options.rules.extractors[1].name"),
        ((Extractor("a", ""),), "options.rules.extractors[0].pattern"),
        ((Extractor("a", "c" * 1001),), "options.rules.extractors[0].pattern"),
        (tuple(Extractor(f"a{number}", "c") for number in range(65)), "options.rules.extractors"),
    ],
)
def test_extractors_have_limits(extractors, field):
    """Names, patterns and their number are checked, and the message's field says which it is."""
    with pytest.raises(OptionInvalid) as caught:
        RuleOptions(extractors=extractors)
    assert caught.value.field == field


def test_words_have_limits():
    """As those of the language options."""
    with pytest.raises(OptionInvalid) as caught:
        RuleOptions(dictionary=("",))
    assert caught.value.field == "options.rules.dictionary"
