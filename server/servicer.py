"""One short method per RPC: convert, await the batcher, convert."""

from __future__ import annotations

import math
import time
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from typing import Any

import grpc.aio
from glyphwire.v1 import ocr_pb2, ocr_pb2_grpc

from ocr_core.errors import InputError
from ocr_core.types import Recognition
from server import convert
from server.batcher import Batcher
from server.calls import note_item
from server.document_stream import DocumentStream
from server.errors import BatchTooLarge, DeadlineExpired, RequestInvalid
from server.frame_stream import FrameStream
from server.identity import sharer_of
from server.logs import log_our_fault
from server.request import Job
from server.settings import Settings

_Context = grpc.aio.ServicerContext[Any, Any]


class OcrServicer(ocr_pb2_grpc.OcrServiceServicer):
    """glyphwire.v1.OcrService."""

    def __init__(self, batcher: Batcher, settings: Settings) -> None:
        self._batcher = batcher
        self._settings = settings

    async def Recognize(  # noqa: N802 - named by the contract
        self, request: ocr_pb2.RecognizeRequest, context: _Context
    ) -> ocr_pb2.RecognizeResponse:
        """Read one image."""
        recognition = await self._batcher.submit(convert.job(request), self._deadline(context), sharer_of(context))
        return convert.recognize_response(recognition)

    async def BatchRecognize(  # noqa: N802 - named by the contract
        self, request: ocr_pb2.BatchRecognizeRequest, context: _Context
    ) -> ocr_pb2.BatchRecognizeResponse:
        """Read several images; a bad item yields an error in its place."""
        check_count(len(request.requests), self._settings, "requests")
        items = [_job_or_error(item) for item in request.requests]
        jobs = [item for item in items if isinstance(item, Job)]
        read = iter(await self._batcher.submit_all(jobs, self._deadline(context), sharer_of(context)))
        outcomes = [_item_outcome(next(read) if isinstance(item, Job) else item) for item in items]
        return convert.batch_response(outcomes)

    async def StreamRecognize(  # noqa: N802 - named by the contract
        self, request_iterator: AsyncIterator[ocr_pb2.StreamRecognizeRequest], context: _Context
    ) -> AsyncGenerator[ocr_pb2.StreamRecognizeResponse, None]:
        """Read frames as they come; a bad frame yields an error in its place."""
        stream = FrameStream(request_iterator, self._batcher, self._settings, sharer_of(context))
        async with aclosing(stream.responses()) as responses:
            async for response in responses:
                yield response

    async def RecognizeDocument(  # noqa: N802 - named by the contract
        self, request_iterator: AsyncIterator[ocr_pb2.RecognizeDocumentRequest], context: _Context
    ) -> AsyncGenerator[ocr_pb2.RecognizeDocumentResponse, None]:
        """Read a document; a bad page yields an error in its place."""
        left = context.time_remaining()
        until = math.inf if left is None else time.monotonic() + left
        stream = DocumentStream(request_iterator, self._batcher, self._settings, sharer_of(context), until)
        async with aclosing(stream.responses()) as responses:
            async for response in responses:
                yield response

    async def ListModels(  # noqa: N802 - named by the contract
        self, request: ocr_pb2.ListModelsRequest, context: _Context
    ) -> ocr_pb2.ListModelsResponse:
        """Name the models."""
        del request, context
        return convert.models_response(await self._batcher.models())

    def _deadline(self, context: _Context) -> float:
        return deadline(context, self._settings.max_deadline_s)


def deadline(context: _Context, most_s: float) -> float:
    """The caller's, but no later than in `most_s` seconds; a time of time.monotonic()."""
    left = context.time_remaining()
    return time.monotonic() + (most_s if left is None else min(left, most_s))


def check_count(count: int, settings: Settings, field: str) -> None:
    """Raises RequestInvalid or BatchTooLarge. field: where the caller says how many there are."""
    if count == 0:
        raise RequestInvalid("the batch has no items", field)
    if count > settings.max_batch_items:
        raise BatchTooLarge(f"the batch has {count} items, at most {settings.max_batch_items} are accepted", field)


def _job_or_error(request: ocr_pb2.RecognizeRequest) -> Job | InputError:
    try:
        return convert.job(request)
    except InputError as error:
        return error


def _item_outcome(outcome: Recognition | BaseException) -> Recognition | BaseException:
    """Late is late for the whole call; what else goes wrong is the item's own affair."""
    if isinstance(outcome, DeadlineExpired):
        raise outcome
    if isinstance(outcome, BaseException):
        log_our_fault(outcome)
    note_item(outcome)
    return outcome
