"""Workers in the engine process, which the event loop hands work to and hears from, without threads of its own."""

from __future__ import annotations

import asyncio
import itertools
import threading
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from functools import partial
from typing import cast

from ocr_core.shared_pixels import SharedPixels
from server.engine_process import LineImagesRead, LinesRead, Prepared, SentImage
from server.errors import EngineLost
from server.exchange import Exchange
from server.remote_stages import Engine, RemoteCrop, RemoteImage, RemoteStages, content, described, engine_lost
from server.request import Request, Stage, Work
from server.workers import Desk, Outcome

_AHEAD = 1
"""Pieces of work that wait in the engine process, so that there is one when another is done."""

_numbers = itertools.count()


class RemoteWorkers:
    """Threads of the engine process. changed: has the lock that guards the queue. in_thread: runs what blocks."""

    def __init__(
        self,
        stages: RemoteStages,
        count: int,
        changed: threading.Condition,
        desk: Desk,
        in_thread: Callable[[Callable[[], None]], Awaitable[None]],
    ) -> None:
        self._stages = stages
        self._count = count
        self._changed = changed
        self._desk = desk
        self._in_thread = in_thread
        self._loop = asyncio.get_running_loop()
        self._handed_out: dict[Work, float] = {}
        self._numbers: dict[Request, int] = {}
        self._is_started = False
        self._link: tuple[Engine, Exchange] | None = None
        self._gone: Engine | None = None
        self._recovery: asyncio.Task[None] | None = None
        self._is_woken = False

    @property
    def free(self) -> int:
        """As Workers."""
        return max(0, self._count - len(self._handed_out))

    def start(self) -> None:
        """As Workers."""
        self._connect()
        self._is_started = True
        self._hand_out()

    def wake(self, pieces: int = 1) -> None:
        """As Workers."""
        del pieces
        if not self._is_woken:
            self._is_woken = True
            self._loop.call_soon(self._hand_out)

    def withdraw(self, request: Request) -> None:
        """As Workers."""
        if self._link is None:
            return
        engine, _ = self._link
        if (number := self._numbers.get(request)) is not None:
            engine.withdraw(number)
        elif isinstance(request.prepared, RemoteImage):
            request.prepared.forget()

    def close(self) -> None:
        """As Workers; does not wait for what is being done, as nobody waits for that any more."""
        if self._recovery:
            self._recovery.cancel()
        if self._link:
            self._link[1].close()

    def _connect(self) -> None:
        """Raises EngineLost."""
        engine = self._stages.engine()
        self._link = engine, engine.exchange(self._count, self._on_end)

    def _hand_out(self) -> None:
        self._is_woken = False
        if not self._is_started:
            return
        while self._link and len(self._handed_out) < self._count + _AHEAD:
            if (work := self._take()) is None:
                return
            self._handed_out[work] = time.monotonic()
            self._give(work, *self._link)
        if self._link is None and self._recovery is None:
            # Until there is a process again, or is known to be none, work waits.
            self._recovery = self._loop.create_task(self._recover())

    def _take(self) -> Work | None:
        with self._changed:
            return self._desk.take(self.free)

    def _give(self, work: Work, engine: Engine, exchange: Exchange) -> None:
        if work.stage is Stage.LINES:
            places = [(image.number, place) for image, place in zip(_images_of(work), work.lines, strict=True)]
            exchange.ask("read_lines", (places,), None, partial(self._on_lines, work, engine))
            return
        for request in work.requests:
            self._numbers[request] = next(_numbers)
            engine.begin(self._numbers[request])
        contents = [content(request.job.image) for request in work.requests]
        if work.stage is Stage.LINE_IMAGE:
            images = [_sent(self._numbers[request], request) for request in work.requests]
            views = [part.view() if isinstance(part, SharedPixels) else part for part in contents]
            exchange.ask("read_images", (images,), views, partial(self._on_images, work))
        else:
            (request,), (page,) = work.requests, contents
            number = self._numbers[request]
            arguments = (number, *described(request.job.image, request.job.options), request.deadline)
            payload = page if isinstance(page, SharedPixels) else [page]
            exchange.ask("prepare", arguments, payload, partial(self._on_prepared, work, number, engine))
        # From here on the exchange alone has their bytes, until they are sent.
        for request in work.requests:
            request.job = replace(request.job, image=b"")

    def _on_images(self, work: Work, answer: LineImagesRead | Exception) -> None:
        if isinstance(answer, Exception):
            self._bring(work, self._failed(work, answer))
        else:
            self._bring(work, Outcome(answer.started, answer.seconds, images=answer.images))

    def _on_prepared(self, work: Work, number: int, engine: Engine, answer: Prepared | Exception) -> None:
        if isinstance(answer, Exception):
            self._bring(work, self._failed(work, answer))
            return
        crops = tuple(RemoteCrop(place, size) for place, size in enumerate(answer.sizes))
        image = RemoteImage(number, crops, answer.recognition, engine, is_kept=bool(crops))
        self._bring(work, Outcome(answer.started, answer.seconds, image, answer.keys))

    def _on_lines(self, work: Work, engine: Engine, answer: LinesRead | Exception) -> None:
        if isinstance(answer, Exception):
            self._bring(work, self._failed(work, answer))
            return
        images = _images_of(work)
        # What has become of an image comes with the last of its lines here.
        read: list[object] = [None] * len(images)
        for at in {image: at for at, image in enumerate(images)}.values():
            read[at] = answer.images.get(images[at].number) if images[at].engine is engine else engine_lost()
        requests = zip(images, work.requests, strict=True)
        left_out = {request for image, request in requests if image.number in answer.left_out}
        self._bring(work, Outcome(answer.started, answer.seconds, lines=read, left_out=left_out))

    def _bring(self, work: Work, outcome: Outcome) -> None:
        del self._handed_out[work]
        for request in work.requests:
            self._numbers.pop(request, None)
        self._desk.bring(work, outcome)
        self._hand_out()

    def _failed(self, work: Work, error: Exception) -> Outcome:
        """Of all of it. How long it took besides waiting for others is not known."""
        started = self._handed_out[work]
        return Outcome(started, time.monotonic() - started, error=error, lines=[error] * len(work.lines))

    def _on_end(self) -> None:
        """The engine process has ended, and what it was doing is lost."""
        if self._link:
            self._gone, _ = self._link
        self._link = None
        for work in [*self._handed_out]:
            self._desk.bring(work, self._failed(work, engine_lost()))
        self._handed_out.clear()
        self._numbers.clear()
        self._hand_out()

    async def _recover(self) -> None:
        """Wait for the next process. Without one, those who wait are told."""
        try:
            gone, self._gone = self._gone, None
            await self._in_thread(partial(self._stages.renew, gone))
            self._connect()
        except EngineLost as error:
            while work := self._take():
                self._desk.bring(work, Outcome(time.monotonic(), 0.0, error=error, lines=[error] * len(work.lines)))
        finally:
            self._recovery = None
        if self._link:
            self._hand_out()


def _images_of(work: Work) -> list[RemoteImage]:
    """Of each line."""
    return [cast(RemoteImage, request.prepared) for request in work.requests]


def _sent(number: int, request: Request) -> SentImage:
    return SentImage(number, *described(request.job.image, request.job.options), request.deadline, request.job.size)
