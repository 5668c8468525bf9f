"""AsyncOcrClient: the client for asyncio."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Coroutine, Iterable, Sequence
from contextlib import aclosing
from typing import TYPE_CHECKING, Any, Generic, TypeVar, cast

import grpc
import grpc.aio

from glyphwire import _channel, _faults, _requests, _responses
from glyphwire._resend import AsyncResendBuffer
from glyphwire.documents import DocumentOptions, DocumentPage
from glyphwire.errors import OcrError
from glyphwire.types import Frame, FrameResult, Model, Recognition, RecognizeOptions, StreamOptions
from glyphwire.v1 import ocr_pb2, ocr_pb2_grpc

if TYPE_CHECKING:
    from types import TracebackType

    from typing_extensions import Self  # noqa: UP035 - typing has it from Python 3.11 on

    from glyphwire.documents import DocumentSource
    from glyphwire.types import ImageSource, Tls

_Request = TypeVar("_Request")
_Response = TypeVar("_Response")
_Item = TypeVar("_Item")

_NOT_SENT = "Internal error from Core"
_STATUS_S = 1.0


class AsyncOcrClient:
    """OcrClient for asyncio: the same methods and arguments, awaited. Construct it inside a running event loop.

    Cancelling a method's task cancels its call, and the server drops the work.
    """

    def __init__(
        self,
        target: str,
        *,
        timeout_s: float = _channel.TIMEOUT_S,
        stream_timeout_s: float = _channel.STREAM_TIMEOUT_S,
        max_attempts: int = 3,
        tls: Tls | None = None,
        token: str | None = None,
        allow_plaintext_token: bool = False,
    ) -> None:
        options = _channel.channel_options(target, max_attempts, tls)
        self._metadata = _channel.call_metadata(
            target, token, is_encrypted=tls is not None, allow_plaintext=allow_plaintext_token
        )
        if tls is None:
            self._channel = grpc.aio.insecure_channel(target, options)
        else:
            self._channel = grpc.aio.secure_channel(target, _channel.credentials(tls), options)
        self._stub = ocr_pb2_grpc.OcrServiceStub(self._channel)
        self._options = _requests.OptionsMessages()
        self._timeout_s = timeout_s
        self._stream_timeout_s = stream_timeout_s

    async def recognize(
        self, image: ImageSource, options: RecognizeOptions | None = None, *, timeout_s: float | None = None
    ) -> Recognition:
        """Read one image: a path, the bytes of a file, a RawImage or a NumPy array (RGB)."""
        request = _requests.recognize_request(image, self._options.of(options))
        response = await self._call(self._stub.Recognize, request, timeout_s)
        return _responses.recognition(response.recognition)

    async def recognize_batch(
        self, images: Sequence[ImageSource], options: RecognizeOptions | None = None, *, timeout_s: float | None = None
    ) -> list[Recognition | OcrError]:
        """Read several images in one call. One outcome per image, in order; a bad image yields an OcrError there."""
        request = _requests.batch_request(images, self._options.of(options))
        return _responses.batch(await self._call(self._stub.BatchRecognize, request, timeout_s))

    def stream(
        self,
        frames: AsyncIterable[Frame | ImageSource] | Iterable[Frame | ImageSource],
        options: RecognizeOptions | None = None,
        *,
        stream_options: StreamOptions | None = None,
        timeout_s: float | None = None,
        resume: bool = False,
    ) -> AsyncGenerator[FrameResult, None]:
        """Read frames as they come; yields one result per frame, in their order, while later frames are being sent.

        An image that is no Frame gets its position as frame_id. `frames` is consumed as fast as the server takes them.
        What `frames` raises is raised here after the results of the frames before it. Closing the generator
        (contextlib.aclosing) cancels the stream. stream_options, resume: as in OcrClient.stream.
        """
        timeout_s = _channel.chosen(timeout_s, self._stream_timeout_s)
        config = _requests.config_request(self._options.of(options), stream_options or StreamOptions())
        if resume:
            return self._resumed(_each(frames), config, timeout_s)
        return self._streamed(_each(frames), config, timeout_s)

    def recognize_document(
        self,
        document: DocumentSource,
        options: RecognizeOptions | None = None,
        *,
        document_options: DocumentOptions | None = None,
        timeout_s: float | None = None,
    ) -> AsyncGenerator[DocumentPage, None]:
        """Read a PDF, a TIFF of several pages or any image file; yields one result per page, as soon as it is read.

        Closing the generator (contextlib.aclosing) cancels the rest. Everything else is as in
        OcrClient.recognize_document.
        """
        config = _requests.document_config_request(self._options.of(options), document_options or DocumentOptions())
        return self._pages(document, config, _channel.chosen(timeout_s, self._stream_timeout_s))

    async def list_models(self, *, timeout_s: float | None = None) -> tuple[Model, ...]:
        """The models that RecognizeOptions.model can name, sorted by name."""
        return _responses.models(await self._call(self._stub.ListModels, ocr_pb2.ListModelsRequest(), timeout_s))

    async def wait_ready(self, timeout_s: float | None = None) -> None:
        """Wait until the server says that it serves. Raises OcrError when it does not in time."""
        timeout_s = _channel.chosen(timeout_s, self._timeout_s)
        deadline = time.monotonic() + timeout_s
        with _faults.ready_within(timeout_s):
            while not await self._is_serving(deadline - time.monotonic()):  # noqa: ASYNC110 - another process's state
                await asyncio.sleep(_channel.HEALTH_POLL_S)

    async def close(self) -> None:
        """Close the connection; running calls are cancelled."""
        await self._channel.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()

    async def _streamed(
        self, frames: AsyncIterator[Frame | ImageSource], config: ocr_pb2.StreamRecognizeRequest, timeout_s: float
    ) -> AsyncGenerator[FrameResult, None]:
        outgoing = _Outgoing(config, _frame_requests(frames))
        async with aclosing(self._results(aiter(outgoing), timeout_s)) as results:
            async for result in results:
                yield result
        outgoing.raise_error()

    async def _pages(
        self, document: DocumentSource, config: ocr_pb2.RecognizeDocumentRequest, timeout_s: float
    ) -> AsyncGenerator[DocumentPage, None]:
        with _requests.opened(document) as file:
            outgoing = _Outgoing(config, _each(_requests.chunk_requests(file)))
            call = self._stub.RecognizeDocument(aiter(outgoing), timeout=max(timeout_s, 0), metadata=self._metadata)
            try:
                async with aclosing(_received(call)) as responses:
                    async for response in responses:
                        yield _responses.document_page(response)
            except OcrError:
                # A file that could not be read to its end is a bad document to the server.
                outgoing.raise_error()
                raise
            outgoing.raise_error()

    async def _resumed(
        self, frames: AsyncIterator[Frame | ImageSource], config: ocr_pb2.StreamRecognizeRequest, timeout_s: float
    ) -> AsyncGenerator[FrameResult, None]:
        deadline = time.monotonic() + timeout_s
        patience = _channel.ResumePatience()
        buffer = AsyncResendBuffer(frames)
        try:
            while True:
                try:
                    messages = buffer.start_call(config)
                    async with aclosing(self._results(messages, deadline - time.monotonic())) as results:
                        async for result in results:
                            buffer.drop_first()
                            patience.got_result()
                            yield result
                    break
                except OcrError as error:
                    await asyncio.sleep(patience.wait_s(error))
        finally:
            await buffer.close()
        if buffer.error is not None:
            raise buffer.error

    async def _results(
        self, messages: AsyncIterator[ocr_pb2.StreamRecognizeRequest], timeout_s: float
    ) -> AsyncGenerator[FrameResult, None]:
        call = self._stub.StreamRecognize(messages, timeout=max(timeout_s, 0), metadata=self._metadata)
        async with aclosing(_received(call)) as responses:
            async for response in responses:
                yield _responses.frame_result(response)

    async def _call(
        self, method: grpc.aio.UnaryUnaryMultiCallable[_Request, _Response], request: _Request, timeout_s: float | None
    ) -> _Response:
        try:
            return await method(request, timeout=_channel.chosen(timeout_s, self._timeout_s), metadata=self._metadata)
        except grpc.RpcError as error:
            raise _faults.from_call(error) from error

    async def _is_serving(self, timeout_s: float) -> bool:
        check: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes] = self._channel.unary_unary(_channel.HEALTH_METHOD)
        try:
            answer = await check(_channel.HEALTH_REQUEST, timeout=max(timeout_s, 0), wait_for_ready=True)
        except grpc.RpcError as error:
            if error.code() is grpc.StatusCode.UNAVAILABLE:
                return False
            raise
        return answer == _channel.HEALTH_SERVING


class _StreamEnd:
    """With what status the server ended a stream.

    gRPC puts INTERNAL in its place, before or after it has come, when a message is being sent at that moment
    (github.com/grpc/grpc/issues/36066), but calls back each time.
    """

    def __init__(self, call: grpc.aio.StreamStreamCall[Any, Any]) -> None:
        self._told: asyncio.Future[grpc.aio.AioRpcError] = asyncio.get_running_loop().create_future()
        call.add_done_callback(self._note)

    async def told(self, error: grpc.aio.AioRpcError) -> grpc.aio.AioRpcError:
        """The server's own status for the one that was raised; that one when the server told none."""
        if error.details() != _NOT_SENT:
            return error
        done, _ = await asyncio.wait([self._told], timeout=_STATUS_S)
        return self._told.result() if done else error

    def _note(self, call: grpc.aio.StreamStreamCall[Any, Any]) -> None:
        details = _now(call.details())
        if details != _NOT_SENT and not self._told.done():
            metadata = grpc.aio.Metadata(*_now(call.trailing_metadata()))
            self._told.set_result(grpc.aio.AioRpcError(_now(call.code()), metadata, metadata, details))


