"""The frames of one stream in the order of their arrival, all of them to be read or the newest alone."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator
from dataclasses import dataclass

from glyphwire.v1 import ocr_pb2

from server import convert
from server.errors import RequestInvalid

_Requests = AsyncIterator[ocr_pb2.StreamRecognizeRequest]

MAX_UNSENT = 256
"""Dropped frames, without their images, that may wait to be answered. With more of them the sender has to wait."""


@dataclass(frozen=True, slots=True)
class Arrival:
    """A frame and the response to it, which lacks its outcome; image: None when the frame was dropped."""

    response: ocr_pb2.StreamRecognizeResponse
    image: ocr_pb2.Image | None


async def every_frame(requests: _Requests) -> AsyncGenerator[Arrival, None]:
    """Frames as they are asked for. Raises RequestInvalid for a message that is none."""
    async for message in requests:
        if message.WhichOneof("message") != "frame":
            raise RequestInvalid("every message of a stream after the first must be a frame", "frame")
        yield Arrival(convert.frame_response(message.frame), message.frame.image)


async def latest_frame(requests: _Requests) -> AsyncGenerator[Arrival, None]:
    """Takes frames as they come: whoever asks for one gets those that were dropped meanwhile, then the newest.

    Of all frames that wait the newest alone keeps its image. Raises RequestInvalid for a message that is no frame.
    """
    waiting = _Waiting()
    receiving = asyncio.create_task(waiting.fill(requests))
    try:
        while arrival := await waiting.take():
            yield arrival
        await receiving
    finally:
        receiving.cancel()
        await asyncio.gather(receiving, return_exceptions=True)


class _Waiting:
    """Arrivals that wait, in order."""

    def __init__(self) -> None:
        self._arrivals: deque[Arrival] = deque()
        self._changed = asyncio.Condition()
        self._is_complete = False

    async def fill(self, requests: _Requests) -> None:
        """Take every frame. Raises RequestInvalid, when all frames before it may be taken."""
        try:
            async for arrival in every_frame(requests):
                async with self._changed:
                    self._replace_newest(arrival)
                    self._changed.notify_all()
                    await self._changed.wait_for(lambda: len(self._arrivals) <= MAX_UNSENT)
        finally:
            async with self._changed:
                self._is_complete = True
                self._changed.notify_all()

    async def take(self) -> Arrival | None:
        """The first, as soon as there is one; None after the last one."""
        async with self._changed:
            await self._changed.wait_for(lambda: self._arrivals or self._is_complete)
            self._changed.notify_all()
            return self._arrivals.popleft() if self._arrivals else None

    def _replace_newest(self, arrival: Arrival) -> None:
        if self._arrivals:
            dropped = self._arrivals.pop().response
            dropped.dropped.replaced_by = arrival.response.frame_id
            self._arrivals.append(Arrival(dropped, None))
        self._arrivals.append(arrival)
