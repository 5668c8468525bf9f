"""Failed calls and error messages -> OcrError."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import grpc
from google.protobuf import message
from google.rpc import error_details_pb2, status_pb2  # type: ignore[import-untyped]  # ships no marker of its types

from glyphwire.errors import ErrorReason, OcrError
from glyphwire.v1 import ocr_pb2

DOMAIN = "glyphwire.v1"
REQUEST_ID = "x-request-id"
STATUS_DETAILS = "grpc-status-details-bin"

_PREFIX = "ERROR_REASON_"

# Of every other reason it is INVALID_ARGUMENT.
_CODE_OF_REASON = {
    ErrorReason.UNSPECIFIED: grpc.StatusCode.UNKNOWN,
    ErrorReason.MODEL_NOT_FOUND: grpc.StatusCode.NOT_FOUND,
    ErrorReason.QUEUE_FULL: grpc.StatusCode.UNAVAILABLE,
    ErrorReason.DRAINING: grpc.StatusCode.UNAVAILABLE,
    ErrorReason.ENGINE_LOST: grpc.StatusCode.UNAVAILABLE,
    ErrorReason.DEADLINE_EXPIRED: grpc.StatusCode.DEADLINE_EXCEEDED,
    ErrorReason.INTERNAL: grpc.StatusCode.INTERNAL,
    ErrorReason.TOKEN_INVALID: grpc.StatusCode.UNAUTHENTICATED,
    ErrorReason.CALL_FORBIDDEN: grpc.StatusCode.PERMISSION_DENIED,
    ErrorReason.CLIENT_LIMIT: grpc.StatusCode.RESOURCE_EXHAUSTED,
    ErrorReason.MODEL_REJECTED: grpc.StatusCode.FAILED_PRECONDITION,
    ErrorReason.MODEL_IS_DEFAULT: grpc.StatusCode.FAILED_PRECONDITION,
}


@contextmanager
def translated() -> Iterator[None]:
    """Raises OcrError for calls that fail inside."""
    try:
        yield
    except grpc.RpcError as error:
        raise from_call(error) from error


@contextmanager
def ready_within(timeout_s: float) -> Iterator[None]:
    """As translated(), around waiting so long for a server: gRPC does not say what it was that took longer."""
    try:
        with translated():
            yield
    except OcrError as error:
        if error.code is not grpc.StatusCode.DEADLINE_EXCEEDED:
            raise
        raise OcrError(error.code, error.reason, f"no server is ready after {timeout_s:g} s") from error


def from_call(error: grpc.RpcError) -> OcrError:
    """Of a call that failed, sync or async."""
    trailers = _trailers(error.trailing_metadata())
    status = status_pb2.Status.FromString(trailers.get(STATUS_DETAILS, b""))
    info, retry = error_details_pb2.ErrorInfo(), error_details_pb2.RetryInfo()
    has_retry = _unpack(status, retry)
    ours = _unpack(status, info) and info.domain == DOMAIN
    return OcrError(
        error.code() or grpc.StatusCode.UNKNOWN,
        _reason(info.reason.removeprefix(_PREFIX)) if ours else ErrorReason.UNSPECIFIED,
        error.details() or "",
        field=info.metadata["field"] if ours else "",
        request_id=str(trailers.get(REQUEST_ID, "")),
        retry_after_s=retry.retry_delay.ToTimedelta().total_seconds() if has_retry else None,
    )


def from_message(error: ocr_pb2.Error) -> OcrError:
    """Of one item of a batch or one frame of a stream."""
    known = error.reason in ocr_pb2.ErrorReason.values()
    reason = _reason(ocr_pb2.ErrorReason.Name(error.reason).removeprefix(_PREFIX) if known else "")
    code = _CODE_OF_REASON.get(reason, grpc.StatusCode.INVALID_ARGUMENT)
    return OcrError(code, reason, error.message, field=error.field)


def _reason(name: str) -> ErrorReason:
    """A newer server may know reasons that this client does not."""
    return ErrorReason.__members__.get(name, ErrorReason.UNSPECIFIED)


def _unpack(status: status_pb2.Status, target: message.Message) -> bool:
    """Fill `target` from the first detail of its kind, if there is one."""
    return any(detail.Unpack(target) for detail in status.details)


def _trailers(metadata: Any) -> dict[str, Any]:  # noqa: ANN401 - no common type in gRPC's stubs
    """Pairs, of a type of its own in each of the two clients of gRPC. Keys that end in -bin have bytes, others str."""
    return dict(tuple(pair) for pair in metadata or ())