def _now(status: Coroutine[Any, Any, _Item]) -> _Item:
    """A part of the status of a call that has ended, before another can take its place."""
    try:
        status.send(None)
    except StopIteration as stopped:
        return cast(_Item, stopped.value)
    raise RuntimeError("the call has not ended")


async def _received(call: grpc.aio.StreamStreamCall[Any, _Response]) -> AsyncGenerator[_Response, None]:
    """The responses of a call, which is cancelled when they are left. Raises OcrError."""
    end = _StreamEnd(call)
    try:
        async for response in call:
            yield response
    except grpc.aio.AioRpcError as error:
        raise _faults.from_call(await end.told(error)) from error
    finally:
        call.cancel()


class _Outgoing(Generic[_Request]):
    """The messages of a stream. Keeps what the caller's iterator raises: gRPC would only cancel the call."""

    def __init__(self, config: _Request, messages: AsyncIterator[_Request]) -> None:
        self._config = config
        self._messages = messages
        self._error: Exception | None = None

    async def __aiter__(self) -> AsyncIterator[_Request]:
        yield self._config
        try:
            async for message in self._messages:
                yield message
        except Exception as error:  # noqa: BLE001 - raised again in the caller's task
            self._error = error

    def raise_error(self) -> None:
        """What the caller's iterator has raised, if it has."""
        if self._error is not None:
            raise self._error


async def _frame_requests(frames: AsyncIterator[Frame | ImageSource]) -> AsyncIterator[ocr_pb2.StreamRecognizeRequest]:
    position = 0
    async for frame in frames:
        yield _requests.frame_request(frame, position)
        position += 1


async def _each(items: AsyncIterable[_Item] | Iterable[_Item]) -> AsyncIterator[_Item]:
    if isinstance(items, AsyncIterable):
        async for item in items:
            yield item
    else:
        for item in items:
            yield item
