"""The one error that the client raises, and its reasons."""

from __future__ import annotations

import enum

import grpc


class ErrorReason(enum.Enum):
    """What went wrong, for programs. The values are those of the contract, where each is explained."""

    UNSPECIFIED = 0
    REQUEST_INVALID = 1
    IMAGE_EMPTY = 2
    IMAGE_UNDECODABLE = 3
    IMAGE_TOO_LARGE = 4
    IMAGE_TOO_SMALL = 5
    RAW_IMAGE_INVALID = 6
    OPTION_INVALID = 7
    MODEL_NOT_FOUND = 8
    BATCH_TOO_LARGE = 9
    QUEUE_FULL = 10
    DRAINING = 11
    DEADLINE_EXPIRED = 12
    INTERNAL = 13
    TOKEN_INVALID = 14
    CALL_FORBIDDEN = 15
    CLIENT_LIMIT = 16
    MODEL_REJECTED = 17
    MODEL_IS_DEFAULT = 18
    DOCUMENT_UNREADABLE = 19
    DOCUMENT_ENCRYPTED = 20
    DOCUMENT_TOO_LARGE = 21
    PAGE_UNREADABLE = 22
    ENGINE_LOST = 23


class OcrError(Exception):
    """A call, an item of a batch or a frame of a stream failed.

    code: gRPC status; of an item or a frame, the status that a call of its own would have got.
    reason: UNSPECIFIED when the failure is not the server's answer, for example when it cannot be reached.
    field: the request field at fault, for example "options.decode.beam_width", or empty.
    request_id: names the call in the server's log, or empty.
    retry_after_s: how long to wait before trying again; None when the server did not say.
    """

    def __init__(
        self,
        code: grpc.StatusCode,
        reason: ErrorReason,
        message: str,
        *,
        field: str = "",
        request_id: str = "",
        retry_after_s: float | None = None,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.reason = reason
        self.message = message
        self.field = field
        self.request_id = request_id
        self.retry_after_s = retry_after_s

    def __str__(self) -> str:
        reason = "" if self.reason is ErrorReason.UNSPECIFIED else f", {self.reason.name}"
        place = f" ({self.field})" if self.field else ""
        return f"{self.code.name}{reason}: {self.message}{place}"
