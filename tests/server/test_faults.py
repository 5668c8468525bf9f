"""The table from errors to what callers are told."""

from __future__ import annotations

import inspect
import re
from pathlib import Path

import grpc
import pytest
from glyphwire.v1 import ocr_pb2

import ocr_core.errors
import server.errors
from ocr_core.errors import LanguageInvalid, ModelFailed, OcrError, SetupError
from server.errors import Unavailable
from server.faults import FAULTS, fault_of, is_our_fault
from tests.server.messages import example_error

PROTO = Path(__file__).parents[2] / "protos" / "glyphwire" / "v1" / "ocr.proto"


def leaves() -> list[type[OcrError]]:
    """Every error class without subclasses."""
    modules = (ocr_core.errors, server.errors)
    found = {kind for module in modules for _, kind in inspect.getmembers(module, inspect.isclass)}
    return [kind for kind in found if issubclass(kind, OcrError) and not kind.__subclasses__()]


def test_every_error_of_a_request_is_in_the_table():
    """Each leaf of the error tree is in the table, but for our faults and the operator's, which no caller is told."""
    assert {kind for kind in leaves() if not issubclass(kind, SetupError | ModelFailed | LanguageInvalid)} == set(
        FAULTS
    )


def test_every_reason_is_used_once():
    """Each ErrorReason belongs to one error, INTERNAL to everything that is not in the table."""
    reasons = [reason for _, reason in FAULTS.values()]
    unused = {ocr_pb2.ERROR_REASON_UNSPECIFIED, ocr_pb2.ERROR_REASON_INTERNAL}
    assert sorted(reasons) == sorted(set(ocr_pb2.ErrorReason.values()) - unused)


def test_codes_are_those_of_the_contract():
    """The status code behind each reason is the one that its comment in ocr.proto names."""
    comments = re.findall(r"\((\w+)(?:, with RetryInfo)?\)\.\n +ERROR_REASON_(\w+) = ", PROTO.read_text("utf-8"))
    written = {f"ERROR_REASON_{reason}": code for code, reason in comments}
    faults = [fault_of(example_error(kind)) for kind in FAULTS] + [fault_of(ZeroDivisionError())]
    assert {fault.reason_name: fault.code.name for fault in faults} == written


@pytest.mark.parametrize("kind", FAULTS)
def test_faults_say_what_helps(kind):
    """A fault carries the error's message, its field, and a delay when trying again helps."""
    error = example_error(kind)
    fault = fault_of(error)
    assert fault.message == error.message
    assert fault.field == getattr(error, "field", "")
    assert (fault.retry_after_s is not None) == issubclass(kind, Unavailable)
    assert not is_our_fault(error)


@pytest.mark.parametrize(
    "error",
    [
        ZeroDivisionError("secret"),
        SetupError("secret"),
        ModelFailed("secret"),
        LanguageInvalid("secret"),
        OcrError("secret"),
    ],
)
def test_anything_else_is_our_fault(error):
    """Unexpected errors are INTERNAL and their text is not shown."""
    fault = fault_of(error)
    assert (fault.code, fault.message, fault.field) == (grpc.StatusCode.INTERNAL, "internal error", "")
    assert is_our_fault(error)
