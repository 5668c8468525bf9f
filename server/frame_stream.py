"""One StreamRecognize call: read ahead by a bounded window, answered in order."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator, Hashable
from dataclasses import replace

from glyphwire.v1 import ocr_pb2

from ocr_core.errors import ModelNotFound
from ocr_core.types import Recognition
from server import convert
from server.admission import draining
from server.batcher import Answer, Batcher
from server.calls import note_item
from server.errors import Draining, RequestInvalid
from server.logs import log_our_fault
from server.request import Job
from server.settings import Settings

_Frame = tuple[ocr_pb2.StreamRecognizeResponse, Answer | Exception]
"""A response that lacks its outcome, and where that comes from."""


class FrameStream:
    """The messages of one stream and what becomes of them.

    At most stream_window frames are read and not yet answered. A frame is late max_deadline_s after it came; the
    stream's own deadline ends the call as a whole.
    """

    def __init__(
        self,
        requests: AsyncIterator[ocr_pb2.StreamRecognizeRequest],
        batcher: Batcher,
        settings: Settings,
        client: Hashable,
    ) -> None:
        self._requests = requests
        self._batcher = batcher
        self._client = client
        self._max_deadline_s = settings.max_deadline_s
        self._room = asyncio.Semaphore(settings.stream_window)
        self._frames: asyncio.Queue[_Frame | None] = asyncio.Queue()

    async def responses(self) -> AsyncGenerator[ocr_pb2.StreamRecognizeResponse, None]:
        """One response per frame, in order.

        Raises QueueFull for one stream too many, RequestInvalid, OptionInvalid or ModelNotFound for the configuration,
        and Draining, once the frames that had been read are answered.
        """
        with self._batcher.stream(self._client):
            reader = asyncio.create_task(self._read_ahead())

            def stop_reading(_: asyncio.Future[None]) -> None:
                reader.cancel()

            self._batcher.draining.add_done_callback(stop_reading)
            try:
                while frame := await self._frames.get():
                    yield await _completed(*frame)
                    self._room.release()
                await reader
            finally:
                self._batcher.draining.remove_done_callback(stop_reading)
                reader.cancel()
                self._cancel_frames()
                await asyncio.gather(reader, return_exceptions=True)

    async def _read_ahead(self) -> None:
        """Start on each frame as soon as the window has room for it."""
        try:
            config = await self._receive_config()
            while True:
                await self._room.acquire()
                message = await anext(self._requests, None)
                if message is None:
                    return
                if message.WhichOneof("message") != "frame":
                    raise RequestInvalid("every message of a stream after the first must be a frame", "frame")
                # Admission counts what it has admitted: at most one frame of a stream may wait for it uncounted.
                self._frames.put_nowait(await self._start(message.frame, config))
        except asyncio.CancelledError:
            if self._batcher.draining.done():
                raise draining() from None
            raise
        finally:
            self._frames.put_nowait(None)

    async def _receive_config(self) -> Job:
        """What all frames have in common: a job without its image."""
        message = await anext(self._requests, None)
        if message is None or message.WhichOneof("message") != "config":
            raise RequestInvalid("the first message of a stream must be its configuration", "config")
        options = convert.options(message.config.options)
        names = [name for model in await self._batcher.models() for name in model.names]
        if options.model and options.model not in names:
            raise ModelNotFound(f"no model {options.model!r} is loaded", "options.model")
        return Job(b"", options, convert.priority(message.config.options))

    async def _start(self, frame: ocr_pb2.Frame, config: Job) -> _Frame:
        """Wait until there is room for the frame, not until it is read."""
        response = convert.frame_response(frame)
        try:
            job = replace(config, image=convert.image(frame.image))
            return response, await self._batcher.submit_in_turn(
                job, time.monotonic() + self._max_deadline_s, self._client
            )
        except Draining:
            raise
        except Exception as error:  # noqa: BLE001 - sent as the frame's outcome; the stream goes on
            return response, error

    def _cancel_frames(self) -> None:
        """Nobody waits for them any more."""
        while not self._frames.empty():
            if (frame := self._frames.get_nowait()) and not isinstance(frame[1], Exception):
                frame[1].cancel()


async def _completed(
    response: ocr_pb2.StreamRecognizeResponse, source: Answer | Exception
) -> ocr_pb2.StreamRecognizeResponse:
    """Wait for the outcome of a frame and put it into the response."""
    outcome: Recognition | Exception
    try:
        outcome = source if isinstance(source, Exception) else await source
    except Exception as error:  # noqa: BLE001 - sent as the frame's outcome; the stream goes on
        outcome = error
    if isinstance(outcome, Exception):
        log_our_fault(outcome)
    note_item(outcome)
    convert.set_outcome(response, outcome)
    return response
