"""The client's error against the contract."""

from __future__ import annotations

import glyphwire
import grpc
import pytest
from glyphwire import ErrorReason, _faults
from glyphwire.v1 import ocr_pb2

from server.faults import FAULTS


def test_reasons_are_those_of_the_contract():
    """ErrorReason has the names and numbers of the contract's enum."""
    names = {f"ERROR_REASON_{reason.name}": reason.value for reason in ErrorReason}
    assert names == dict(ocr_pb2.ErrorReason.items())


@pytest.mark.parametrize(("code", "reason"), FAULTS.values(), ids=lambda value: getattr(value, "name", str(value)))
def test_items_have_the_code_of_a_call(code, reason):
    """The error of an item or frame has the status code that a call of its own would have got."""
    assert _faults.from_message(ocr_pb2.Error(reason=reason)).code is code


def test_reasons_of_a_newer_server_are_unspecified():
    """A reason that this client does not know is UNSPECIFIED; its message is kept."""
    error = _faults.from_message(ocr_pb2.Error(reason=999, message="new"))
    assert (error.reason, error.code, error.message) == (ErrorReason.UNSPECIFIED, grpc.StatusCode.UNKNOWN, "new")


def test_an_error_says_what_there_is_to_say():
    """Its text has the code and the message, and the reason and the field of those that have them."""
    with_all = glyphwire.OcrError(grpc.StatusCode.NOT_FOUND, ErrorReason.MODEL_NOT_FOUND, "no model", field="model")
    assert str(with_all) == "NOT_FOUND, MODEL_NOT_FOUND: no model (model)"
    assert str(glyphwire.OcrError(grpc.StatusCode.UNAVAILABLE, ErrorReason.UNSPECIFIED, "gone")) == "UNAVAILABLE: gone"
