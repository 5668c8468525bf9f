"""What can go wrong in the server besides the pipeline, and the one table from errors to what callers see.

OcrError (ocr_core.errors)
├── InputError
│   ├── RequestInvalid          a required part is missing, or parts exclude each other
│   └── BatchTooLarge           more items than the server accepts
├── Unavailable                 not our fault, not the caller's: try again later
│   ├── QueueFull               as much work is held as is accepted
│   ├── ClientLimitReached      the caller's token has all it is allowed at the moment
│   ├── EngineLost              the process that was reading has ended; another one takes its place
│   └── Draining                the server is stopping
├── TokenInvalid                no token, or an unknown one
├── CallForbidden               the token does not allow the call
├── DeadlineExpired             the deadline passed while the work was queued
└── SetupError
    ├── SettingsInvalid         a flag, a variable or the file of settings
    ├── ProcessesFailed           no process gets as far as serving, or reading
    └── ListenFailed            the address cannot be bound
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import grpc
from glyphwire.v1 import ocr_pb2

from ocr_core import errors
from ocr_core.errors import InputError, OcrError, SetupError


class RequestInvalid(InputError):
    """The request lacks a required part or has parts that exclude each other."""


class BatchTooLarge(InputError):
    """The batch has more items than the server accepts."""


class Unavailable(OcrError):
    """Try again. retry_after_s: how long to wait before."""

    def __init__(self, message: str, retry_after_s: float) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class QueueFull(Unavailable):
    """The server holds as much work as it accepts."""


class ClientLimitReached(Unavailable):
    """The calls of one token are too many at once, or too many per second."""


class EngineLost(Unavailable):
    """The process that was reading has ended, and with it the image, which may or may not be to blame."""

    def __init__(self, message: str, retry_after_s: float = 1.0) -> None:
        super().__init__(message, retry_after_s)


class Draining(Unavailable):
    """The server is stopping."""


class TokenInvalid(OcrError):
    """The call has no token, or one that is not in the token file."""


class CallForbidden(OcrError):
    """The token does not allow the call."""


class DeadlineExpired(OcrError):
    """The deadline passed while the work was queued."""


class SettingsInvalid(SetupError):
    """A setting is unknown or out of its range."""


class ProcessesFailed(SetupError):
    """None of the server's processes gets as far as serving, or reading."""


class ListenFailed(SetupError):
    """The server cannot listen at its address."""


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
