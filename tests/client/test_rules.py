"""Rules on their way through the Python client."""

from __future__ import annotations

import dataclasses

import glyphwire
import pytest
from glyphwire import _requests, _responses

from ocr_core import types
from ocr_core.rules import options
from ocr_core.rules.findings import Correction, Field
from server import convert

CORNERS = types.Polygon((types.Point(1.0, 2.0), types.Point(3.0, 2.0)))


def test_rules_arrive_as_they_were_chosen():
    """Every field of the client's options has its value in the server's."""
    chosen = glyphwire.RuleOptions(
        profile="receipts",
        unicode_form=glyphwire.UnicodeForm.NFKC,
        width_form=glyphwire.WidthForm.HALF_ALPHANUMERIC,
        dictionary=["a", "b"],
        dictionary_name="shops",
        field_types=[glyphwire.FieldType.CREDIT_CODE],
        extractors={"total": "a+", "tax": "b"},
    )
    message = _requests.options_message(glyphwire.RecognizeOptions(rules=chosen))
    assert convert.options(message).rules == options.RuleOptions(
        "receipts",
        options.UnicodeForm.NFKC,
        options.WidthForm.HALF_ALPHANUMERIC,
        ("a", "b"),
        "shops",
        (options.FieldType.CREDIT_CODE,),
        (options.Extractor("total", "a+"), options.Extractor("tax", "b")),
    )


def test_no_rules_are_the_default():
    """Who asks for nothing has nothing done."""
    assert convert.options(_requests.options_message(glyphwire.RecognizeOptions())).rules == options.NO_RULES


@pytest.mark.parametrize("name", ["UnicodeForm", "WidthForm", "FieldType"])
def test_choices_are_those_of_the_server(name):
    """The client knows every value, by the same name."""
    ours, theirs = getattr(glyphwire, name), getattr(options, name)
    assert [(each.name, each.value) for each in ours] == [(each.name, each.value) for each in theirs]


@pytest.mark.parametrize("raw_text", [None, "", "1O"])
def test_what_rules_did_arrives(raw_text):
    """Raw text, corrections and fields have the values that the server gave them; no raw text is not an empty one."""
    correction = Correction("amount", "1O", "10", 0, 2)
    line = types.Line("10", 0.5, CORNERS, raw_text=raw_text, corrections=(correction,))
    sent = types.Recognition(
        (line,), 10, 20, "m", "1", types.Timings(), fields=(Field("amount", "10", 0, 1, 2, CORNERS),)
    )
    received = _responses.recognition(convert.recognize_response(sent).recognition)
    assert dataclasses.asdict(received) == dataclasses.asdict(sent)
    assert isinstance(received.fields[0], glyphwire.Field)
