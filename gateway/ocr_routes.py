"""Images and documents that are read while the caller waits."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Coroutine
from typing import Any, TypeVar

from fastapi import APIRouter, Request, Response

from gateway import problems
from gateway.answers import BatchAnswer, FailedAnswer, PageAnswer, batch_answer, page_answer
from gateway.dependencies import Caller, Shared
from gateway.formats import formatted
from gateway.options import OcrOptions, OutputFormat
from gateway.uploads import read_submission

_Result = TypeVar("_Result")

router = APIRouter(tags=["ocr"])

_FILES = {"type": "array", "items": {"type": "string", "format": "binary"}}
_BASE64 = {"type": "string", "format": "byte"}
_WHOLE = {"schema": {"type": "string", "format": "binary"}}


def body_schema() -> dict[str, Any]:
    """Of the OpenAPI description: the ways in which files and options are accepted."""
    fields = _resolved(OcrOptions.model_json_schema())["properties"]
    as_form = {"type": "object", "properties": {"file": _FILES, **fields}}
    as_json = {
        "type": "object",
        "properties": {"image": _BASE64, "images": {"type": "array", "items": _BASE64}, **fields},
    }
    return {
        "requestBody": {
            "required": True,
            "content": {
                "multipart/form-data": {"schema": as_form},
                "application/json": {"schema": as_json},
                "image/*": _WHOLE,
                "application/pdf": _WHOLE,
            },
        }
    }


def _resolved(schema: dict[str, Any]) -> Any:  # noqa: ANN401 - any JSON
    """The schema with its definitions where they are used."""
    definitions = schema.pop("$defs", {})

    def resolve(value: Any) -> Any:  # noqa: ANN401 - any JSON
        if isinstance(value, list):
            return [resolve(item) for item in value]
        if not isinstance(value, dict):
            return value
        own = {name: resolve(item) for name, item in value.items() if name != "$ref"}
        return {**resolve(definitions[value["$ref"].rpartition("/")[2]]), **own} if "$ref" in value else own

    return resolve(schema)


@router.post("/ocr", include_in_schema=False)
@router.post(
    "/api/ocr",
    responses=problems.RESPONSES | {200: {"model": PageAnswer | BatchAnswer}},
    openapi_extra=body_schema(),
)
async def ocr(request: Request, gateway: Shared, caller: Caller) -> Response:
    """Read one or several images, or the pages of a document.

    One image is answered with a PageAnswer; several, or the pages of a document, with a BatchAnswer. Files come as
    parts of a form, in Base64 as `image` or `images` of a JSON object, or one as the whole body; options as fields
    beside them, or in the query.
    """
    del caller
    arrived = time.perf_counter()
    submission = await read_submission(request, gateway.settings.max_batch_items)
    options = submission.options(OcrOptions)
    pages = await _unless_gone(request, gateway.reader.read(submission.uploads, options))
    if options.format is not OutputFormat.JSON:
        return await formatted(pages, options.format, submission.uploads, gateway.pdfs, options.password)
    if submission.is_batch or len(pages) > 1:
        return _json(batch_answer(pages, time.perf_counter() - arrived, plain=options.plain))
    answer = page_answer(pages[0], plain=options.plain)
    return problems.answer(answer.error) if isinstance(answer, FailedAnswer) else _json(answer)


async def _unless_gone(request: Request, work: Coroutine[Any, Any, _Result]) -> _Result:
    """Do the work, and drop it when the caller goes away. Raises ProblemError then, which nobody sees."""
    working = asyncio.create_task(work)
    # The body has been read: what comes next is the end of the connection.
    leaving = asyncio.ensure_future(request.receive())
    try:
        await asyncio.wait((working, leaving), return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            raise problems.refused(499, "CANCELLED", "the caller has gone away")
        return working.result()
    finally:
        working.cancel()
        leaving.cancel()


def _json(answer: PageAnswer | BatchAnswer) -> Response:
    return Response(answer.model_dump_json(exclude_none=True), media_type="application/json")
