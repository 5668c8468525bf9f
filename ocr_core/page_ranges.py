"""Which pages of a document are read: "1-3,7,-2"."""

from __future__ import annotations

import re

from ocr_core.errors import OptionInvalid

_MAX_LENGTH = 1000
_RANGE = re.compile(r"\s*(?P<first>-?[0-9]{1,9})\s*(?:(?P<dash>-)\s*(?P<last>-?[0-9]{1,9})?\s*)?")


def page_numbers(ranges: str, page_count: int) -> tuple[int, ...]:
    """Numbers from 1, each once, in the order in which `ranges` first names them. Empty ranges name all pages.

    Ranges are separated by commas: "4" is a page, "2-5" four pages, "5-2" the same backwards, "7-" all from 7 on. A
    number below 0 counts from the end: "-1" is the last page, "-2" the one before, "-3--1" the last three. A range
    whose ends count from one side may go beyond the document: "1-5" of three pages is "1-3". Raises OptionInvalid for
    anything else, for pages that the document does not have, and for ranges of such pages alone.
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
        first = int(found["first"])
        last = first if not found["dash"] else int(found["last"] or "-1")
        numbers.update(dict.fromkeys(_pages(first, last, page_count)))
    return tuple(numbers)


def _pages(first: int, last: int, page_count: int) -> range:
    """Of a range: those that the document has. Where its ends count from two sides, its direction depends on both."""
    start, end = (given if given >= 0 else page_count + 1 + given for given in (first, last))
    missing = [given for given, number in ((first, start), (last, end)) if not 1 <= number <= page_count]
    low, high = max(1, min(start, end)), min(page_count, max(start, end))
    is_cut = first * last > 0 and low <= high
    if missing and not is_cut:
        raise _invalid(f"pages has {missing[0]}, the document has {page_count} page{'s' * (page_count != 1)}")
    return range(low, high + 1) if start <= end else range(high, low - 1, -1)


def _invalid(message: str) -> OptionInvalid:
    return OptionInvalid(message, "config.pages")
