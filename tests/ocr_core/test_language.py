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
from tests.ocr_core.automaton_walk import step, successors, text_weight, weight_of

# "ab" and "ba-" have more than one character, "a" is there twice; blank is in the middle.
CHARSET = Charset(("a", "b", "ab", "c", " ", "-", "ba-", "a", "1"), 4)
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


def test_credit_is_given_while_a_word_is_read():
    """Half of a hot word has half of its weight in the beam, and loses it where the line breaks off."""
    automaton = HotWords({"bbcc": 4.0}).automaton(CHARSET)
    state, first = step(automaton, 0, 1)
    state, second = step(automaton, state, 1)
    assert math.log(first * second) == pytest.approx(2.0)
    assert math.log(automaton.final_weights[state]) == pytest.approx(-2.0)
    state, weight = step(automaton, state, 6)  # "ba-" begins anew with its "b"
    assert math.log(first * second * weight * automaton.final_weights[state]) == pytest.approx(0.0, abs=1e-9)


ATOMS = st.sampled_from(["a", "b", "c", "-", r"\-", " ", "1", ".", "[ab]", "[^a]", "[a-c1]", "[^b-]", r"[\d ]"]) | (
    st.sampled_from([r"\d", r"\w", r"\s", r"\D", r"\W", r"\S", r"\x61", r"\u0062", r"[\w-]", r"[^\d]", r"[\]a]"])
)
QUANTIFIERS = st.sampled_from(["?", "*", "+", "{2}", "{0}", "{1,}", "{,2}", "{1,2}", "*?", "{2,3}?"])
EXPRESSIONS = st.recursive(
    ATOMS,
    lambda inner: st.one_of(
        st.lists(inner, min_size=2, max_size=4).map("".join),
        st.lists(inner | st.just(""), min_size=2, max_size=3).map(lambda branches: f"({'|'.join(branches)})"),
        st.tuples(inner, QUANTIFIERS).map(lambda pair: f"(?:{pair[0]}){pair[1]}"),
    ),
    max_leaves=8,
)


def compiled(expression: str) -> Automaton | None:
    """The automaton of a pattern, None when it matches nothing but the empty line."""
    try:
        return Pattern(expression).automaton(CHARSET)
    except OptionInvalid:
        return None


@given(EXPRESSIONS, st.lists(LINES, min_size=1, max_size=5))
def test_patterns_match_as_in_python(expression, lines):
    """A line is read exactly if Python finds that the expression matches all of it."""
    automaton = compiled(expression)
    for line in lines:
        matches = bool(re.fullmatch(expression, line, re.ASCII | re.DOTALL))
        assert accepts(automaton, line) == matches if automaton else not (line and matches)


@given(EXPRESSIONS)
def test_patterns_have_no_dead_ends(expression):
    """From every state of a pattern some line can still end."""
    automaton = compiled(expression) or Pattern("a").automaton(CHARSET)
    ahead = list(successors(automaton, CHARSET.blank_index))
    alive = {state for state, weight in enumerate(automaton.final_weights) if weight}
    for _ in ahead:
        alive |= {state for state, targets in enumerate(ahead) if alive.intersection(targets)}
    assert alive == set(range(len(ahead)))


def test_patterns_allow_what_occurs_in_a_match():
    """allowed_labels are those of some match: also labels of several characters, not those that lead nowhere."""
    found = Pattern("b?a-|[ab]+x|c{2}").allowed_labels(CHARSET)
    assert [CHARSET.character(label) for label in found] == ["a", "b", "c", "-", "ba-", "a"]
    assert found.dtype == np.int32


@pytest.mark.parametrize(
    ("expression", "reason"),
    [
        ("", "1 to 1000"),
        ("a" * 1001, "1 to 1000"),
        ("(a", "not closed"),
        ("[a", "not closed"),
        ("[]", "empty"),
        ("a)", "not expected"),
        ("a$b", "not expected"),
        ("*a", "nothing to act on"),
        ("a**", "nothing to act on"),
        ("a{", "nothing to act on"),
        ("a{3,2}", "more than it allows"),
        ("[c-a]", "range"),
        (r"[\d-z]", "range"),
        (r"\b", "not known"),
        ("(?=a)", "only plain groups"),
        ("(" * 51 + "a" + ")" * 51, "nested"),
        ("((a{99}){99}){99}", "repeats are counted"),
        ("(((a{0}){99}){99}){99}", "repeats are counted"),
        (f"a{{{'9' * 400}}}", "repeats are counted"),
    ],
)
def test_a_bad_pattern_says_why(expression, reason):
    """What does not parse or is too large is refused when the value is made."""
    with pytest.raises(OptionInvalid, match=re.escape(reason)):
        Pattern(expression)


@pytest.mark.parametrize(
    ("expression", "reason"), [("(a|b)*a(a|b){20}", "more than 2000 states"), ("x+", "nothing that the model can read")]
)
def test_a_pattern_may_not_fit_the_model(expression, reason):
    """States are bounded, and a pattern that the charset cannot spell is refused."""
    with pytest.raises(OptionInvalid, match=reason):
        Pattern(expression).automaton(CHARSET)


def test_anchors_around_the_whole_pattern_are_allowed():
    """^ and $ at the ends change nothing."""
    assert np.array_equal(
        Pattern("^a|b$").automaton(CHARSET).arc_symbols, Pattern("a|b").automaton(CHARSET).arc_symbols
    )


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
