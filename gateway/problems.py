"""What went wrong, as problem+json (RFC 9457) with the reasons of the gRPC service."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import glyphwire
import grpc
from fastapi import Request, Response
from fastapi.exceptions import RequestValidationError
from glyphwire import ErrorReason
from pydantic import BaseModel, ConfigDict, Field
from pydantic_core import ErrorDetails
from starlette.exceptions import HTTPException

from ocr_core.errors import InputError
from server.faults import fault_of

MEDIA_TYPE = "application/problem+json"

_STATUS_OF_CODE = {
    grpc.StatusCode.INVALID_ARGUMENT: 400,
    grpc.StatusCode.OUT_OF_RANGE: 400,
    grpc.StatusCode.NOT_FOUND: 404,
    grpc.StatusCode.FAILED_PRECONDITION: 409,
    grpc.StatusCode.RESOURCE_EXHAUSTED: 429,
    grpc.StatusCode.UNAVAILABLE: 503,
    grpc.StatusCode.DEADLINE_EXCEEDED: 504,
}
_STATUS_OF_REASON = {
    ErrorReason.IMAGE_TOO_LARGE: 413,
    ErrorReason.BATCH_TOO_LARGE: 413,
    ErrorReason.IMAGE_UNDECODABLE: 415,
    ErrorReason.DOCUMENT_TOO_LARGE: 413,
    ErrorReason.DOCUMENT_UNREADABLE: 415,
    ErrorReason.PAGE_UNREADABLE: 415,
}
_BAD_GATEWAY = 502
_NO_ANSWERS = {ErrorReason.UNSPECIFIED, ErrorReason.TOKEN_INVALID, ErrorReason.CALL_FORBIDDEN}
"""What does not concern the caller: failures on the way to the server, which wants a token of the gateway's own."""

_REASON_OF_STATUS = {404: "NOT_FOUND", 405: "METHOD_NOT_ALLOWED", 413: "IMAGE_TOO_LARGE"}


class Problem(BaseModel):
    """RFC 9457. reason: name of an ErrorReason of ocr.proto, or one of the gateway's own."""

    model_config = ConfigDict(frozen=True)

    type: str = "about:blank"
    title: str
    status: int
    detail: str
    reason: str
    field: str | None = Field(None, description="what in the request is at fault")
    request_id: str | None = Field(None, description="names the call in the server's log")
    retry_after_s: float | None = Field(None, description="how long to wait before trying again")
    success: bool = False


_DESCRIBED = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}
RESPONSES: dict[int | str, dict[str, Any]] = {
    "4XX": {"description": "What is wrong with the request, or with who sends it", "content": _DESCRIBED},
    "5XX": {"description": "What is wrong with the service", "content": _DESCRIBED},
}
"""Of the OpenAPI description, in which answers with parts that failed bring the schema."""


class ProblemError(Exception):
    """Answered with its problem."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.detail)
        self.problem = problem


def refused(status: int, reason: str, detail: str, field: str | None = None) -> ProblemError:
    """An error of the gateway's own."""
    return ProblemError(Problem(title=_title(reason), status=status, detail=detail, reason=reason, field=field))


def problem_of(error: glyphwire.OcrError) -> Problem:
    """What the server said, or that it cannot be reached, or not by this gateway."""
    status = _STATUS_OF_REASON.get(error.reason) or _STATUS_OF_CODE.get(error.code, _BAD_GATEWAY)
    is_answer = error.reason not in _NO_ANSWERS
    reason = error.reason.name if is_answer else f"SERVER_{error.code.name}"
    return Problem(
        title=_title(reason),
        status=status,
        detail=error.message if is_answer else f"the OCR server does not answer the gateway: {error.code.name}",
        reason=reason,
        field=error.field or None,
        request_id=error.request_id or None,
        retry_after_s=error.retry_after_s,
    )


def unreadable(error: InputError) -> ProblemError:
    """What is wrong with a document that the gateway opens itself, in the words and with the reason of the service."""
    fault = fault_of(error)
    reason = ErrorReason[fault.reason_name.removeprefix("ERROR_REASON_")]
    status = _STATUS_OF_REASON.get(reason) or _STATUS_OF_CODE[fault.code]
    return refused(status, reason.name, fault.message, fault.field or None)


def invalid(problems: list[ErrorDetails]) -> ProblemError:
    """The first of the faults that pydantic found in the options."""
    place = ".".join(str(part) for part in problems[0]["loc"])
    detail = "; ".join(f"{'.'.join(map(str, problem['loc']))}: {problem['msg']}" for problem in problems)
    return refused(400, "OPTION_INVALID", detail, place)


def answer(problem: Problem, more_headers: Mapping[str, str] | None = None) -> Response:
    """As an HTTP response."""
    headers = dict(more_headers or {})
    if problem.retry_after_s is not None:
        headers["Retry-After"] = str(math.ceil(problem.retry_after_s))
    if problem.status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    return Response(problem.model_dump_json(exclude_none=True), problem.status, headers, MEDIA_TYPE)


async def on_error(request: Request, error: Exception) -> Response:
    """The one place where errors become answers. What is our own fault is raised again, and logged by the frame."""
    del request
    match error:
        case ProblemError():
            return answer(error.problem)
        case glyphwire.OcrError():
            return answer(problem_of(error))
        case RequestValidationError():
            return answer(invalid(list(error.errors())).problem)
        case HTTPException():
            reason = _REASON_OF_STATUS.get(error.status_code, "REQUEST_INVALID")
            return answer(refused(error.status_code, reason, str(error.detail)).problem, error.headers)
    return answer(refused(500, "INTERNAL", "internal error").problem)


def _title(reason: str) -> str:
    return reason.replace("_", " ").capitalize()
