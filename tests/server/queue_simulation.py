"""A queue with workers in simulated time: nothing waits, nothing is random."""

from __future__ import annotations

import heapq
import itertools
from collections import defaultdict
from collections.abc import Hashable
from concurrent.futures import Future

import numpy as np

from ocr_core.types import LineCrop, Mode, Polygon, PreparedImage, RecognizeOptions, Timings
from server.request import Job, Priority, Request, Stage, Work
from server.work_queue import WorkQueue

LATER = 1e6

_numbers = itertools.count()


def request(
    client: Hashable = "client",
    *,
    deadline: float = LATER,
    priority: Priority = Priority.INTERACTIVE,
    mode: Mode = Mode.LINE,
    arrived: float = 0.0,
) -> Request:
    """An image that has been admitted."""
    job = Job(b"", RecognizeOptions(mode=mode), priority)
    return Request(job, client, deadline, arrived, next(_numbers), Future())


def prepared(queue: WorkQueue, image: Request, keys: list[Hashable], now: float = 0.0) -> Request:
    """The image after a worker has prepared it and put its lines into the queue."""
    crop = LineCrop(np.zeros((1, 1, 3), np.uint8), Polygon(()))
    image.prepared = PreparedImage(1, 1, (crop,) * len(keys), Timings())
    queue.add_lines(image, keys, now)
    return image


class Simulation:
    """Workers that take from a queue whenever they are free. Each line costs a second, preparing a page nothing.

    started: worker seconds of each client by now. waits: how long each request's last line waited. idle_s: time during
    which a worker was free although work waited.
    """

    def __init__(self, workers: int = 1, max_batch_size: int = 1, line_s: float = 1.0) -> None:
        self.queue = WorkQueue(max_batch_size, workers, max_bytes=10**9, max_batch_s=max_batch_size * line_s)
        self.now = 0.0
        self.work_s: defaultdict[Hashable, float] = defaultdict(float)
        self.done: dict[Request, float] = {}
        self.begun: list[tuple[float, Request]] = []
        self._line_s = line_s
        self._lines: dict[Request, int] = {}
        self._free = workers
        self._events: list[tuple[float, int, Request | Work]] = []

    def arrive(self, image: Request, lines: int = 1) -> Request:
        """The image comes at its time of arrival."""
        self._lines[image] = lines
        heapq.heappush(self._events, (image.arrived, next(_numbers), image))
        return image

    def run(self, until: float = LATER) -> None:
        """Let time pass until then, or until nothing is left to do."""
        while self._events and self._events[0][0] <= until:
            self.now, _, event = heapq.heappop(self._events)
            if isinstance(event, Request):
                self.queue.add(event)
            else:
                self._end(event)
            self._begin()

    def _begin(self) -> None:
        while self._free and (work := self.queue.take(self.now, self._free)):
            if work.stage is Stage.PAGE:
                self.queue.finish(work, 0.0)
                (image,) = work.requests
                prepared(self.queue, image, [f"width {image.number % 3}"] * self._lines[image], self.now)
                continue
            self._free -= 1
            for line in work.requests:
                self.work_s[line.client] += self._line_s
                self.begun.append((self.now, line))
            heapq.heappush(self._events, (self.now + self._line_s * len(work.requests), next(_numbers), work))

    def _end(self, work: Work) -> None:
        self._free += 1
        self.queue.finish(work, self._line_s * len(work.requests))
        for image in work.requests:
            self._lines[image] -= 1
            if not self._lines[image]:
                image.answer.set_result(None)
                self.done[image] = self.now
