"""Words, patterns and characters as automata, against Python's own string searching."""

from __future__ import annotations

import math
import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ext.automaton import Automaton
from ocr_core.charset import Charset
from ocr_core.errors import OptionInvalid
from ocr_core.language import HotWords, Lexicon, Pattern, Whitelist
from tests.ocr_core.automaton_walk import step, text_weight, weight_of

# "ab" and "ba-" have more than one character, "a" is there twice; blank is in the middle.
CHARSET = Charset(("a", "b", "ab", "c", " ", "-", "ba-", "a", "1"), 4)
CLASSES = {"a": 0, "b": 1, "c": 3, " ": 5}
WORDS = st.sets(st.text("abc", min_size=1, max_size=5), min_size=1, max_size=6)
LINES = st.text("abc -1", max_size=9)
WEIGHTS = st.integers(-8, 16).map(lambda quarter: quarter / 4)


def accepts(automaton: Automaton, text: str) -> bool:
    weight = text_weight(automaton, text, CHARSET)
    assert weight in (0.0, 1.0)
    return weight == 1.0


@given(WORDS, LINES | st.lists(st.text("abc", min_size=1, max_size=5), max_size=3).map(" - ".join))
def test_a_lexicon_demands_words_between_separators(words, line):
    """A line is read exactly if splitting it at the separators leaves nothing but words."""
    parts = [part for part in re.split("[ -]", line) if part]
    automaton = Lexicon(words, separators=" -").automaton(CHARSET)
    assert accepts(automaton, line) == (words.issuperset(parts))


@given(WORDS, st.text("abc", max_size=9))
def test_without_separators_words_follow_each_other(words, line):
    """A line is read exactly if it is some words joined."""
    automaton = Lexicon(words, separators="").automaton(CHARSET)
    assert accepts(automaton, line) == bool(re.fullmatch(f"(?:{'|'.join(words)})*", line))


@given(st.sets(st.text("ab -", min_size=1, max_size=4), min_size=1), LINES)
def test_a_closed_list_is_one_word_with_spaces_and_all(words, line):
    """With separators None a line is one of the words, or empty."""
    automaton = Lexicon(words, separators=None).automaton(CHARSET)
    assert accepts(automaton, line) == (line in words | {""})
    assert all(accepts(automaton, word) for word in words)


@given(WORDS, LINES, WEIGHTS)
def test_a_bonus_is_paid_per_word(words, line, bonus):
    """With a bonus every line is read, and gains it as often as a word stands between separators."""
    count = sum(part in words for part in re.split("[ -]", line))
    automaton = Lexicon(words, bonus, " -").automaton(CHARSET)
    assert math.log(text_weight(automaton, line, CHARSET)) == pytest.approx(count * bonus, abs=1e-9)


@given(WORDS, st.text("abc", max_size=6), WEIGHTS)
def test_a_bonus_for_a_closed_list_is_paid_for_the_line(words, line, bonus):
    """With a bonus and no separators a line gains when it is one of the words."""
    weight = text_weight(Lexicon(words, bonus, None).automaton(CHARSET), line, CHARSET)
    assert math.log(weight) == pytest.approx(bonus * (line in words), abs=1e-9)


@given(st.dictionaries(st.text("abc ", min_size=1, max_size=5), WEIGHTS, max_size=6), LINES)
def test_hot_words_are_paid_per_occurrence(weights, line):
    """A line gains each word's weight as often as it occurs, overlaps included, and nothing else."""
    expected = sum(
        weight * sum(line.startswith(word, begin) for begin in range(len(line))) for word, weight in weights.items()
    )
    assert math.log(text_weight(HotWords(weights).automaton(CHARSET), line, CHARSET)) == pytest.approx(
        expected, abs=1e-9
    )


@given(WORDS, st.text("abc", max_size=6))
def test_words_of_a_script_without_spaces_count_where_they_occur(words, line):
    """A bonus without separators is that of hot words."""
    lexicon = Lexicon(words, 1.5, "").automaton(CHARSET)
    assert text_weight(lexicon, line, CHARSET) == pytest.approx(
        text_weight(HotWords(dict.fromkeys(words, 1.5)).automaton(CHARSET), line, CHARSET)
    )


