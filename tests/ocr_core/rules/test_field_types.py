"""Fields that are found, and repaired where that is safe."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ocr_core.rules.draft import Draft
from ocr_core.rules.field_types import repaired
from ocr_core.rules.options import FieldType
from tests.ocr_core.rules.read_lines import read_line

T = FieldType


def fields(text: str, kind: FieldType, **line) -> list[str]:
    """Values of the fields in a line."""
    draft, found = repaired(Draft.of(read_line(text, **line)), [kind])
    return [draft.text[start:end] for _, start, end in found]


FOUND = [
    ("Date: 2O24-ll-18 10:20", T.DATE, "2024-11-18"),
    ("25/12/2018 8:13:39 PM", T.DATE, "25/12/2018"),
    ("日期 2024年11月l8日", T.DATE, "2024年11月18日"),
    ("18 Nov 2O24", T.DATE, "18 Nov 2024"),
    ("Nov 18, 2024", T.DATE, "Nov 18, 2024"),
    ("Nov 18 2024", T.DATE, "Nov 18 2024"),
    ("TOTAL RM 1O.5O", T.AMOUNT, "10.50"),
    ("RM6.70 S", T.AMOUNT, "6.70"),
    ("1,2O0.50", T.AMOUNT, "1,200.50"),
    ("1.234,56 EUR", T.AMOUNT, "1.234,56"),
    ("O.50", T.AMOUNT, "0.50"),
    ("合计￥30", T.AMOUNT, "30"),
    ("１２．５０元", T.AMOUNT, "12.50"),
    ("电话 138l2345678", T.PHONE, "13812345678"),
    ("+86 138 1234 5678", T.PHONE, "+86 138 1234 5678"),
    ("O3-12345678", T.PHONE, "03-12345678"),
    ("400-820-8820", T.PHONE, "400-820-8820"),
    ("身份证11O1O519491231OO2x", T.RESIDENT_ID, "11010519491231002X"),
    ("9135O100MOO0100Y43", T.CREDIT_CODE, "91350100M000100Y43"),
    ("GB29 NWBK 6O16 1331 9268 19", T.IBAN, "GB29 NWBK 6016 1331 9268 19"),
    ("DE89 3704 OO44 0532 O130 00", T.IBAN, "DE89 3704 0044 0532 0130 00"),
    ("4111 l111 1111 1111", T.BANK_CARD, "4111 1111 1111 1111"),
    ("ISBN 978-7-3O2-51163-2", T.ISBN, "978-7-302-51163-2"),
    ("ISBN 0-8044-2957-x", T.ISBN, "0-8044-2957-X"),
    ("4OO6381333931", T.EAN, "4006381333931"),
    ("4006381333931 2 12.50", T.EAN, "4006381333931"),
]


@pytest.mark.parametrize(("text", "kind", "value"), FOUND)
def test_fields_are_found_and_repaired(text, kind, value):
    """A field is found in the middle of a line, and lookalikes in it become what their places ask for."""
    assert fields(text, kind) == [value]


LEFT = [
    ("S5.00", T.AMOUNT, "the dollar sign looks like S"),
    ("2.1Q", T.AMOUNT, "Q is not like enough where nothing checks it"),
    ("12.5O%", T.AMOUNT, "a share is no amount"),
    ("SO.OO", T.AMOUNT, "a word has too few digits"),
    ("v1.2.30", T.AMOUNT, "a version is no amount"),
    ("31/31/2018", T.DATE, "no day"),
    ("10.10.12.12", T.DATE, "an address is no date"),
    ("30 Mar 201818:17", T.DATE, "a year that runs into the time"),
    ("I2/11/2O24", T.DATE, "a drawn line looks like 1"),
    ("6222 0200 1234 5678", T.PHONE, "a part of a longer number"),
    ("11O1O5194912310O21", T.RESIDENT_ID, "wrong check digit"),
    ("SOLD ITEMS ARE NOT RETURNABLE", T.IBAN, "words"),
    ("4111 1111 1111 1112", T.BANK_CARD, "wrong check digit"),
    ("97873O2511633", T.ISBN, "wrong check digit"),
]


@pytest.mark.parametrize(("text", "kind"), [(text, kind) for text, kind, _ in LEFT], ids=[why for *_, why in LEFT])
def test_what_is_no_field_stays(text, kind):
    """Where the whole would be no valid field, or could be something else, nothing is found and nothing changed."""
    draft, found = repaired(Draft.of(read_line(text)), [kind])
    assert (found, draft.text) == ([], text)


def test_sure_characters_stay_where_nothing_checks_them():
    """An amount is repaired where the recogniser was in doubt alone; check digits are worth more than its word."""
    assert fields("1O.50", T.AMOUNT, confidences={}) == []
    assert fields("4OO6381333931", T.EAN, confidences={}) == ["4006381333931"]


def test_alternatives_are_heeded():
    """Where the recogniser gave alternatives, a character becomes one of these or stays."""
    assert fields("4O06381333931", T.EAN, alternatives={1: [("Q", 0.2)]}) == []
    assert fields("4O06381333931", T.EAN, alternatives={1: [("Q", 0.2), ("0", 0.1)]}) == ["4006381333931"]


def test_a_digit_becomes_another_only_as_the_recogniser_says():
    """3 for 8 is tried when it was among the alternatives, and taken when the check digits like it."""
    assert fields("4006881333931", T.EAN) == []
    assert fields("4006881333931", T.EAN, alternatives={4: [("3", 0.2)]}) == ["4006381333931"]


def test_two_answers_are_none():
    """Where several repairs have the right check digits, none is taken."""
    assert fields("4006881333931", T.EAN, alternatives={4: [("3", 0.2)], 2: [("5", 0.2)]}) == []


NUMBERS = [
    (T.RESIDENT_ID, "11010519491231002X"),
    (T.EAN, "4006381333931"),
    (T.BANK_CARD, "4111111111111111"),
]
LOOKS = {"0": "OoD", "1": "Il|", "5": "S", "8": "B", "2": "Z"}


@given(st.sampled_from(NUMBERS), st.data())
def test_lookalikes_of_digits_come_back(known, data):
    """A number in which a few digits were read as letters is found as it was."""
    kind, number = known
    places = [place for place, digit in enumerate(number) if digit in LOOKS]
    text = list(number)
    for place in data.draw(st.sets(st.sampled_from(places), max_size=4)):
        text[place] = data.draw(st.sampled_from(LOOKS[number[place]]))
    assert fields("".join(text), kind) == [number]


@given(st.text("0123456789OolISB.,-/ |元RM年月日Xx$+", max_size=40), st.lists(st.sampled_from(T), unique=True))
def test_repairs_keep_the_length_and_are_done_once(text, kinds):
    """Whatever is in a line, places stay, fields of one type do not overlap, and a second time changes nothing."""
    draft, found = repaired(Draft.of(read_line(text)), kinds)
    assert len(draft.text) == len(text)
    for kind in kinds:
        spans = [(start, end) for each, start, end in found if each is kind]
        assert all(end <= start for (_, end), (start, _) in itertools.pairwise(spans))
    if len(kinds) == 1:
        again, found_again = repaired(Draft.of(read_line(draft.text)), kinds)
        assert again.text == draft.text
        assert set(found) <= set(found_again)


def test_long_lines_take_linear_time():
    """Shapes do not blow up on what nearly fits them over and over."""
    for text in ("1" * 5000, "1,234" * 1000, "1 " * 2500, "OOO1" * 1200, "AA11 " * 1000):
        repaired(Draft.of(read_line(text)), list(T))
