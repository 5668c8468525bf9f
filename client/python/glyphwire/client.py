"""OcrClient: the blocking client."""

from __future__ import annotations

import itertools
import time
from collections.abc import Generator, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Generic, TypeVar

import grpc

from glyphwire import _channel, _faults, _requests, _responses
from glyphwire._resend import ResendBuffer
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


class OcrClient:
    """Reads text through a Glyphwire server. May be shared by threads; close it, or use it as a context manager.

    target: "host:port" or "unix:path".
    timeout_s, stream_timeout_s: deadline of each call, of each stream; calls can choose their own.
    max_attempts: how often a unary call is tried while the server is unavailable, 1 to 5, within its deadline.
    tls: None for a plain connection.
    token: names this caller to servers that ask for one. Raises ValueError where it would cross a network in plain
    text, unless allow_plaintext_token says that something else encrypts.

    Every method raises OcrError when its call fails or a value is out of all range, and OSError when an image is a path
    that cannot be read.
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
        self._metadata = _channel.call_metadata(
            target, token, is_encrypted=tls is not None, allow_plaintext=allow_plaintext_token
        )
        self._channel = _channel.open_channel(target, max_attempts, tls)
        self._stub = ocr_pb2_grpc.OcrServiceStub(self._channel)
        self._options = _requests.OptionsMessages()
        self._timeout_s = timeout_s
        self._stream_timeout_s = stream_timeout_s

    def recognize(
        self, image: ImageSource, options: RecognizeOptions | None = None, *, timeout_s: float | None = None
    ) -> Recognition:
        """Read one image: a path, the bytes of a file, a RawImage or a NumPy array (RGB)."""
        request = _requests.recognize_request(image, self._options.of(options))
        return _responses.recognition(self._call(self._stub.Recognize, request, timeout_s).recognition)

    def recognize_batch(
        self, images: Sequence[ImageSource], options: RecognizeOptions | None = None, *, timeout_s: float | None = None
    ) -> list[Recognition | OcrError]:
        """Read several images in one call. One outcome per image, in order; a bad image yields an OcrError there."""
        request = _requests.batch_request(images, self._options.of(options))
        return _responses.batch(self._call(self._stub.BatchRecognize, request, timeout_s))

    def stream(
        self,
        frames: Iterable[Frame | ImageSource],
        options: RecognizeOptions | None = None,
        *,
        stream_options: StreamOptions | None = None,
        timeout_s: float | None = None,
        resume: bool = False,
    ) -> Generator[FrameResult, None, None]:
        """Read frames as they come; yields one result per frame, in their order, while later frames are being sent.

        An image that is no Frame gets its position as frame_id. `frames` is consumed in a thread of its own, as fast as
        the server takes them. What `frames` raises is raised here after the results of the frames before it. Closing
        the generator cancels the stream, and so does leaving it behind.

        stream_options: which frames are read, and whether unchanged ones are skipped and readings merged.
        resume: when the server becomes unavailable, open the stream again and send the frames that have no result yet,
        of which 16 are kept; for up to a minute without any result. A frame may be read twice, it has one result.
        Voting starts anew then.
        """
        timeout_s = _channel.chosen(timeout_s, self._stream_timeout_s)
        config = _requests.config_request(self._options.of(options), stream_options or StreamOptions())
        return self._resumed(frames, config, timeout_s) if resume else self._streamed(frames, config, timeout_s)

    def recognize_document(
        self,
        document: DocumentSource,
        options: RecognizeOptions | None = None,
        *,
        document_options: DocumentOptions | None = None,
        timeout_s: float | None = None,
    ) -> Generator[DocumentPage, None, None]:
        """Read a PDF, a TIFF of several pages or any image file; yields one result per page, as soon as it is read.

        document: a path, the bytes of a file, or an open file, which is closed when it has been read. It is sent bit by
        bit. Closing the generator cancels the rest. The deadline is that of streams.

        document_options: which pages, how they are rendered, and what becomes of text that a PDF already has.
        """
        config = _requests.document_config_request(self._options.of(options), document_options or DocumentOptions())
        return self._pages(document, config, _channel.chosen(timeout_s, self._stream_timeout_s))

    def list_models(self, *, timeout_s: float | None = None) -> tuple[Model, ...]:
        """The models that RecognizeOptions.model can name, sorted by name."""
        return _responses.models(self._call(self._stub.ListModels, ocr_pb2.ListModelsRequest(), timeout_s))

    def wait_ready(self, timeout_s: float | None = None) -> None:
        """Wait until the server says that it serves. Raises OcrError when it does not in time."""
        timeout_s = _channel.chosen(timeout_s, self._timeout_s)
        deadline = time.monotonic() + timeout_s
        with _faults.ready_within(timeout_s):
            while not self._is_serving(deadline - time.monotonic()):
                time.sleep(_channel.HEALTH_POLL_S)

    def close(self) -> None:
        """Close the connection; running calls are cancelled."""
        self._channel.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def _streamed(
        self, frames: Iterable[Frame | ImageSource], config: ocr_pb2.StreamRecognizeRequest, timeout_s: float
    ) -> Generator[FrameResult, None, None]:
        outgoing = _Outgoing(itertools.chain([config], _frame_requests(frames)))
        yield from self._results(outgoing, timeout_s)
        outgoing.raise_error()

    def _pages(
        self, document: DocumentSource, config: ocr_pb2.RecognizeDocumentRequest, timeout_s: float
    ) -> Generator[DocumentPage, None, None]:
        with _requests.opened(document) as file:
            outgoing = _Outgoing(itertools.chain([config], _requests.chunk_requests(file)))
            call = self._stub.RecognizeDocument(outgoing, timeout=max(timeout_s, 0), metadata=self._metadata)
            try:
                with _faults.translated():
                    yield from map(_responses.document_page, call)
            except OcrError:
                # A file that could not be read to its end is a bad document to the server.
                outgoing.raise_error()
                raise
            finally:
                call.cancel()
            outgoing.raise_error()

    def _resumed(
        self, frames: Iterable[Frame | ImageSource], config: ocr_pb2.StreamRecognizeRequest, timeout_s: float
    ) -> Generator[FrameResult, None, None]:
        deadline = time.monotonic() + timeout_s
        patience = _channel.ResumePatience()
        buffer = ResendBuffer(frames)
        try:
            while True:
                try:
                    for result in self._results(buffer.start_call(config), deadline - time.monotonic()):
                        buffer.drop_first()
                        patience.got_result()
                        yield result
                    break
                except OcrError as error:
                    time.sleep(patience.wait_s(error))
        finally:
            buffer.close()
        if buffer.error is not None:
            raise buffer.error

    def _results(
        self, messages: Iterator[ocr_pb2.StreamRecognizeRequest], timeout_s: float
    ) -> Generator[FrameResult, None, None]:
        call = self._stub.StreamRecognize(messages, timeout=max(timeout_s, 0), metadata=self._metadata)
        try:
            with _faults.translated():
                yield from map(_responses.frame_result, call)
        finally:
            call.cancel()

    def _call(
        self, method: grpc.UnaryUnaryMultiCallable[_Request, _Response], request: _Request, timeout_s: float | None
    ) -> _Response:
        try:
            return method(request, timeout=_channel.chosen(timeout_s, self._timeout_s), metadata=self._metadata)
        except grpc.RpcError as error:
            raise _faults.from_call(error) from error

    def _is_serving(self, timeout_s: float) -> bool:
        check: grpc.UnaryUnaryMultiCallable[bytes, bytes] = self._channel.unary_unary(_channel.HEALTH_METHOD)
        try:
            answer = check(_channel.HEALTH_REQUEST, timeout=max(timeout_s, 0), wait_for_ready=True)
        except grpc.RpcError as error:
            if error.code() is grpc.StatusCode.UNAVAILABLE:
                return False
            raise
        return answer == _channel.HEALTH_SERVING


class _Outgoing(Generic[_Request]):
    """The messages of a stream. Keeps what the caller's iterator raises: gRPC would only log it, in another thread."""

    def __init__(self, messages: Iterator[_Request]) -> None:
        self._messages = messages
        self._error: Exception | None = None

    def __iter__(self) -> Iterator[_Request]:
        return self

    def __next__(self) -> _Request:
        try:
            return next(self._messages)
        except StopIteration:
            raise
        except Exception as error:
            self._error = error
            raise StopIteration from error

    def raise_error(self) -> None:
        """What the caller's iterator has raised, if it has."""
        if self._error is not None:
            raise self._error


def _frame_requests(frames: Iterable[Frame | ImageSource]) -> Iterator[ocr_pb2.StreamRecognizeRequest]:
    return (_requests.frame_request(frame, position) for position, frame in enumerate(frames))
