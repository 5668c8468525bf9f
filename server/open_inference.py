"""The Open Inference Protocol beside our own contract: the same work, asked for and answered in tensors."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from importlib.metadata import version
from typing import Any

import grpc.aio

from ocr_core.errors import InputError, ModelNotFound
from ocr_core.types import ModelInfo, Recognition
from server import convert, parameters, tensors
from server.admission import draining
from server.batcher import Batcher
from server.calls import note_item
from server.errors import Draining
from server.faults import fault_of
from server.identity import sharer_of
from server.logs import log_our_fault
from server.request import Job
from server.servicer import check_count, deadline
from server.settings import Settings
from server.stubs import open_inference_pb2 as pb2
from server.stubs import open_inference_pb2_grpc as pb2_grpc

_Context = grpc.aio.ServicerContext[Any, Any]

_NAME = "glyphwire"
_PLATFORM = "glyphwire_ocr"


class OpenInferenceServicer(pb2_grpc.GRPCInferenceServiceServicer):
    """inference.GRPCInferenceService."""

    def __init__(self, batcher: Batcher, settings: Settings) -> None:
        self._batcher = batcher
        self._settings = settings

    async def ServerLive(  # noqa: N802 - named by the protocol
        self, request: pb2.ServerLiveRequest, context: _Context
    ) -> pb2.ServerLiveResponse:
        """Who answers is alive."""
        del request, context
        return pb2.ServerLiveResponse(live=True)

    async def ServerReady(  # noqa: N802 - named by the protocol
        self, request: pb2.ServerReadyRequest, context: _Context
    ) -> pb2.ServerReadyResponse:
        """Say what health says."""
        del request, context
        return pb2.ServerReadyResponse(ready=self._batcher.is_ready)

    async def ModelReady(  # noqa: N802 - named by the protocol
        self, request: pb2.ModelReadyRequest, context: _Context
    ) -> pb2.ModelReadyResponse:
        """Look for a model, without waiting for it."""
        del context
        if not self._batcher.is_ready:
            return pb2.ModelReadyResponse(ready=False)
        models = await self._batcher.models()
        return pb2.ModelReadyResponse(ready=_named(models, request.name, request.version) is not None)

    async def ServerMetadata(  # noqa: N802 - named by the protocol
        self, request: pb2.ServerMetadataRequest, context: _Context
    ) -> pb2.ServerMetadataResponse:
        """Name the server."""
        del request, context
        return pb2.ServerMetadataResponse(name=_NAME, version=version("glyphwire-server"))

    async def ModelMetadata(  # noqa: N802 - named by the protocol
        self, request: pb2.ModelMetadataRequest, context: _Context
    ) -> pb2.ModelMetadataResponse:
        """Describe a model, once it is loaded."""
        del context
        models = await self._batcher.models()
        found = _named(models, request.name, request.version)
        if found is None:
            raise ModelNotFound(f"no model {parameters.model(request.name, request.version)!r} is loaded", "name")
        return pb2.ModelMetadataResponse(
            name=found.name,
            versions=[model.version for model in models if model.name == found.name],
            platform=_PLATFORM,
            inputs=tensors.input_metadata(),
            outputs=tensors.output_metadata(),
        )

    async def ModelInfer(  # noqa: N802 - named by the protocol
        self, request: pb2.ModelInferRequest, context: _Context
    ) -> pb2.ModelInferResponse:
        """Read the images of one tensor."""
        tensor = tensors.image_tensor(request)
        check_count(tensor.count, self._settings, "inputs.shape")
        outputs = tensors.requested_outputs(request)
        message = parameters.options(request)
        options, priority = convert.options(message), convert.priority(message)
        jobs = [Job(image, options, priority) for image in tensor.images()]
        until = deadline(context, min(parameters.timeout_s(request), self._settings.max_deadline_s))
        outcomes = await self._batcher.submit_all(jobs, until, sharer_of(context))
        return tensors.response(request, outputs, _all_read(outcomes))

    async def ModelStreamInfer(  # noqa: N802 - named by the protocol
        self, request_iterator: AsyncIterator[pb2.ModelInferRequest], context: _Context
    ) -> AsyncGenerator[pb2.ModelStreamInferResponse, None]:
        """Read one request after the other; what goes wrong with one of them is its answer."""
        with self._batcher.stream(sharer_of(context)):
            while (request := await self._next(request_iterator)) is not None:
                yield await self._stream_response(request, context)

    async def _next(self, requests: AsyncIterator[pb2.ModelInferRequest]) -> pb2.ModelInferRequest | None:
        """None after the last. Raises Draining, as a caller who sends nothing would keep the server from stopping."""
        coming = asyncio.ensure_future(anext(requests, None))
        try:
            await asyncio.wait((coming, self._batcher.draining), return_when=asyncio.FIRST_COMPLETED)
            if not coming.done():
                raise draining()
            return coming.result()
        finally:
            coming.cancel()

    async def _stream_response(self, request: pb2.ModelInferRequest, context: _Context) -> pb2.ModelStreamInferResponse:
        """Raises Draining."""
        try:
            return pb2.ModelStreamInferResponse(infer_response=await self.ModelInfer(request, context))
        except Draining:
            raise
        except Exception as error:  # noqa: BLE001 - sent as the request's outcome; the stream goes on
            log_our_fault(error)
            note_item(error)
            without = pb2.ModelInferResponse(id=request.id)
            return pb2.ModelStreamInferResponse(error_message=fault_of(error).message, infer_response=without)


def _named(models: tuple[ModelInfo, ...], name: str, version: str) -> ModelInfo | None:
    """The model that a request means, if there is one."""
    key = parameters.model(name, version)
    return next((model for model in models if key in model.names or (not key and model.is_default)), None)


def _all_read(outcomes: list[Recognition | BaseException]) -> list[Recognition]:
    """Raises what went wrong first: the protocol has no answer for a part of the images."""
    read: list[Recognition] = []
    for number, outcome in enumerate(outcomes):
        if isinstance(outcome, InputError) and outcome.field.startswith("image") and len(outcomes) > 1:
            raise type(outcome)(f"image {number}: {outcome.message}", outcome.field) from outcome
        if isinstance(outcome, BaseException):
            raise outcome
        read.append(outcome)
    for recognition in read:
        note_item(recognition)
    return read
