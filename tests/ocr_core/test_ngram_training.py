"""Smoothing, against a slow implementation by the formulas."""

from __future__ import annotations

import math
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ocr_core.errors import OptionInvalid
from ocr_core.ngram import CharacterModel
from ocr_core.ngram_training import estimate

BEGIN, END = "<", ">"


def ngrams_of(lines: list[str], length: int) -> Counter[str]:
    """How often each n-gram occurs."""
    texts = [BEGIN + line + END for line in lines]
    return Counter(text[i : i + length] for text in texts for i in range(len(text) - length + 1))


def smoothed_counts(lines: list[str], length: int, order: int) -> dict[str, int]:
    """Occurrences of the longest n-grams and of those at the begin of a line, else the characters before."""
    found = ngrams_of(lines, length)
    if length == order:
        return dict(found)
    before = Counter(longer[1:] for longer in ngrams_of(lines, length + 1))
    at_begin = {ngram for ngram in found if ngram.startswith(BEGIN) and length > 1}
    return {ngram: found[ngram] if ngram in at_begin else before[ngram] for ngram in found if ngram != BEGIN}


def discounts(counts: dict[str, int]) -> dict[int, float]:
    """Chen and Goodman's D1, D2, D3+."""
    n = Counter(counts.values())
    found = {0: 0.0, 1: 0.5, 2: 1.0, 3: 1.5}
    if all(n[i] for i in (1, 2, 3, 4)):
        y = n[1] / (n[1] + 2 * n[2])
        best = {i: i - (i + 1) * y * n[i + 1] / n[i] for i in (1, 2, 3)}
        if all(0 < best[i] <= i for i in best):
            found |= best
    return found


def prob(lines: list[str], order: int, min_count: int, history: str, symbol: str) -> float:
    """Probability of a symbol after at most order - 1 others."""
    length = len(history) + 1
    counts = smoothed_counts(lines, length, order)
    d = discounts(counts)
    after = {ngram: count for ngram, count in counts.items() if ngram[:-1] == history}
    if length == 1:
        shorter = 1.0 / (len(set("".join(lines))) + 2)
    else:
        shorter = prob(lines, order, min_count, history[1:], symbol)
    if not after:
        return shorter
    raw = ngrams_of(lines, length)
    share = {
        ngram: (count - d[min(count, 3)]) / sum(after.values())
        for ngram, count in after.items()
        if length <= 2 or raw[ngram] >= min_count
    }
    return share.get(history + symbol, 0.0) + (1 - sum(share.values())) * shorter


@settings(max_examples=25)
@given(
    st.lists(st.text("abc", min_size=1, max_size=12), min_size=1, max_size=6),
    st.integers(2, 4),
    st.integers(1, 3),
)
def test_probabilities_are_those_of_the_formulas(lines, order, min_count):
    """Every character of every training line, and one never seen, has the probability worked out by hand."""
    model = CharacterModel.train(lines, order, min_count)
    for line in {*lines, "a?b", "cb"}:
        text = BEGIN + line + END
        expected = [
            math.log(prob(lines, order, min_count, text[max(0, i - order + 1) : i], text[i]))
            for i in range(1, len(text))
        ]
        assert model.log_probs([line]) == pytest.approx(expected, abs=1e-4)


def test_discounts_come_from_the_counts():
    """With n-grams that occur once to four times, the discounts are those of the paper and not the fallback."""
    counts = {"a": 1, "b": 1, "c": 1, "d": 1, "e": 2, "f": 2, "g": 3, "h": 4}
    assert discounts(counts) == pytest.approx({0: 0.0, 1: 0.5, 2: 1.25, 3: 1.0})
    draw = np.random.default_rng(3)
    lines = ["".join(draw.choice(list("aaaaabbbbcccddefgh"), 9)) for _ in range(12)]
    assert discounts(smoothed_counts(lines, 2, 2)) != discounts({})
    model = CharacterModel.train(lines, 2, 1)
    expected = [math.log(prob(lines, 2, 1, *pair)) for pair in ("<a", "ab", "bc", "c>")]
    assert model.log_probs(["abc"]) == pytest.approx(expected, abs=1e-5)


def test_rare_ngrams_are_left_out_with_what_follows():
    """min_count drops long n-grams below it; the pairs stay."""
    lines = ["abcd", "abcd", "abce"]
    all_counts, counts = (CharacterModel.train(lines, 4, least).counts for least in (1, 2))
    assert counts[:2] == all_counts[:2]
    assert counts[2] == all_counts[2] - 2  # bce, ce>
    assert counts[3] == all_counts[3] - 2  # abce, bce>


def test_line_breaks_and_empty_lines_say_nothing():
    """A file read line by line teaches what its lines do."""
    assert CharacterModel.train(["ab\n", "\r\n", "\n", "ba\r\n", ""]).log_prob("ab") == pytest.approx(
        CharacterModel.train(["ab", "ba"]).log_prob("ab")
    )


@pytest.mark.parametrize(("lines", "order"), [([], 3), (["", "\n"], 3), (["a"], 1), (["a"], 11)])
def test_what_cannot_be_learned_from_is_refused(lines, order):
    """No text, or an order that is none."""
    with pytest.raises(OptionInvalid):
        estimate(lines, order, 1)
