"""Requests in few words."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncGenerator, Callable, Coroutine
from pathlib import Path
from typing import Any

import grpc
import pytest
from glyphwire.aio import _StreamEnd
from glyphwire.v1 import ocr_pb2
from google.rpc import error_details_pb2
from grpc_status import rpc_status

from ocr_core.errors import InputError, OcrError
from server.errors import Unavailable
from tests.server.fake_stages import FakeStages


def request(text: str | bytes, **options: Any) -> ocr_pb2.RecognizeRequest:
    """One image for Recognize."""
    content = text.encode() if isinstance(text, str) else text
    return ocr_pb2.RecognizeRequest(image=ocr_pb2.Image(encoded=content), options=ocr_pb2.RecognizeOptions(**options))


def config(*, stream: dict[str, Any] | None = None, **options: Any) -> ocr_pb2.StreamRecognizeRequest:
    """The first message of a stream. stream: fields of StreamConfig besides its options."""
    recognize = ocr_pb2.RecognizeOptions(**options)
    return ocr_pb2.StreamRecognizeRequest(config=ocr_pb2.StreamConfig(options=recognize, **stream or {}))


def frame(frame_id: int, text: str | bytes) -> ocr_pb2.StreamRecognizeRequest:
    """A later message of a stream."""
    return ocr_pb2.StreamRecognizeRequest(frame=ocr_pb2.Frame(frame_id=frame_id, image=request(text).image))


def texts(recognition: ocr_pb2.Recognition) -> list[str]:
    """The texts of the lines."""
    return [line.text for line in recognition.lines]


def example_error(kind: type[OcrError]) -> OcrError:
    """An error of this class."""
    if issubclass(kind, Unavailable):
        return kind("later", 0.5)
    return kind("wrong", "options.model") if issubclass(kind, InputError) else kind("wrong")


def put_tokens(folder: Path, **rows: str) -> Path:
    """A token file with a table for each name, whose token is "NAME's"; rows: what is in it besides."""
    path = folder / "tokens.toml"
    hashes = {name: hashlib.sha256(f"{name}'s".encode()).hexdigest() for name in rows}
    tables = (f'[{name}]\nsha256 = "{hashes[name]}"\n{row}\n' for name, row in rows.items())
    path.write_text("".join(tables), encoding="utf-8")
    return path


class Failure:
    """What a caller sees of a failed call."""

    def __init__(self, error: grpc.aio.AioRpcError) -> None:
        self.code = error.code()
        self.message = error.details()
        self.trailers = dict(tuple(pair) for pair in error.trailing_metadata() or ())
        self.info = error_details_pb2.ErrorInfo()
        self.retry = error_details_pb2.RetryInfo()
        status = rpc_status.from_call(error)
        self.has_info = status is not None and any(detail.Unpack(self.info) for detail in status.details)
        self.has_retry = status is not None and any(detail.Unpack(self.retry) for detail in status.details)


async def received(call: grpc.aio.StreamStreamCall[Any, Any]) -> AsyncGenerator[Any, None]:
    """The responses of a stream. It fails with the server's own status, even while messages are still being sent."""
    end = _StreamEnd(call)
    try:
        async for response in call:
            yield response
    except grpc.aio.AioRpcError as error:
        raise await end.told(error) from None


async def answers(call: grpc.aio.StreamStreamCall[Any, Any]) -> list[Any]:
    """All responses of a stream, as received() has them."""
    return [response async for response in received(call)]


async def failure(call: Coroutine[Any, Any, Any] | Callable[[], Any]) -> Failure:
    """The failure of a call that must fail."""
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    return Failure(caught.value)


async def reached(stages: FakeStages, times: int = 1) -> None:
    """Wait until workers have come to the fake pipeline's gates so often."""
    await asyncio.to_thread(stages.wait_until_reached, times)


async def until(condition: Callable[[], bool]) -> None:
    """Let other tasks run until something is so."""
    while not condition():  # noqa: ASYNC110 - the conditions are of several kinds, and short
        await asyncio.sleep(0)


async def logged(logs: list[Any], event: str) -> dict[str, Any]:
    """The log entry of an event, as soon as it is there."""
    await until(lambda: any(entry["event"] == event for entry in logs))
    return next(entry for entry in logs if entry["event"] == event)
