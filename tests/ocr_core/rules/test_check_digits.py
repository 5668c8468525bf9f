"""Numbers that are known to be right, and numbers near them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ocr_core.rules import check_digits

KNOWN = [
    (check_digits.is_resident_id, "11010519491231002X"),
    (check_digits.is_credit_code, "91350100M000100Y43"),
    (check_digits.is_iban, "GB29 NWBK 6016 1331 9268 19"),
    (check_digits.is_iban, "DE89 3704 0044 0532 0130 00"),
    (check_digits.is_iban, "NL91ABNA0417164300"),
    (check_digits.is_bank_card, "4111 1111 1111 1111"),
    (check_digits.is_bank_card, "5500-0055-5555-5559"),
    (check_digits.is_isbn, "978-3-16-148410-0"),
    (check_digits.is_isbn, "0-306-40615-2"),
    (check_digits.is_isbn, "080442957X"),
    (check_digits.is_ean, "4006381333931"),
    (check_digits.is_ean, "9638 5074"),
]


@pytest.mark.parametrize(("is_valid", "number"), KNOWN)
def test_published_examples_are_valid(is_valid, number):
    """Examples of the standards pass."""
    assert is_valid(number)


@given(st.sampled_from(KNOWN), st.data())
def test_one_wrong_digit_is_noticed(known, data):
    """A number with another digit in one place does not pass."""
    is_valid, number = known
    place = data.draw(st.sampled_from([i for i, character in enumerate(number) if character.isdigit()]))
    other = data.draw(st.sampled_from([digit for digit in "0123456789" if digit != number[place]]))
    assert not is_valid(number[:place] + other + number[place + 1 :])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2024-02-29", True),
        ("2023-02-29", False),
        ("31/12/18", True),
        ("12/31/2018", True),
        ("31/31/2018", False),
        ("2024年11月18日", True),
        ("18 Nov 2024", True),
        ("Feb 30, 2024", False),
        ("1492-10-12", False),
    ],
)
def test_dates_are_days_of_the_calendar(text, expected):
    """Day and month may stand in either order; what is no day is no date."""
    assert check_digits.is_date(text) is expected


def test_lengths_count():
    """An IBAN has the length of its country, a card at least 13 digits, an ISBN of 13 its prefix."""
    assert not check_digits.is_iban("DE89 3704 0044 0532 0130 000")
    assert not check_digits.is_iban("ZZ89 3704 0044 0532 0130 00")
    assert not check_digits.is_bank_card("411111111111")
    assert not check_digits.is_isbn("4006381333931")


def test_a_resident_id_has_a_day_of_birth():
    """Check digits alone are not enough."""
    assert not check_digits.is_resident_id("110105194913310021")
