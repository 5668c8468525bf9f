"""Values of enums in messages -> what they stand for: the part of server.convert that all others need."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

from ocr_core.errors import OptionInvalid

_Key = TypeVar("_Key", bound=int)
_Value = TypeVar("_Value")


def chosen(table: Mapping[_Key, _Value], value: _Key, name: str, *, root: str = "options") -> _Value:
    """What a value of an enum stands for. name: of the field, in the message `root`. Raises OptionInvalid."""
    if value not in table:
        raise OptionInvalid(f"{name} is {value}, must be one of {sorted(table)}", f"{root}.{name}")
    return table[value]
