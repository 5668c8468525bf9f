"""Which pages of a document are read: "1-3,7,-2"."""

from __future__ import annotations

import re

from ocr_core.errors import OptionInvalid

_MAX_LENGTH = 1000
_RANGE = re.compile(r"\s*(?P<first>-?[0-9]{1,9})\s*(?:(?P<dash>-)\s*(?P<last>-?[0-9]{1,9})?\s*)?")


def page_numbers(ranges: str, page_count: int) -> tuple[int, ...]:
    """Numbers from 1, each once, in the order in which `ranges` first names them. Empty ranges name all pages.

    Ranges are separated by commas: "4" is a page, "2-5" four pages, "5-2" the same backwards, "7-" all from 7 on. A
    number below 0 counts from the end: "-1" is the last page, "-2" the one before, "-3--1" the last three. Raises
    OptionInvalid for anything else, and for pages that the document does not have.
    """
    if not ranges.strip():
        return tuple(range(1, page_count + 1))
    if len(ranges) > _MAX_LENGTH:
        raise _invalid(f"pages has {len(ranges)} characters, at most {_MAX_LENGTH} are accepted")
    numbers: dict[int, None] = {}
    for part in ranges.split(","):
        found = _RANGE.fullmatch(part)
        if not found:
            raise _invalid(f"pages has {part.strip()!r}, must be numbers and ranges such as 1-3,7,-2")
        first = _number(found["first"], page_count)
        last = first if not found["dash"] else _number(found["last"] or "-1", page_count)
        step = 1 if first <= last else -1
        numbers.update(dict.fromkeys(range(first, last + step, step)))
    return tuple(numbers)


def _number(text: str, page_count: int) -> int:
    """From 1, of a number that may count from the end."""
    given = int(text)
    number = given if given >= 0 else page_count + 1 + given
    if not 1 <= number <= page_count:
        raise _invalid(f"pages has {given}, the document has {page_count} pages")
    return number


def _invalid(message: str) -> OptionInvalid:
    return OptionInvalid(message, "config.pages")
