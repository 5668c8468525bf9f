"""Frames of a stream that can be resumed: kept until they are answered, and sent again on the next call."""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from typing import TYPE_CHECKING

from glyphwire import _requests

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable, Iterator

    from glyphwire.types import Frame, ImageSource
    from glyphwire.v1 import ocr_pb2

MAX_UNANSWERED = 16
"""Frames that are kept at most. The server reads ahead by as many, as a rule."""


class _Unanswered:
    """The frames by their places in the stream. call: number of the call that may send them, the latest alone."""

    def __init__(self) -> None:
        self._messages: deque[ocr_pb2.StreamRecognizeRequest] = deque()
        self._first = 0
        self.call = 0
        self.is_complete = False

    @property
    def has_room(self) -> bool:
        """Whether one more can be kept."""
        return len(self._messages) < MAX_UNANSWERED

    def add(self, message: ocr_pb2.StreamRecognizeRequest) -> None:
        self._messages.append(message)

    def drop_first(self) -> None:
        """It is answered."""
        self._messages.popleft()
        self._first += 1

    def start_call(self) -> tuple[int, int]:
        """A new call's number, and the place of the first frame that it has to send."""
        self.call += 1
        return self.call, self._first

    def stop(self) -> None:
        """No call may send any more."""
        self.call += 1

    def is_there(self, place: int) -> bool:
        return place < self._first + len(self._messages)

    def at(self, place: int) -> ocr_pb2.StreamRecognizeRequest:
        return self._messages[place - self._first]


class ResendBuffer:
    """For OcrClient. Takes the caller's frames in a thread of its own, which outlives the calls."""

    def __init__(self, frames: Iterable[Frame | ImageSource]) -> None:
        self._frames = frames
        self._unanswered = _Unanswered()
        self._changed = threading.Condition()
        self._is_closed = False
        self.error: Exception | None = None
        threading.Thread(target=self._take_frames, name="frames", daemon=True).start()

    def start_call(self, config: ocr_pb2.StreamRecognizeRequest) -> Iterator[ocr_pb2.StreamRecognizeRequest]:
        """What a new call sends; the call before sends nothing more."""
        with self._changed:
            call, place = self._unanswered.start_call()
            self._changed.notify_all()
        return self._messages(config, call, place)

    def drop_first(self) -> None:
        """The first frame that was kept is answered."""
        with self._changed:
            self._unanswered.drop_first()
            self._changed.notify_all()

    def close(self) -> None:
        """Take no more frames."""
        with self._changed:
            self._is_closed = True
            self._unanswered.stop()
            self._changed.notify_all()

    def _messages(
        self, config: ocr_pb2.StreamRecognizeRequest, call: int, place: int
    ) -> Iterator[ocr_pb2.StreamRecognizeRequest]:
        yield config
        while (message := self._next(call, place)) is not None:
            yield message
            place += 1

    def _next(self, call: int, place: int) -> ocr_pb2.StreamRecognizeRequest | None:
        waiting = self._unanswered
        with self._changed:
            self._changed.wait_for(lambda: waiting.call != call or waiting.is_complete or waiting.is_there(place))
            return waiting.at(place) if waiting.call == call and waiting.is_there(place) else None

    def _take_frames(self) -> None:
        try:
            for position, frame in enumerate(self._frames):
                message = _requests.frame_request(frame, position)
                with self._changed:
                    self._changed.wait_for(lambda: self._is_closed or self._unanswered.has_room)
                    if self._is_closed:
                        return
                    self._unanswered.add(message)
                    self._changed.notify_all()
        except Exception as error:  # noqa: BLE001 - raised again in the caller's thread
            self.error = error
        finally:
            with self._changed:
                self._unanswered.is_complete = True
                self._changed.notify_all()


class AsyncResendBuffer:
    """For AsyncOcrClient. Takes the caller's frames in a task of its own, which outlives the calls."""

    def __init__(self, frames: AsyncIterator[Frame | ImageSource]) -> None:
        self._frames = frames
        self._unanswered = _Unanswered()
        self._changed = asyncio.Event()
        self.error: Exception | None = None
        self._taking = asyncio.create_task(self._take_frames())

    def start_call(self, config: ocr_pb2.StreamRecognizeRequest) -> AsyncIterator[ocr_pb2.StreamRecognizeRequest]:
        """What a new call sends; the call before sends nothing more."""
        call, place = self._unanswered.start_call()
        self._tell()
        return self._messages(config, call, place)

    def drop_first(self) -> None:
        """The first frame that was kept is answered."""
        self._unanswered.drop_first()
        self._tell()

    async def close(self) -> None:
        """Take no more frames."""
        self._unanswered.stop()
        self._tell()
        self._taking.cancel()
        await asyncio.gather(self._taking, return_exceptions=True)

    async def _messages(
        self, config: ocr_pb2.StreamRecognizeRequest, call: int, place: int
    ) -> AsyncIterator[ocr_pb2.StreamRecognizeRequest]:
        yield config
        while (message := await self._next(call, place)) is not None:
            yield message
            place += 1

    async def _next(self, call: int, place: int) -> ocr_pb2.StreamRecognizeRequest | None:
        waiting = self._unanswered
        while waiting.call == call and not waiting.is_complete and not waiting.is_there(place):
            await self._changed.wait()
        return waiting.at(place) if waiting.call == call and waiting.is_there(place) else None

    async def _take_frames(self) -> None:
        position = 0
        try:
            async for frame in self._frames:
                message = _requests.frame_request(frame, position)
                while not self._unanswered.has_room:
                    await self._changed.wait()
                self._unanswered.add(message)
                self._tell()
                position += 1
        except Exception as error:  # noqa: BLE001 - raised again by stream()
            self.error = error
        finally:
            self._unanswered.is_complete = True
            self._tell()

    def _tell(self) -> None:
        """Wake those who wait for a change; the next one has an event of its own."""
        self._changed.set()
        self._changed = asyncio.Event()
