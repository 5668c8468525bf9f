"""Text that is changed and stays tied to what was read."""

from __future__ import annotations

import itertools
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from ocr_core.rules.draft import Draft
from ocr_core.rules.findings import Correction
from tests.ocr_core.rules.read_lines import read_line

TEXTS = st.text("abc ", max_size=8)


@st.composite
def changes(draw) -> tuple[str, list[tuple[int, int, str]]]:
    """A text and what is to stand in the place of parts of it."""
    text = draw(st.text("abc ", min_size=1, max_size=12))
    cuts = sorted(draw(st.sets(st.integers(0, len(text)), max_size=6)))
    pairs = list(itertools.pairwise(cuts))[::2]
    return text, [(start, end, draw(TEXTS)) for start, end in pairs]


@given(changes(), TEXTS)
def test_corrections_and_characters_tell_the_same(change, last):
    """What was read with the corrections made is the text, and characters spell it in the order of their places."""
    text, parts = change
    draft = Draft.of(read_line(text)).replaced(parts, "dictionary")
    expected = text
    for start, end, new in reversed(parts):
        expected = expected[:start] + new + expected[end:]
    assert draft.text == expected
    line = draft.finished()
    assert line.text == "".join(each.text for each in line.characters) == expected
    edges = [edge for each in line.characters for edge in (each.x_start, each.x_end)]
    assert edges == sorted(edges)
    undone = line.text
    for each in reversed(line.corrections):
        assert text[each.start : each.end] == each.before
        text = text[: each.start] + each.after + text[each.end :]
    assert text == undone


def test_unchanged_lines_stay():
    """A line that no rule changes has no raw text and is what it was, alternatives included."""
    line = read_line("abc", alternatives={1: [("d", 0.25)]})
    assert Draft.of(line).replaced([(0, 1, "a")], "dictionary").finished() == line


def test_several_characters_become_one():
    """One that stands for two takes their room and the lesser confidence; others keep their own."""
    line = Draft.of(read_line("rnodem", {0: 0.5, 1: 0.75})).replaced([(0, 6, "modem")], "dictionary").finished()
    first, second, *_ = line.characters
    assert (first.text, first.x_start, first.x_end, first.confidence) == ("m", 0.0, 100 / 3, 0.5)
    assert (second.text, second.x_start, second.confidence) == ("o", 100 / 3, 0.99)
    assert (line.raw_text, line.corrections) == ("rnodem", (Correction("dictionary", "rnodem", "modem", 0, 6),))


def test_neighbours_changed_by_one_rule_are_one_correction():
    """A run of characters is told once."""
    draft = Draft.of(read_line("abc")).replaced([(0, 1, "x"), (1, 2, "y")], "width_form")
    assert draft.corrections == (Correction("width_form", "ab", "xy", 0, 2),)


def test_later_rules_tell_where_they_were_read():
    """After a rule that changed the length, places are still those of what was read."""
    draft = Draft.of(read_line("ﬁ 1O")).replaced([(0, 1, "fi")], "unicode_form").replaced([(3, 5, "10")], "amount")
    assert draft.corrections[1] == Correction("amount", "1O", "10", 2, 4)


def test_alternatives_say_what_is_possible():
    """With alternatives a character may become one of them; without, any when it is not sure or cannot stay."""
    line = read_line("abc", {0: 0.5}, {2: [("d", 0.25), ("e", 0.001)]})
    draft = Draft.of(line)
    assert draft.may_become(0, "x")
    assert not draft.may_become(1, "x")
    assert draft.may_become(1, "x", must=True)
    assert draft.may_become(2, "d")
    assert not draft.may_become(2, "e", must=True)
    assert draft.alternatives(2) == ("d",)


def test_lines_without_characters_are_sure():
    """Where nothing is known of characters, they become others only when they must."""
    draft = Draft.of(replace(read_line("abc"), characters=()))
    assert not draft.may_become(0, "x")
    assert draft.may_become(0, "x", must=True)
    assert draft.confidence(0, 3) == 0.5
