"""How much work the server holds at once."""

from __future__ import annotations

import asyncio
from collections import deque

from server.errors import Draining, QueueFull

_RETRY_FULL_S = 0.5
_RETRY_DRAINING_S = 1.0


class Admission:
    """Counts admitted images and their bytes. Used in the event loop's thread only.

    Unary calls are turned away when it is full, streams wait their turn: flow control then slows their sender down.
    """

    def __init__(self, max_images: int, max_bytes: int) -> None:
        self._max_images = max_images
        self._max_bytes = max_bytes
        self._images = 0
        self._bytes = 0
        self._closed = False
        self._waiting: deque[tuple[int, asyncio.Future[None]]] = deque()
        self._idle: deque[asyncio.Future[None]] = deque()

    @property
    def images(self) -> int:
        """Images admitted and not released."""
        return self._images

    def take(self, sizes: list[int]) -> None:
        """Admit images of these sizes in bytes, all or none. Raises QueueFull or Draining."""
        self._check_open()
        if not self._fits(len(sizes), sum(sizes)):
            raise QueueFull(f"{self._images} images are being read, at most {self._max_images} are held", _RETRY_FULL_S)
        self._add(len(sizes), sum(sizes))

    async def wait(self, size: int) -> None:
        """Admit one image as soon as there is room, after those that wait already. Raises Draining.

        A quarter of the room is left to those who do not wait, or streams would shut them out.
        """
        self._check_open()
        if not self._waiting and self._fits_in_turn(size):
            self._add(1, size)
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((size, turn))
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled() and turn.exception() is None:
                self.release([size])
            raise

    def release(self, sizes: list[int]) -> None:
        """Give back what was admitted."""
        self._add(-len(sizes), -sum(sizes))
        while self._waiting and (self._waiting[0][1].done() or self._fits_in_turn(self._waiting[0][0])):
            size, turn = self._waiting.popleft()
            if not turn.done():
                self._add(1, size)
                turn.set_result(None)
        while self._idle and not self._images:
            _resolve(self._idle.popleft())

    def close(self) -> None:
        """Admit nothing more; whatever waits gets Draining."""
        self._closed = True
        while self._waiting:
            _, turn = self._waiting.popleft()
            if not turn.done():
                turn.set_exception(draining())

    async def idle(self) -> None:
        """Wait until everything admitted has been released."""
        if self._images:
            done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._idle.append(done)
            await done

    def _check_open(self) -> None:
        if self._closed:
            raise draining()

    def _fits(self, images: int, size: int) -> bool:
        return self._images + images <= self._max_images and self._bytes + size <= self._max_bytes

    def _fits_in_turn(self, size: int) -> bool:
        full = 4 * (self._images + 1) > 3 * self._max_images or 4 * (self._bytes + size) > 3 * self._max_bytes
        return not self._images or not full

    def _add(self, images: int, size: int) -> None:
        self._images += images
        self._bytes += size


def draining() -> Draining:
    """Tells a caller to go elsewhere."""
    return Draining("the server is stopping", _RETRY_DRAINING_S)


def _resolve(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)
