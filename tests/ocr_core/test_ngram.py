"""What a character model says of texts, by itself and as an automaton."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ext.automaton import check_automaton
from ocr_core.charset import Charset
from ocr_core.errors import OptionInvalid
from ocr_core.ngram import CharacterModel
from tests.ocr_core.automaton_walk import step, text_weight

LINES = ["abab cab", "abba", "ab 日本", "cab cab", "aaa", "b", "日本 ab", "caba"] * 2
MODEL = CharacterModel.train(LINES, order=4, min_count=2)

# One label for everything the model does not know; "ab" and " 日本x" are labels too, "a" is there twice.
CHARSET = Charset(("a", "b", "c", " ", "日", "本", "x"), 0)
WIDE = Charset(("本", "ab", "a", "b", "c", " ", "日", " 日本x", "x", "a", "y"), 5)
TEXTS = st.text("abc 日本x", max_size=8)


def test_probabilities_of_what_comes_next_sum_to_one():
    """After every context the next character or the end of the line is certain to come."""
    automaton = MODEL.automaton(CHARSET)
    for state, end in enumerate(automaton.final_weights):
        following = sum(step(automaton, state, label)[1] for label in range(1, CHARSET.class_count))
        assert following + end == pytest.approx(1.0, abs=1e-5)


@given(TEXTS, st.sampled_from([(1.0, 0.0), (0.5, 0.0), (0.3, 0.7), (0.0, -1.0), (2.0, 0.25)]))
def test_the_automaton_weighs_as_the_model_does(text, weights):
    """However it is spelled, a text weighs exp(weight * log_prob + bonus * characters)."""
    weight, bonus = weights
    found = text_weight(MODEL.automaton(WIDE, weight, bonus), text, WIDE)
    assert math.log(found) == pytest.approx(weight * MODEL.log_prob(text) + bonus * len(text), abs=1e-5)


@given(TEXTS)
def test_a_line_is_as_likely_as_its_characters(text):
    """log_prob is the sum over the characters and the line's end, each after what is before it, by backing off."""
    ngrams, trie = MODEL.ngrams, MODEL.ngrams.trie
    symbols = [1, *(3 + ngrams.characters.index(c) if c in ngrams.characters else 0 for c in text), 2]
    listed = {(): 0}
    for node, (parent, symbol) in enumerate(zip(trie.parents, trie.symbols, strict=True), 1):
        history = next(history for history, number in listed.items() if number == parent)
        listed[*history, symbol] = node

    def log_prob(history: tuple[int, ...], symbol: int) -> float:
        if (*history, symbol) in listed:
            return float(ngrams.log_probs[listed[*history, symbol] - 1])
        backoff = ngrams.backoffs[listed[history] - 1] if history in listed else 0.0
        return float(backoff) + log_prob(history[1:], symbol)

    expected = [log_prob(tuple(symbols[max(0, i - 3) : i]), symbols[i]) for i in range(1, len(symbols))]
    assert MODEL.log_probs([text]) == pytest.approx(expected, abs=1e-5)
    assert MODEL.log_prob(text) == pytest.approx(sum(expected), abs=1e-5)


def test_lines_do_not_see_each_other():
    """Lines scored together have the scores that they have alone."""
    assert MODEL.line_log_probs(LINES[:4]) == pytest.approx([MODEL.log_prob(line) for line in LINES[:4]])
    together = MODEL.log_probs(LINES[:4])
    assert together == pytest.approx(np.concatenate([MODEL.log_probs([line]) for line in LINES[:4]]))
    assert len(together) == sum(len(line) + 1 for line in LINES[:4])
    assert MODEL.log_probs([]).shape == (0,)


def test_the_automaton_of_a_charset_has_nothing_else():
    """It is one that the search takes, without arcs for what the charset lacks, and its root reads every label."""
    digits = MODEL.automaton(Charset(("0", "a"), 2))
    assert len(digits.arc_symbols) < len(MODEL.automaton(CHARSET).arc_symbols)
    check_automaton(digits)
    automaton = check_automaton(MODEL.automaton(CHARSET))
    root = int(np.flatnonzero(automaton.backoff_states == -1)[0])
    assert np.diff(automaton.begins)[root] == automaton.symbols.max() + 1 == len(CHARSET)


def test_a_compiled_automaton_is_kept():
    """The same model, charset and weights compile once."""
    assert MODEL.automaton(CHARSET, 0.5) is MODEL.automaton(Charset(CHARSET.characters, 0), 0.5)


@pytest.mark.parametrize(("weight", "bonus"), [(-0.1, 0), (11, 0), (math.nan, 0), (1, math.inf), (1, math.nan)])
def test_weights_out_of_range_are_refused(weight, bonus):
    """Weights are from 0 to 10, a bonus is finite."""
    with pytest.raises(OptionInvalid):
        MODEL.automaton(CHARSET, weight, bonus)


def test_a_model_tells_what_it_knows():
    """Its order, its n-grams of each length, and the characters that it has never seen."""
    assert MODEL.order == len(MODEL.counts) == 4
    assert MODEL.counts[0] == 3 + len(MODEL.ngrams.characters)
    assert MODEL.unknown("xa語") == ("x", "語")
