"""Structure on its way through the Python client."""

from __future__ import annotations

import dataclasses

import glyphwire
import pytest
from glyphwire import _requests, _responses

from ocr_core import structure, types
from server import convert

CORNERS = types.Polygon((types.Point(1.0, 2.0), types.Point(3.0, 2.0)))


def test_structure_arrives_as_it_was_sent():
    """Every field of every part has the value that the server gave it."""
    sent = structure.Structure(
        (structure.Paragraph("a b", (0, 2)),),
        (structure.KeyValue("Date", "2024", 1, 3),),
        (structure.Table(2, 3, True, (structure.Cell(1, 2, 1, 1, "c", (4,), CORNERS),), CORNERS),),
    )
    recognition = types.Recognition((), 10, 20, "m", "1", types.Timings(), structure=sent)
    received = _responses.recognition(convert.recognize_response(recognition).recognition).structure
    assert received is not None
    assert dataclasses.asdict(received) == dataclasses.asdict(sent)
    assert isinstance(received.tables[0].cells[0], glyphwire.Cell)


def test_without_structure_there_is_none():
    """A recognition that was not asked for it is None there, not empty."""
    recognition = types.Recognition((), 10, 20, "m", "1", types.Timings())
    assert _responses.recognition(convert.recognize_response(recognition).recognition).structure is None


@pytest.mark.parametrize("wanted", [True, False])
def test_structure_is_asked_for(wanted):
    """The option reaches the request."""
    assert _requests.options_message(glyphwire.RecognizeOptions(include_structure=wanted)).include_structure is wanted
