"""Who does a batcher's work: threads around a pipeline. See server/remote_workers.py for the other kind."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Container, Hashable, Sequence
from dataclasses import dataclass
from typing import Protocol

from ocr_core.stages import AnyStages, WaitingImage
from server.batch_reading import ImagesRead, LineImage, UnreadLine, read_images, read_lines
from server.request import Request, Stage, Work


@dataclass(frozen=True, slots=True)
class Outcome:
    """What has become of work. started: when it was begun, of time.monotonic(). seconds: that it took.

    Of a page: prepared, with the batch keys of its lines, or error. Of images of lines: images, and error when all of
    them failed. Of lines: a reading or an exception for each; left_out: whose lines were not begun.
    """

    started: float
    seconds: float
    prepared: WaitingImage | None = None
    keys: Sequence[Hashable] = ()
    error: Exception | None = None
    images: ImagesRead | None = None
    lines: Sequence[object] = ()
    left_out: Container[Request] = ()


class Desk(Protocol):
    """Where workers fetch work and bring what has become of it."""

    def take(self, free_workers: int) -> Work | None:
        """What is next; free_workers: 0 for work that one begins when it is free. With the lock held."""

    def bring(self, work: Work, outcome: Outcome) -> None:
        """What was taken is done. Without the lock."""


class Workers(Protocol):
    """Those who read."""

    @property
    def free(self) -> int:
        """How many of them have nothing to do."""

    def start(self) -> None:
        """Begin to fetch work, once the models are loaded."""

    def wake(self, pieces: int = 1) -> None:
        """There is work for so many. With the lock held."""

    def withdraw(self, request: Request) -> None:
        """Nobody waits for it any more: what is in hand of it and not begun is not to be."""

    def close(self) -> None:
        """Stop after what is being done now. Blocks, without the lock."""


class ThreadWorkers:
    """Threads of this process, each of which goes from one piece of work to the next by itself.

    changed: has the lock that guards the queue.
    """

    def __init__(self, stages: AnyStages, count: int, changed: threading.Condition, desk: Desk) -> None:
        self.free = 0
        self._stages = stages
        self._changed = changed
        self._desk = desk
        self._closed = False
        # Daemons: a process that fails to close its batcher ends all the same.
        names = [f"worker-{number}" for number in range(count)]
        self._threads = [threading.Thread(target=self._work, name=name, daemon=True) for name in names]

    def start(self) -> None:
        """As Workers."""
        for thread in self._threads:
            thread.start()

    def wake(self, pieces: int = 1) -> None:
        """As Workers."""
        self._changed.notify(pieces)

    def withdraw(self, request: Request) -> None:
        """As Workers. Nothing is in hand that is not begun."""

    def close(self) -> None:
        """As Workers."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        for thread in self._threads:
            if thread.ident is not None:
                thread.join()

    def _work(self) -> None:
        while work := self._next():
            self._desk.bring(work, _done(self._stages, work))
            # While it waits for more, it keeps no image and no model.
            del work

    def _next(self) -> Work | None:
        """Waits until there is some; None when closed."""
        with self._changed:
            self.free += 1
            while not self._closed:
                if work := self._desk.take(self.free):
                    self.free -= 1
                    return work
                self._changed.wait()
        return None


def _done(stages: AnyStages, work: Work) -> Outcome:
    started = time.monotonic()
    if work.stage is Stage.LINES:
        unread = [
            UnreadLine(request.prepared.crops[number], request.job.options, _over(request))
            for request, number in zip(work.requests, work.lines, strict=True)
        ]
        lines = read_lines(stages, unread)
        return Outcome(started, time.monotonic() - started, lines=lines)
    if work.stage is Stage.LINE_IMAGE:
        images = [LineImage(request.job.image, request.job.options, _over(request)) for request in work.requests]
        read = read_images(stages, images)
        return Outcome(started, time.monotonic() - started, images=read)
    (request,) = work.requests
    options = request.job.options
    try:
        prepared = stages.prepare(request.job.image, options)
        keys = [stages.batch_key(crop, options) for crop in prepared.crops]
    except Exception as error:  # noqa: BLE001 - raised again where the answer is awaited
        return Outcome(started, time.monotonic() - started, error=error)
    return Outcome(started, time.monotonic() - started, prepared, keys)


def _over(request: Request) -> Callable[[], bool]:
    return lambda: request.is_over(time.monotonic())
