"""Strings that follow a pattern."""

from __future__ import annotations

import re
from random import Random

import pytest

from training.synth import figures


@pytest.mark.parametrize(
    ("cents", "text"),
    [
        (12_345, "壹佰贰拾叁元肆角伍分"),
        (100, "壹元整"),
        (1, "壹分"),
        (50, "伍角整"),
        (100_001, "壹仟元零壹分"),
        (2_000_000_100, "贰仟万零壹元整"),
        (10_000_500_000, "壹亿零伍仟元整"),
        (0, "零元整"),
    ],
)
def test_capital_amounts_are_written_as_on_invoices(cents, text):
    """Groups of four digits, one zero for any run of zeros, 整 when nothing is left."""
    assert figures.capital_amount(cents) == text


def test_patterns_are_filled_mark_by_mark():
    """Each mark becomes a character of its set, a count repeats it, all else stands."""
    assert re.fullmatch(r"No\.\d{4}-[A-Z]{2}[A-Z\d]{10}:[a-z\d]", figures.fill("No.####-@@&{10}:%", Random(1)))


def test_plates_have_a_province_a_letter_and_five_or_six_marks():
    """Number plates have neither I nor O, which look like digits."""
    dice = Random(2)
    for _ in range(200):
        assert re.fullmatch(r"[一-龥][A-HJ-NP-Z][A-HJ-NP-Z0-9]{5,6}", figures.plate(dice))


@pytest.mark.parametrize("name", sorted(figures.FIGURES))
def test_figures_repeat_with_the_seed(name):
    """The same dice give the same strings, and they vary."""
    first, second = (list(map(figures.FIGURES[name], [Random(seed) for seed in range(20)])) for _ in range(2))
    assert first == second
    assert len(set(first)) > 5
