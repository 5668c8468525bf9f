"""Words that readings become when they are nearly one of them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ocr_core.rules.dictionary import Dictionary
from ocr_core.rules.draft import Draft
from tests.ocr_core.rules.read_lines import read_line

WORDS = (
    "Receipt",
    "modem",
    "GUANGZHOU",
    "未来科技",
    "上海分公司",
    "Invoice",
    "Total",
    "New York",
    "Kuala Lumpur",
    "RECORD",
    "adjustment",
)


def corrected(text: str, words=WORDS, **line) -> str:
    """The text of a line after the dictionary."""
    return Dictionary(words).corrected(Draft.of(read_line(text, **line))).text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Rece1pt no 100", "Receipt no 100"),
        ("RECE1PT", "RECEIPT"),
        ("rnodem", "modem"),
        ("GUANGZH0U 510000", "GUANGZHOU 510000"),
        ("末来科技有限公司", "未来科技有限公司"),
        ("lnvoice TOTAL T0tal", "Invoice TOTAL Total"),
        ("to Nevv York", "to New York"),
        ("KUALA LUMPR", "KUALA LUMPUR"),
        ("Rec0rd rec0rd REC0RD", "Record record RECORD"),
        ("Kuala Lumpuur 50000", "Kuala Lumpur 50000"),
    ],
)
def test_near_readings_become_words(text, expected):
    """One character that looks alike, letters that look like one, or one other edit in a long word."""
    assert corrected(text) == expected


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("北海分公司", WORDS),
        ("lnvoices", WORDS),
        ("TOTAL total", WORDS),
        ("10010", ("IOOIO",)),
        ("T0", ("TO",)),
        ("c1oud", ("cloud", "c1oud")),
        ("Ba1l", ("Ball", "Bail")),
        ("Receivt", WORDS),
        ("adjustments readjustment", WORDS),
        ("", WORDS),
    ],
)
def test_other_readings_stay(text, words):
    """What is a word already, a part of another, a number, short, near two words, or unlike, is left alone."""
    assert corrected(text, words) == text


def test_sure_readings_stay():
    """What the recogniser was sure of is not corrected, nor what it holds impossible."""
    assert corrected("T0tal", confidences={}) == "T0tal"
    assert corrected("rnodem", confidences={}) == "rnodem"
    assert corrected("T0tal", alternatives={1: [("O", 0.2)]}) == "T0tal"
    assert corrected("T0tal", alternatives={1: [("o", 0.2)]}) == "Total"


@given(
    st.lists(st.text("abl1oO0rnm未末 ", min_size=1, max_size=12), max_size=6), st.text("abl1oO0rnm未末 ", max_size=30)
)
def test_known_words_stay_and_corrections_are_words(words, text):
    """Every correction puts a word of the dictionary there, and a line of one known word stays."""
    draft = Dictionary(words).corrected(Draft.of(read_line(text)))
    spelled = {
        spelling
        for word in words
        for spelling in (word.strip(), word.strip().upper(), word.strip().lower(), word.strip().capitalize())
    }
    for each in draft.corrections:
        assert any(word in each.after for word in spelled)
    for word in words:
        assert corrected(word, words) == word


def test_a_large_dictionary_is_searched_by_looks():
    """Ten thousand words correct as one does."""
    words = [f"word{number:05}x" for number in range(10_000)]
    assert corrected("wordO0042x w0rd", [*words, "Receipts"]) == "word00042x w0rd"
    assert corrected("Rece1pts", [*words, "Receipts"]) == "Receipts"
