"""What every call has: statuses with details, request ids, a line in the access log."""

from __future__ import annotations

import grpc
import pytest
from glyphwire.v1 import ocr_pb2
from structlog.contextvars import merge_contextvars
from structlog.testing import capture_logs

from ocr_core.types import PreparedImage
from server.errors import Unavailable
from server.faults import FAULTS
from tests.server.messages import example_error, failure, request, until

ERRORS = [example_error(kind) for kind in FAULTS]


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
async def test_every_error_has_its_status(running, stages, monkeypatch, error):
    """Each error of the table becomes its status code with ErrorInfo, and with RetryInfo where that helps."""

    def fail(*_) -> PreparedImage:
        raise error

    monkeypatch.setattr(stages, "prepare", fail)
    failed = await failure(running.stub.Recognize(request("a")))
    code, reason = FAULTS[type(error)]
    assert (failed.code, failed.message) == (code, error.message)
    assert (failed.info.domain, failed.info.reason) == ("glyphwire.v1", ocr_pb2.ErrorReason.Name(reason))
    assert dict(failed.info.metadata) == ({"field": error.field} if getattr(error, "field", "") else {})
    assert failed.has_retry == isinstance(error, Unavailable)


async def test_long_messages_are_cut(running):
    """A message that quotes a very long part of the request still reaches the caller, shortened."""
    failed = await failure(running.stub.Recognize(request("a", model="模" * 100_000)))
    assert (failed.code, failed.info.reason) == (grpc.StatusCode.NOT_FOUND, "ERROR_REASON_MODEL_NOT_FOUND")
    assert failed.message.startswith("no model '模模")


async def test_bugs_are_internal_and_say_nothing(running):
    """An unexpected exception is INTERNAL without its text; the log has the traceback under the same request id."""
    with capture_logs([merge_contextvars]) as logs:
        failed = await failure(running.stub.Recognize(request("!bug"), metadata=(("x-request-id", "id-1"),)))
    assert (failed.code, failed.info.reason) == (grpc.StatusCode.INTERNAL, "ERROR_REASON_INTERNAL")
    assert failed.message == "internal error"
    (entry,) = [entry for entry in logs if entry["event"] == "internal_error"]
    assert entry["request_id"] == failed.trailers["x-request-id"] == "id-1"
    assert isinstance(entry["exc_info"], ZeroDivisionError)


@pytest.mark.parametrize("given", ["id-1", ""])
async def test_request_ids_come_back(running, given):
    """The caller's x-request-id comes back, with success and failure; without one the server makes it."""
    metadata = (("x-request-id", given),) if given else ()
    call = running.stub.Recognize(request("a"), metadata=metadata)
    await call
    answered = dict(tuple(pair) for pair in await call.trailing_metadata())["x-request-id"]
    failed = (await failure(running.stub.Recognize(request("!small"), metadata=metadata))).trailers["x-request-id"]
    if given:
        assert answered == failed == given
    else:
        assert answered != failed
        assert len(answered) == len(failed) == 32


async def test_request_ids_that_spoil_the_log_are_replaced(running):
    """An id that is too long for a log line is replaced by a new one."""
    failed = await failure(running.stub.Recognize(request("!small"), metadata=(("x-request-id", "x" * 200),)))
    assert len(failed.trailers["x-request-id"]) == 32


async def test_every_call_leaves_a_line_in_the_log(running):
    """The access log tells of each call who made it, what became of it, how much it was and how long it took."""
    traceparent = ("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00")
    with capture_logs([merge_contextvars]) as logs:
        await running.stub.Recognize(request("a\nb"), metadata=(("x-request-id", "id-1"), traceparent))
        await failure(running.stub.Recognize(request("!small"), metadata=(("x-request-id", "id-2"),)))
    good, bad = [entry for entry in logs if entry["event"] == "call"]
    assert good["duration_ms"] > good["queue_ms"] > 0
    assert good["peer"].startswith("ipv4:127.0.0.1:")
    assert good.items() >= {
        "client": "ipv4:127.0.0.1",
        "method": "Recognize", "code": "OK", "reason": "", "images": 1, "bytes": 3, "lines": 2, "model": "fake",
        "request_id": "id-1", "trace_id": "0af7651916cd43dd8448eb211c80319c",
    }.items()  # fmt: skip
    assert bad.items() >= {
        "code": "INVALID_ARGUMENT", "reason": "ERROR_REASON_IMAGE_TOO_SMALL", "images": 1, "bytes": 6, "lines": 0,
        "model": "", "request_id": "id-2", "trace_id": "",
    }.items()  # fmt: skip


async def test_cancelled_calls_are_logged_as_such(running, stages):
    """A call that its caller cancels is logged with CANCELLED, one whose deadline passes with DEADLINE_EXCEEDED."""
    stages.gate.clear()
    admission = running.app._batcher._admission
    with capture_logs() as logs:
        gone = running.stub.Recognize(request("gone"))
        await until(lambda: admission.images == 1)
        gone.cancel()
        await admission.idle()
        await failure(running.stub.Recognize(request("late"), timeout=0.05))
        await until(lambda: [entry["event"] for entry in logs].count("call") == 2)
    assert [entry["code"] for entry in logs if entry["event"] == "call"] == ["CANCELLED", "DEADLINE_EXCEEDED"]
