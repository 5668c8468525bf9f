"""Texts of lines made into running text."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence


def joined(texts: Sequence[str]) -> str:
    """Lines as one text: a space between words, none between Chinese characters, hyphens at line ends taken back."""
    result = ""
    for text in filter(None, texts):
        if not result:
            result = text
        elif _is_hyphenated(result, text):
            result = result[:-1] + text
        else:
            result += (" " if _wants_space(result[-1], text[0]) else "") + text
    return result


def _is_hyphenated(before: str, after: str) -> bool:
    return len(before) > 2 and before[-1] == "-" and before[-2].islower() and after[0].islower() and after[0].isascii()


def _wants_space(before: str, after: str) -> bool:
    return not (is_wide(before) or is_wide(after))


def is_wide(character: str) -> bool:
    """Whether a character, if there is one, is as wide as high: Chinese characters and their punctuation."""
    return bool(character) and unicodedata.east_asian_width(character) in {"W", "F"}
