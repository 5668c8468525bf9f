"""What lines say."""

from __future__ import annotations

from random import Random

import pytest

pytest.importorskip("torch", reason="needs the extra `training`")

from ocr_core.charset import Charset
from training.synth.corpus import load_corpus
from training.synth.text import KINDS, LineText, width_em

CHARACTERS = tuple("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789 ，。,.-!?()：“”今天上午中国市政府")


@pytest.fixture(scope="module")
def texts() -> LineText:
    return LineText(Charset(CHARACTERS, 0), load_corpus(None), CHARACTERS, longest_em=10)


@pytest.mark.parametrize(
    ("text", "fitted"),
    [
        ("Ｆｕｌｌ　ｗｉｄｔｈ １２", "Full width 12"),
        ("今天，中国", "今天，中国"),
        ("a – b", "a - b"),
        ("one ♥ three words", "three words"),
        ("  two \t spaces ", "two spaces"),
        ("♥", ""),
        ("①", "1"),
    ],
)
def test_fit_keeps_what_the_charset_can_write(texts, text, fitted):
    """Other forms of a character become the charset's; where there is none the text is cut there."""
    assert texts.fit(text) == fitted


def test_texts_are_no_longer_than_asked(texts):
    """No text is much wider than the longest, and words of Latin letters are not cut inside."""
    dice = Random(3)
    assert all(width_em(texts.sample(dice)) <= 11 for _ in range(300))


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_every_kind_gives_text(texts, kind):
    """Every kind gives texts of the charset, also where the corpus lacks its source."""
    dice = Random(5)
    for _ in range(10):
        text = texts.sample(dice, {kind: 1.0})
        assert text
        assert set(text) <= set(CHARACTERS)


def test_rare_texts_have_every_class(texts):
    """The kind that balances rare characters has every class within a few hundred lines."""
    dice = Random(1)
    seen = set().union(*(texts.sample(dice, {"rare": 1.0}) for _ in range(600)))
    assert seen >= set(CHARACTERS)


def test_a_charset_that_no_font_draws_is_an_error():
    """There is no line to make without a drawable character."""
    with pytest.raises(ValueError, match="no font"):
        LineText(Charset(("a",), 0), load_corpus(None), "b", 10)
