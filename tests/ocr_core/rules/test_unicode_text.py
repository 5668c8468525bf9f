"""Unicode normalisation and width."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ocr_core.rules.draft import Draft
from ocr_core.rules.options import UnicodeForm, WidthForm
from ocr_core.rules.unicode_text import half_width, normalised, with_width
from tests.ocr_core.rules.read_lines import read_line

MARKED = st.text(st.sampled_from("ae\u0301\u0323\u0308Åﬁ①Ａ１，㎏한\u1100\u1161\u11a8 ｶﾞﾞ\u0334"), max_size=12)


@example("aﾞ\u0301", "NFKC")
@given(MARKED | st.text(max_size=12), st.sampled_from(["NFC", "NFKC"]))
def test_parts_make_the_whole(text, form):
    """Normalised part by part, a text is what it is normalised at once."""
    assert normalised(Draft.of(read_line(text)), UnicodeForm[form]).text == unicodedata.normalize(form, text)


@given(st.text())
def test_half_width_keeps_the_length(text):
    """Each character stays one, and ASCII stays itself."""
    assert len(half_width(text)) == len(text)
    assert half_width(half_width(text)) == half_width(text)


@pytest.mark.parametrize(
    ("form", "expected"),
    [
        (None, "Ｎｏ．１２：￥5\u3000(a)"),
        (WidthForm.KEEP, "Ｎｏ．１２：￥5\u3000(a)"),
        (WidthForm.HALF, "No.12:¥5 (a)"),
        (WidthForm.HALF_ALPHANUMERIC, "No．12：￥5\u3000(a)"),
        (WidthForm.FULL, "Ｎｏ．１２：￥５\u3000（ａ）"),
    ],
)
def test_widths(form, expected):
    """Each form has its own characters, and all but KEEP say what they changed."""
    draft = with_width(Draft.of(read_line("Ｎｏ．１２：￥5\u3000(a)")), form)
    assert draft.text == expected
    assert {each.rule for each in draft.corrections} == ({"width_form"} if expected != draft.line.text else set())


@pytest.mark.parametrize("form", [None, UnicodeForm.NONE])
def test_no_form_changes_nothing(form):
    """Text stays as the model spells it."""
    draft = Draft.of(read_line("e\u0301ﬁ"))
    assert normalised(draft, form) == draft
