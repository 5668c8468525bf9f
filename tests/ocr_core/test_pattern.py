"""Regular expressions as automata, against Python's."""

from __future__ import annotations

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ext.automaton import Automaton
from ocr_core.charset import Charset
from ocr_core.errors import OptionInvalid
from ocr_core.language import Pattern
from tests.ocr_core.automaton_walk import successors, text_weight

# "ab" and "ba-" have more than one character, "a" is there twice; blank is in the middle.
CHARSET = Charset(("a", "b", "ab", "c", " ", "-", "ba-", "a", "1"), 4)
LINES = st.text("abc -1", max_size=9)

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


@given(EXPRESSIONS, st.lists(LINES, min_size=1, max_size=5), st.data())
def test_patterns_match_as_in_python(expression, lines, data):
    """A line is read exactly if Python finds that the expression matches all of it."""
    automaton = compiled(expression)
    python = re.compile(expression, re.ASCII | re.DOTALL)
    matching = data.draw(st.from_regex(python, fullmatch=True, alphabet="abc -1").map(lambda line: line[:15]))
    for line in (*lines, matching):
        matches = bool(python.fullmatch(line))
        assert (text_weight(automaton, line, CHARSET) == 1.0) == matches if automaton else not (line and matches)


@given(EXPRESSIONS)
def test_patterns_have_no_dead_ends(expression):
    """From every state of a pattern some line can still end."""
    automaton = compiled(expression) or Pattern("a").automaton(CHARSET)
    ahead = list(successors(automaton, CHARSET.blank_index))
    alive = {state for state, weight in enumerate(automaton.final_weights) if weight}
    for _ in ahead:
        alive |= {state for state, targets in enumerate(ahead) if alive.intersection(targets)}
    assert alive == set(range(len(ahead)))


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
