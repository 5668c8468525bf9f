"""One StreamRecognize call: read ahead by a bounded window, answered in order."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from functools import partial

from glyphwire.v1 import ocr_pb2

from ocr_core.errors import ModelNotFound
from ocr_core.types import Recognition, RecognizeOptions
from server import convert
from server.batcher import Batcher
from server.calls import note_item
from server.errors import RequestInvalid, Unavailable
from server.logs import log_our_fault
from server.settings import Settings
from server.work_queue import Job

_Answer = asyncio.Task[ocr_pb2.StreamRecognizeResponse]


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
    ) -> None:
        self._requests = requests
        self._batcher = batcher
        self._max_deadline_s = settings.max_deadline_s
        self._room = asyncio.Semaphore(settings.stream_window)
        self._answers: asyncio.Queue[_Answer | None] = asyncio.Queue()

    async def responses(self) -> AsyncGenerator[ocr_pb2.StreamRecognizeResponse, None]:
        """One response per frame, in order.

        Raises RequestInvalid, OptionInvalid or ModelNotFound for the configuration, and Draining, once the frames that
        had been read are answered.
        """
        options = await self._receive_options()
        reader = asyncio.create_task(self._read_ahead(options))
        try:
            while (answer := await self._answers.get()) is not None:
                yield await answer
                self._room.release()
            await reader
        finally:
            reader.cancel()
            await asyncio.gather(reader, *self._cancel_answers(), return_exceptions=True)

    async def _receive_options(self) -> RecognizeOptions:
        message = await self._receive()
        if message is None or message.WhichOneof("message") != "config":
            raise RequestInvalid("the first message of a stream must be its configuration", "config")
        options = convert.options(message.config.options)
        names = [name for model in await self._batcher.models() for name in model.names]
        if options.model and options.model not in names:
            raise ModelNotFound(f"no model {options.model!r} is loaded", "options.model")
        return options

    async def _read_ahead(self, options: RecognizeOptions) -> None:
        """Start on each frame as soon as the window has room for it."""
        try:
            while True:
                await self._room.acquire()
                message = await self._receive()
                if message is None:
                    return
                if message.WhichOneof("message") != "frame":
                    raise RequestInvalid("every message of a stream after the first must be a frame", "frame")
                # Admission counts what it has admitted: at most one frame of a stream may wait for it uncounted.
                admitted = asyncio.Event()
                answer = asyncio.create_task(self._answer(message.frame, options, admitted))
                answer.add_done_callback(partial(_set, admitted))
                self._answers.put_nowait(answer)
                del message
                await admitted.wait()
        finally:
            self._answers.put_nowait(None)

    async def _answer(
        self, frame: ocr_pb2.Frame, options: RecognizeOptions, admitted: asyncio.Event
    ) -> ocr_pb2.StreamRecognizeResponse:
        outcome: Recognition | Exception
        deadline = asyncio.get_running_loop().time() + self._max_deadline_s
        try:
            job = Job(convert.image(frame.image), options)
            outcome = await self._batcher.submit_in_turn(job, deadline, admitted)
        except Unavailable:
            raise
        except Exception as error:  # noqa: BLE001 - sent as the frame's outcome; the stream goes on
            log_our_fault(error)
            outcome = error
        note_item(outcome)
        return convert.stream_response(frame, outcome)

    async def _receive(self) -> ocr_pb2.StreamRecognizeRequest | None:
        """The next message, or None after the last one. Raises Draining when the server stops meanwhile."""
        receiving = asyncio.ensure_future(self._next_message())
        draining = asyncio.ensure_future(self._batcher.raise_when_draining())
        try:
            done, _ = await asyncio.wait((receiving, draining), return_when=asyncio.FIRST_COMPLETED)
            return await (receiving if receiving in done else draining)
        finally:
            receiving.cancel()
            draining.cancel()

    async def _next_message(self) -> ocr_pb2.StreamRecognizeRequest | None:
        return await anext(self._requests, None)

    def _cancel_answers(self) -> list[_Answer]:
        """Cancel the frames that nobody waits for any more."""
        answers = []
        while not self._answers.empty():
            if answer := self._answers.get_nowait():
                answer.cancel()
                answers.append(answer)
        return answers


def _set(event: asyncio.Event, _: _Answer) -> None:
    event.set()
