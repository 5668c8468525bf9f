"""Requests -> files and options, whichever way they were sent: a form, a JSON object, or the bytes of one file."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import pydantic
from fastapi import Request
from pydantic import BaseModel, ConfigDict, Field
from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException

from gateway.problems import invalid, refused

_Options = TypeVar("_Options", bound=BaseModel)

_BODY_S = 120.0
_FORM = "multipart/form-data"
_JSON = "application/json"
_DATA_URL = "data:"
_FILE_FIELDS = ("file", "files", "image", "images")

_DOCUMENT_STARTS = (b"%PDF-", b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_PDF_WITHIN = 1024


@dataclass(frozen=True, slots=True)
class Upload:
    """One file. name: as its sender calls it, or None."""

    name: str | None
    content: bytes

    @property
    def has_pages(self) -> bool:
        """Whether it is a PDF or a TIFF: a PDF may begin with other bytes, as readers of PDFs allow."""
        return self.content.startswith(_DOCUMENT_STARTS) or b"%PDF-" in self.content[:_PDF_WITHIN]


class JsonUpload(BaseModel):
    """Files as text. Addresses of files elsewhere are not fetched."""

    model_config = ConfigDict(frozen=True, extra="allow")

    image: str | None = Field(None, description="one file in Base64, or as a data: URL")
    images: list[str] = Field([], description="several")


@dataclass(frozen=True, slots=True)
class Submission:
    """What one request asks to be read. is_batch: it named several files, even if there was one in the list."""

    uploads: tuple[Upload, ...]
    fields: Mapping[str, Any]
    is_batch: bool

    def options(self, kind: type[_Options]) -> _Options:
        """The fields beside the files. Raises ProblemError."""
        try:
            return kind(**self.fields)
        except pydantic.ValidationError as error:
            raise invalid(error.errors()) from None


async def read_submission(request: Request, max_files: int) -> Submission:
    """Options of the query hold where the body has none. Raises ProblemError, also when the body does not come."""
    try:
        async with asyncio.timeout(_BODY_S):
            return await _submission(request, max_files)
    except TimeoutError:
        raise refused(408, "DEADLINE_EXPIRED", f"the request took more than {_BODY_S:.0f} s to arrive") from None


async def _submission(request: Request, max_files: int) -> Submission:
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    query = dict(request.query_params)
    if kind == _FORM:
        return await _from_form(request, query, max_files)
    body = await request.body()
    if kind == _JSON:
        return _from_json(body, query, max_files)
    if not body:
        raise refused(400, "REQUEST_INVALID", "there is no file: send a form, a JSON object, or the bytes of a file")
    return Submission((Upload(None, body),), query, is_batch=False)


async def _from_form(request: Request, query: Mapping[str, str], max_files: int) -> Submission:
    uploads: list[Upload] = []
    fields: dict[str, Any] = dict(query)
    names: set[str] = set()
    try:
        async with request.form(max_files=max_files, max_part_size=2**20) as form:
            for name, value in form.multi_items():
                if isinstance(value, UploadFile):
                    names.add(name)
                    uploads.append(Upload(value.filename or None, await value.read()))
                else:
                    fields[name] = value
    except MultiPartException as error:
        raise refused(400, "REQUEST_INVALID", error.message) from None
    if unknown := names - set(_FILE_FIELDS):
        raise refused(400, "REQUEST_INVALID", f"files belong into {', '.join(_FILE_FIELDS)}", min(unknown))
    _check_count(uploads, max_files)
    return Submission(tuple(uploads), fields, is_batch=len(uploads) > 1 or bool(names & {"files", "images"}))


def _from_json(body: bytes, query: Mapping[str, str], max_files: int) -> Submission:
    try:
        fields = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise refused(400, "REQUEST_INVALID", f"the body is no JSON: {error}") from None
    if not isinstance(fields, dict):
        raise refused(400, "REQUEST_INVALID", "the body must be a JSON object")
    try:
        sent = JsonUpload.model_validate({name: fields[name] for name in ("image", "images") if name in fields})
    except pydantic.ValidationError as error:
        raise invalid(error.errors()) from None
    texts = [*([] if sent.image is None else [sent.image]), *sent.images]
    _check_count(texts, max_files)
    uploads = tuple(Upload(None, _decoded(text)) for text in texts)
    options = {name: value for name, value in fields.items() if name not in JsonUpload.model_fields}
    return Submission(uploads, {**query, **options}, is_batch="images" in fields)


def _decoded(text: str) -> bytes:
    if text.startswith(_DATA_URL):
        text = text.partition(",")[2]
    try:
        return base64.b64decode(text, validate=True)
    except ValueError as error:  # of characters beyond ASCII not even binascii.Error
        hint = "; addresses of files are not fetched" if "://" in text[:20] else ""
        raise refused(400, "REQUEST_INVALID", f"an image is no Base64: {error}{hint}", "image") from None


def _check_count(files: list[Upload] | list[str], most: int) -> None:
    if not files:
        raise refused(400, "REQUEST_INVALID", f"there is no file: it belongs into {', '.join(_FILE_FIELDS)}")
    if len(files) > most:
        raise refused(413, "BATCH_TOO_LARGE", f"there are {len(files)} files, at most {most} are accepted")
