"""Page ranges."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ocr_core.errors import OptionInvalid
from ocr_core.page_ranges import page_numbers


@pytest.mark.parametrize(
    ("ranges", "expected"),
    [
        ("", (1, 2, 3, 4, 5, 6, 7, 8)),
        ("  ", (1, 2, 3, 4, 5, 6, 7, 8)),
        ("1-3,7,-2", (1, 2, 3, 7)),
        ("4", (4,)),
        ("-1", (8,)),
        ("6-", (6, 7, 8)),
        ("-2-", (7, 8)),
        ("-3--1", (6, 7, 8)),
        ("3-1", (3, 2, 1)),
        ("2,1-3,2", (2, 1, 3)),
        (" 1 - 2 , 5 ", (1, 2, 5)),
        ("7-9", (7, 8)),
        ("999999999-6", (8, 7, 6)),
        ("-9--7", (1, 2)),
        ("-7--9", (2, 1)),
    ],
)
def test_pages_come_in_the_order_of_the_ranges(ranges, expected):
    """Each page comes once, where it is named first; numbers below 0 count from the end; ranges may go beyond it."""
    assert page_numbers(ranges, 8) == expected


@pytest.mark.parametrize(
    "ranges",
    [
        "0",
        "9",
        "-9",
        "0-3",
        "9-12",
        "9-",
        "9--1",
        "-9-3",
        "1--9",
        "1-3,9-12",
        "a",
        "1,,2",
        "1-2-3",
        "--1",
        "1;2",
        ",",
        "1e1",
        "٣",
        "1" * 1001,
    ],
)
def test_what_is_no_range_is_refused(ranges):
    """Anything that is no range, or names a page that is not there, is an invalid option of the field `pages`."""
    with pytest.raises(OptionInvalid) as caught:
        page_numbers(ranges, 8)
    assert caught.value.field == "config.pages"


@given(st.text(alphabet="0123456789-, ", max_size=30), st.integers(1, 40))
def test_every_answer_has_pages_of_the_document(ranges, page_count):
    """Whatever is asked for, pages are in the document and none comes twice, or the option is refused."""
    try:
        numbers = page_numbers(ranges, page_count)
    except OptionInvalid:
        return
    assert len(set(numbers)) == len(numbers)
    assert all(1 <= number <= page_count for number in numbers)