@pytest.mark.parametrize(
    ("weights", "begin", "credit"),
    [
        ({"bbcc": 4.0}, "bb", 2.0),
        ({"bbcc": 4.0}, "bbcc", 4.0),
        ({"bbcc": 4.0}, "bbcb", 1.0),
        ({"bbcc": 4.0}, "bbc ", 0.0),
        ({"bbcc": 0.4, "bc": 2.0}, "bb", 1.0),
        ({"bbcc": 4.0, "bb": -1.0}, "bb", 1.0),
        ({"bbcc": -4.0}, "bbc", 0.0),
    ],
)
def test_credit_is_given_while_a_word_is_read(weights, begin, credit):
    """A line so far has what is complete and the best part of what is not; lost where it breaks off."""
    automaton = HotWords(weights).automaton(CHARSET)
    state, total = 0, 1.0
    for character in begin:
        state, weight = step(automaton, state, CLASSES[character])
        total *= weight
    assert math.log(total) == pytest.approx(credit, abs=1e-9)


def test_patterns_allow_what_occurs_in_a_match():
    """allowed_labels are those of some match: also labels of several characters, not those that lead nowhere."""
    found = Pattern("b?a-|[ab]+x|c{2}").allowed_labels(CHARSET)
    assert [CHARSET.character(label) for label in found] == ["a", "b", "c", "-", "ba-", "a"]
    assert found.dtype == np.int32


def test_large_charsets_cost_no_arcs():
    """Characters that a pattern does not tell apart share a symbol; so do those that are in no word."""
    charset = Charset(tuple(map(chr, range(0x4E00, 0x4E00 + 6000))), 0)
    assert len(Pattern("[^一]{3}").automaton(charset).arc_symbols) == 3
    assert len(HotWords({"一丁": 1.0}).automaton(charset).arc_symbols) == 4


def test_what_cannot_be_spelled_is_left_out_and_named():
    """Words with characters that no label has are reported; the others are read."""
    charset = Charset(("ffi", "o", "c", "e", "f"), 5)
    lexicon = Lexicon(["office", "off", "fix", "f"])
    assert lexicon.unspelled(charset) == ("fix",)
    assert weight_of(lexicon.automaton(charset), (1, 0, 2, 3)) == 1.0
    assert HotWords({"fix": 1.0, "of": 1.0}).unspelled(charset) == ("fix",)
    with pytest.raises(OptionInvalid, match="none of the words"):
        Lexicon(["fix"]).automaton(charset)
    assert weight_of(HotWords({"fix": 1.0}).automaton(charset), (1, 4)) == 1.0


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda: Lexicon(["a", ""]), "empty"),
        (lambda: Lexicon(["a b"]), "separator"),
        (lambda: Lexicon(["a"], math.nan), "weight"),
        (lambda: Lexicon(["a"], 101.0), "weight"),
        (lambda: HotWords({"": 1.0}), "empty"),
        (lambda: HotWords({"a": -math.inf}), "weight"),
        (lambda: Whitelist("xyz").allowed_labels(CHARSET), "none of the allowed"),
    ],
)
def test_values_that_make_no_sense_are_refused(make, reason):
    """Empty words, words with separators and weights out of range are OptionInvalid."""
    with pytest.raises(OptionInvalid, match=reason):
        make()


def test_a_whitelist_allows_labels_all_of_whose_characters_it_has():
    """Also labels of several characters and both of a duplicate; never blank."""
    found = Whitelist("ab").allowed_labels(CHARSET)
    assert [CHARSET.character(label) for label in found] == ["a", "b", "ab", "a"]
    assert found.dtype == np.int32


def test_equal_values_share_one_automaton():
    """Compiling is done once per value and charset, also when a caller makes the value anew."""
    assert Pattern("a+").automaton(CHARSET) is Pattern("a+").automaton(Charset(CHARSET.characters, 4))
    assert Lexicon(["a", "b"]).automaton(CHARSET) is Lexicon(("b", "a")).automaton(CHARSET)
    assert HotWords({"a": 1, "b": 2}).automaton(CHARSET) is HotWords({"b": 2, "a": 1}).automaton(CHARSET)
