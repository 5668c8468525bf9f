"""The one table from errors to what callers see."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import grpc
from glyphwire.v1 import ocr_pb2

from ocr_core import errors
from ocr_core.errors import InputError, OcrError
from server.errors import (
    BatchTooLarge,
    CallForbidden,
    ClientLimitReached,
    DeadlineExpired,
    Draining,
    EngineLost,
    QueueFull,
    RequestInvalid,
    TokenInvalid,
    Unavailable,
)


@dataclass(frozen=True, slots=True)
class Fault:
    """What a caller is told of an error. retry_after_s: None when trying again is of no use."""

    code: grpc.StatusCode
    reason: ocr_pb2.ErrorReason.ValueType
    message: str
    field: str = ""
    retry_after_s: float | None = None

    @property
    def reason_name(self) -> str:
        """For example ERROR_REASON_IMAGE_EMPTY."""
        return _name_of(self.reason)


_name_of = cache(ocr_pb2.ErrorReason.Name)


_INVALID = grpc.StatusCode.INVALID_ARGUMENT
_UNAVAILABLE = grpc.StatusCode.UNAVAILABLE

FAULTS: dict[type[OcrError], tuple[grpc.StatusCode, ocr_pb2.ErrorReason.ValueType]] = {
    RequestInvalid: (_INVALID, ocr_pb2.ERROR_REASON_REQUEST_INVALID),
    errors.ImageEmpty: (_INVALID, ocr_pb2.ERROR_REASON_IMAGE_EMPTY),
    errors.ImageUndecodable: (_INVALID, ocr_pb2.ERROR_REASON_IMAGE_UNDECODABLE),
    errors.ImageTooLarge: (_INVALID, ocr_pb2.ERROR_REASON_IMAGE_TOO_LARGE),
    errors.ImageTooSmall: (_INVALID, ocr_pb2.ERROR_REASON_IMAGE_TOO_SMALL),
    errors.RawImageInvalid: (_INVALID, ocr_pb2.ERROR_REASON_RAW_IMAGE_INVALID),
    errors.OptionInvalid: (_INVALID, ocr_pb2.ERROR_REASON_OPTION_INVALID),
    errors.DocumentUnreadable: (_INVALID, ocr_pb2.ERROR_REASON_DOCUMENT_UNREADABLE),
    errors.DocumentEncrypted: (_INVALID, ocr_pb2.ERROR_REASON_DOCUMENT_ENCRYPTED),
    errors.DocumentTooLarge: (_INVALID, ocr_pb2.ERROR_REASON_DOCUMENT_TOO_LARGE),
    errors.PageUnreadable: (_INVALID, ocr_pb2.ERROR_REASON_PAGE_UNREADABLE),
    errors.ModelNotFound: (grpc.StatusCode.NOT_FOUND, ocr_pb2.ERROR_REASON_MODEL_NOT_FOUND),
    errors.ModelRejected: (grpc.StatusCode.FAILED_PRECONDITION, ocr_pb2.ERROR_REASON_MODEL_REJECTED),
    errors.ModelIsDefault: (grpc.StatusCode.FAILED_PRECONDITION, ocr_pb2.ERROR_REASON_MODEL_IS_DEFAULT),
    BatchTooLarge: (_INVALID, ocr_pb2.ERROR_REASON_BATCH_TOO_LARGE),
    QueueFull: (_UNAVAILABLE, ocr_pb2.ERROR_REASON_QUEUE_FULL),
    ClientLimitReached: (grpc.StatusCode.RESOURCE_EXHAUSTED, ocr_pb2.ERROR_REASON_CLIENT_LIMIT),
    TokenInvalid: (grpc.StatusCode.UNAUTHENTICATED, ocr_pb2.ERROR_REASON_TOKEN_INVALID),
    CallForbidden: (grpc.StatusCode.PERMISSION_DENIED, ocr_pb2.ERROR_REASON_CALL_FORBIDDEN),
    EngineLost: (_UNAVAILABLE, ocr_pb2.ERROR_REASON_ENGINE_LOST),
    Draining: (_UNAVAILABLE, ocr_pb2.ERROR_REASON_DRAINING),
    DeadlineExpired: (grpc.StatusCode.DEADLINE_EXCEEDED, ocr_pb2.ERROR_REASON_DEADLINE_EXPIRED),
}

_MAX_MESSAGE = 300
"""Messages can quote the request, and travel in HTTP/2 headers, where there is little room."""

_OUR_FAULT = Fault(grpc.StatusCode.INTERNAL, ocr_pb2.ERROR_REASON_INTERNAL, "internal error")


def fault_of(error: BaseException) -> Fault:
    """What a caller is told of an error. Everything that is not in the table is our fault and stays in the log."""
    if not isinstance(error, OcrError) or type(error) not in FAULTS:
        return _OUR_FAULT
    code, reason = FAULTS[type(error)]
    return Fault(
        code,
        reason,
        error.message[:_MAX_MESSAGE],
        field=error.field if isinstance(error, InputError) else "",
        retry_after_s=error.retry_after_s if isinstance(error, Unavailable) else None,
    )


def is_our_fault(error: BaseException) -> bool:
    """Whether the error belongs in the log with its traceback."""
    return fault_of(error) is _OUR_FAULT
