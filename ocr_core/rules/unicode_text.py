"""Unicode normalisation and width, character by character, so that places are kept."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator
from typing import Literal

from ocr_core.rules.draft import Draft
from ocr_core.rules.options import UnicodeForm, WidthForm

_FORMS: dict[UnicodeForm, Literal["NFC", "NFKC"]] = {UnicodeForm.NFC: "NFC", UnicodeForm.NFKC: "NFKC"}

_FULL_OF_HALF = {chr(code): chr(code + 0xFEE0) for code in range(0x21, 0x7F)} | {" ": "\u3000"}
_SIGNS = dict(zip("￠￡￢￣￤￥￦", "¢£¬¯¦¥₩", strict=True))
_HALF_OF_FULL = {full: half for half, full in _FULL_OF_HALF.items()} | _SIGNS
_WIDTHS = {
    WidthForm.HALF: str.maketrans(_HALF_OF_FULL),
    WidthForm.HALF_ALPHANUMERIC: str.maketrans({full: half for full, half in _HALF_OF_FULL.items() if half.isalnum()}),
    WidthForm.FULL: str.maketrans(_FULL_OF_HALF),
}


def half_width(text: str) -> str:
    """The text in ASCII where there is such a character; as long as before."""
    return text.translate(_WIDTHS[WidthForm.HALF])


def normalised(draft: Draft, form: UnicodeForm | None) -> Draft:
    """The whole text in that form."""
    if form not in _FORMS:
        return draft
    name = _FORMS[form]
    parts = (
        (start, end, unicodedata.normalize(name, draft.text[start:end])) for start, end in _parts(draft.text, name)
    )
    return draft.replaced(parts, "unicode_form")


def _parts(text: str, form: Literal["NFC", "NFKC"]) -> Iterator[tuple[int, int]]:
    """Parts that can be normalised on their own."""
    start = 0
    for end in range(1, len(text) + 1):
        if _is_apart(text[start:end], text[end : end + 1], form):
            yield start, end
            start = end


def _is_apart(part: str, character: str, form: Literal["NFC", "NFKC"]) -> bool:
    """Whether a character, or the end, neither joins with the part before it nor belongs to it as a mark does."""
    if unicodedata.combining(unicodedata.normalize("NFKD", character)[:1] or " "):
        return False
    apart = unicodedata.normalize(form, part) + unicodedata.normalize(form, character)
    return unicodedata.normalize(form, part + character) == apart


def with_width(draft: Draft, form: WidthForm | None) -> Draft:
    """The whole text in that width."""
    if form not in _WIDTHS:
        return draft
    parts = ((at, at + 1, character.translate(_WIDTHS[form])) for at, character in enumerate(draft.text))
    return draft.replaced(parts, "width_form")
