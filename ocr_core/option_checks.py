"""Checks that options make of themselves."""

from __future__ import annotations

import math
from collections.abc import Sequence

from ocr_core.errors import OptionInvalid

_MAX_WORD = 64


def check_range(name: str, value: float, low: float, high: float, part: str = "", *, root: str = "options") -> None:
    """Raises OptionInvalid. part: what of the field is checked, when it is not its value. root: where the field is."""
    if math.isnan(value) or not low <= value <= high:
        raise OptionInvalid(f"{name}{part} is {value}, must be from {low} to {high}", f"{root}.{name}")


def check_words(name: str, words: Sequence[str], most: int) -> None:
    """Raises OptionInvalid. most: how many there may be."""
    if len(words) > most:
        raise OptionInvalid(f"{name} has {len(words)} entries, at most {most} are accepted", f"options.{name}")
    for word in words:
        if not 1 <= len(word) <= _MAX_WORD:
            raise OptionInvalid(
                f"{name} has a word of {len(word)} characters, must be from 1 to {_MAX_WORD}", f"options.{name}"
            )
