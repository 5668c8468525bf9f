"""How much work the server holds at once, in all and for each client."""

from __future__ import annotations

import asyncio
from collections.abc import Hashable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from server.errors import Draining, QueueFull
from server.metrics import Metrics
from server.settings import Settings

_RETRY_S = 1.0
_MIN_RETRY_S = 0.1

_SHARE = 3
"""A client may hold this many times what is left free: alone three quarters, two of them three sevenths each."""

_IN_TIME = 0.6
"""Of the time that is left, what estimates may fill: they err, and the answer has to travel.

With 0.8 one in ten of the lines that were accepted at twice the sustained rate was read in vain, with 0.6 one in a
hundred (python -m bench.serving_overload), and workers do not run out of work the sooner.
"""


@dataclass(slots=True)
class _Held:
    images: int = 0
    bytes: int = 0
    streams: int = 0


class Admission:
    """Counts admitted images, their bytes, and streams. Used in the event loop's thread only.

    Unary calls are turned away when there is no room, frames wait for it: flow control then slows their sender down.
    """

    def __init__(self, settings: Settings, metrics: Metrics) -> None:
        self._most = _Held(settings.max_queue, settings.max_queue_bytes, settings.max_streams)
        self._max_client_streams = settings.max_client_streams
        self._metrics = metrics
        self._all = _Held()
        self._clients: dict[Hashable, _Held] = {}
        self._closed = False
        self._waiting: list[tuple[Hashable, int, asyncio.Future[None]]] = []
        self._empty = asyncio.Event()
        self._empty.set()

    @property
    def images(self) -> int:
        """Images admitted and not released."""
        return self._all.images

    def take(self, client: Hashable, sizes: list[int], ready_in_s: float, left_s: float) -> None:
        """Admit images of these sizes in bytes, all or none. Raises QueueFull or Draining.

        ready_in_s: when they are likely to be done, 0 when they need not wait. left_s: until their deadline.
        """
        self._check_open()
        if not self._fits(client, len(sizes), sum(sizes)):
            held = f"{self._all.images} images are held, {self._held(client).images} of them yours"
            raise self._refusal("room", f"the queue is full: {held}", ready_in_s)
        if ready_in_s > _IN_TIME * left_s:
            times = f"{ready_in_s:.3f} s are likely to pass, the deadline is in {left_s:.3f} s"
            raise self._refusal("late", f"the queue is too long: {times}", ready_in_s)
        self._add(client, len(sizes), sum(sizes))

    def enters(self, client: Hashable, size: int) -> bool:
        """Admit one image if it need not wait, for room or for others of the client. Raises Draining."""
        self._check_open()
        enters = self._fits(client, 1, size) and all(other != client for other, _, _ in self._waiting)
        if enters:
            self._add(client, 1, size)
        return enters

    async def wait(self, client: Hashable, size: int) -> None:
        """Admit one image as soon as there is room, after those of the client that wait already.

        Raises Draining, and QueueFull when too many bytes wait.
        """
        if self.enters(client, size):
            return
        if self._waiting and sum(size for _, size, _ in self._waiting) + size > self._most.bytes:
            raise self._refusal("room", f"{len(self._waiting)} frames wait for room in the queue", _RETRY_S)
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((client, size, turn))
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled() and turn.exception() is None:
                self.release(client, size)
            raise

    def release(self, client: Hashable, size: int) -> None:
        """Give back one image."""
        self._add(client, -1, -size)
        if self._waiting:
            self._admit_waiting()

    @contextmanager
    def stream(self, client: Hashable) -> Iterator[None]:
        """Count a stream as long as it lasts. Raises QueueFull or Draining."""
        self._check_open()
        theirs = self._held(client).streams
        if self._all.streams >= self._most.streams or theirs >= self._max_client_streams:
            raise self._refusal("streams", f"{self._all.streams} streams are open, {theirs} of them yours", _RETRY_S)
        self._add(client, streams=1)
        try:
            yield
        finally:
            self._add(client, streams=-1)

    def close(self) -> None:
        """Admit nothing more; whatever waits gets Draining."""
        self._closed = True
        for _, _, turn in self._waiting:
            if not turn.done():
                turn.set_exception(draining())
        self._waiting.clear()

    async def idle(self) -> None:
        """Wait until everything admitted has been released."""
        await self._empty.wait()

    def _check_open(self) -> None:
        if self._closed:
            raise draining()

    def _held(self, client: Hashable) -> _Held:
        return self._clients.get(client) or _Held()

    def _refusal(self, cause: str, message: str, retry_after_s: float) -> QueueFull:
        self._metrics.refused(cause)
        return QueueFull(message, max(retry_after_s, _MIN_RETRY_S))

    def _fits(self, client: Hashable, images: int, size: int) -> bool:
        free_images = self._most.images - self._all.images - images
        free_bytes = self._most.bytes - self._all.bytes - size
        theirs = self._held(client)
        if not theirs.images or min(free_images, free_bytes) < 0:
            return min(free_images, free_bytes) >= 0
        return theirs.images + images <= _SHARE * free_images and theirs.bytes + size <= _SHARE * free_bytes

    def _admit_waiting(self) -> None:
        """In their order, but nobody waits for another client's turn."""
        waiting, self._waiting = self._waiting, []
        blocked: set[Hashable] = set()
        for client, size, turn in waiting:
            if turn.done():
                continue
            if client in blocked or not self._fits(client, 1, size):
                blocked.add(client)
                self._waiting.append((client, size, turn))
            else:
                self._add(client, 1, size)
                turn.set_result(None)

    def _add(self, client: Hashable, images: int = 0, size: int = 0, streams: int = 0) -> None:
        theirs = self._clients.setdefault(client, _Held())
        for held in (self._all, theirs):
            held.images += images
            held.bytes += size
            held.streams += streams
        if not (theirs.images or theirs.streams):
            del self._clients[client]
        if self._all.images:
            self._empty.clear()
        else:
            self._empty.set()


def draining() -> Draining:
    """Tells a caller to go elsewhere."""
    return Draining("the server is stopping", _RETRY_S)
