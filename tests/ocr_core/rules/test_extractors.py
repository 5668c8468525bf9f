"""Regular expressions of callers."""

from __future__ import annotations

import pytest

from ocr_core.errors import OptionInvalid
from ocr_core.rules import extractors
from ocr_core.rules.extractors import CompiledExtractor
from ocr_core.rules.options import Extractor

PLACE = "options.rules.extractors[3]"


def found(pattern: str, text: str) -> list[str]:
    """Values that a pattern finds."""
    return [text[start:end] for start, end in CompiledExtractor(Extractor("name", pattern), PLACE).spans(text)]


@pytest.mark.parametrize(
    ("pattern", "values"),
    [
        (r"\d+\.\d\d", ["12.50", "0.75"]),
        (r"(?i)TOTAL\s+(\d+\.\d\d)", ["12.50"]),
        (r"(税)\s*(?P<value>\d+\.\d\d)", ["0.75"]),
        (r"\p{Han}+", ["合计", "税"]),
        (r"x*", []),
        (r"(cash)|total", []),
    ],
)
def test_values(pattern, values):
    """The group named value, else the first group, else the match; nothing for what is empty or did not take part."""
    assert found(pattern, "合计 Total 12.50 税 0.75") == values


@pytest.mark.parametrize("pattern", ["(", r"a(?=b)", r"(a)\1", "((a{100}){100}){10}", r"(\p{L}{500}){2}"])
def test_other_patterns_are_refused(pattern):
    """What does not parse, needs look-around or references, or is too large names its place in the request."""
    with pytest.raises(OptionInvalid, match="name") as caught:
        CompiledExtractor(Extractor("name", pattern), PLACE)
    assert caught.value.field == f"{PLACE}.pattern"


def test_no_pattern_blows_up():
    """A pattern that takes Python's engine forever is done at once."""
    assert found("(a|aa|a?)+$", "a" * 5000 + "b") == []


def test_the_package_is_an_extra(monkeypatch):
    """Without google-re2 extractors are refused, and the message says what is missing."""
    monkeypatch.setattr(extractors, "re2", None)
    with pytest.raises(OptionInvalid, match="google-re2") as caught:
        found("a", "a")
    assert caught.value.field == PLACE
