"""One StreamRecognize call: read ahead by a bounded window, answered in order."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator, Hashable
from contextlib import aclosing
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

from glyphwire.v1 import ocr_pb2

from ocr_core.types import Recognition, UnchangedOptions
from server import convert
from server.admission import draining
from server.arrivals import Arrival, every_frame, latest_frame
from server.batcher import Answer, Batcher
from server.calls import note_dropped_frame, note_item
from server.errors import Draining, RequestInvalid
from server.frame_votes import FrameVotes
from server.logs import log_our_fault
from server.request import FramePolicy, Job, StreamConfig
from server.settings import Settings

if TYPE_CHECKING:
    from ocr_core.frame_change import FrameSketch

_Source = Answer | Exception | None
"""Where the outcome of a frame comes from; None when it was dropped."""

_Frame = tuple[ocr_pb2.StreamRecognizeResponse, _Source]


@dataclass(frozen=True, slots=True)
class _ReadFrame:
    """A frame with which later ones are compared."""

    frame_id: int
    sketch: FrameSketch
    answer: Answer


class FrameStream:
    """The messages of one stream and what becomes of them.

    At most stream_window frames are read and not yet answered, with the policy LATEST a single one. A frame is late
    max_deadline_s after it was submitted; the stream's own deadline ends the call as a whole.
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
        self._last_read: _ReadFrame | None = None
        self._votes: FrameVotes | None = None

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
                    yield await self._completed(*frame)
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
            async with aclosing(self._arrivals(config)) as arrivals:
                while True:
                    await self._room.acquire()
                    arrival = await anext(arrivals, None)
                    if arrival is None:
                        return
                    # Admission counts what it has admitted: one frame of a stream at most may wait for it uncounted.
                    self._frames.put_nowait(await self._start(arrival, config))
        except asyncio.CancelledError:
            if self._batcher.draining.done():
                raise draining() from None
            raise
        finally:
            self._frames.put_nowait(None)

    async def _receive_config(self) -> StreamConfig:
        message = await anext(self._requests, None)
        if message is None or message.WhichOneof("message") != "config":
            raise RequestInvalid("the first message of a stream must be its configuration", "config")
        config = convert.stream_config(message.config)
        await self._batcher.check_model(config.job.options.model)
        if config.voting:
            self._votes = FrameVotes(self._batcher, config.voting, config.job.options)
            return replace(config, job=replace(config.job, options=self._votes.options))
        return config

    def _arrivals(self, config: StreamConfig) -> AsyncGenerator[Arrival, None]:
        if config.frame_policy is FramePolicy.EVERY:
            return every_frame(self._requests)
        self._room = asyncio.Semaphore(1)
        return latest_frame(self._requests)

    async def _start(self, arrival: Arrival, config: StreamConfig) -> _Frame:
        """Wait until there is room for the frame, not until it is read."""
        response, image = arrival.response, arrival.image
        if image is None:
            return response, None
        try:
            job = Job(convert.image(image), config.job.options, config.job.priority)
            if config.unchanged:
                return response, await self._submit_changed(response, job, config.unchanged)
            return response, await self._submit(job)
        except Draining:
            raise
        except Exception as error:  # noqa: BLE001 - sent as the frame's outcome; the stream goes on
            return response, error

    async def _submit(self, job: Job) -> Answer:
        return await self._batcher.submit_in_turn(job, time.monotonic() + self._max_deadline_s, self._client)

    async def _submit_changed(
        self, response: ocr_pb2.StreamRecognizeResponse, job: Job, options: UnchangedOptions
    ) -> Answer:
        """The answer to the last frame that was read, when this one looks the same."""
        sketch, last = await self._batcher.sketch(job), self._last_read
        if (
            last
            and not _has_failed(last.answer)
            and not await self._batcher.aside(partial(_has_changed, last.sketch, sketch, options.threshold))
        ):
            response.unchanged_from = last.frame_id
            return last.answer
        answer = await self._submit(job)
        self._last_read = _ReadFrame(response.frame_id, sketch, answer)
        return answer

    async def _completed(
        self, response: ocr_pb2.StreamRecognizeResponse, source: _Source
    ) -> ocr_pb2.StreamRecognizeResponse:
        """Wait for the outcome of a frame and put it into the response."""
        if source is None:
            note_dropped_frame()
            return response
        outcome: Recognition | Exception
        try:
            outcome = source if isinstance(source, Exception) else await source
        except Exception as error:  # noqa: BLE001 - sent as the frame's outcome; the stream goes on
            outcome = error
        if isinstance(outcome, Exception):
            log_our_fault(outcome)
        note_item(outcome)
        convert.set_outcome(response, outcome)
        if self._votes and isinstance(outcome, Recognition):
            await self._votes.add(response, outcome)
        return response

    def _cancel_frames(self) -> None:
        """Nobody waits for them any more."""
        while not self._frames.empty():
            if (frame := self._frames.get_nowait()) and isinstance(frame[1], asyncio.Future):
                frame[1].cancel()


def _has_changed(old: FrameSketch, new: FrameSketch, threshold: float) -> bool:
    """In a thread: the first time, beside an engine process, OpenCV is imported."""
    from ocr_core.frame_change import has_changed

    return has_changed(old, new, threshold)


def _has_failed(answer: Answer) -> bool:
    return answer.done() and (answer.cancelled() or answer.exception() is not None)
