"""Load on a server through the public client: requests by a plan, and how each of them ended.

Closed loop: so many requests are unanswered at all times. Open loop: requests are due at random times, whatever the
server does, and their latency counts from when they were due, so a server that stalls cannot hide its queue.
"""

from __future__ import annotations

import asyncio
import itertools
import random
import time
from array import array
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from typing import Literal

import glyphwire
import grpc

Kind = Literal["unary", "batch", "stream"]
Image = bytes | glyphwire.RawImage

_Outcome = glyphwire.Recognition | glyphwire.OcrError

_TIMEOUT_S = 30.0
"""Of a call without a deadline, and of the frames that a stream has not answered when the time is over."""

_PAUSE_S = 0.01
"""After UNAVAILABLE and broken streams, so that a closed loop does not spin against a port where nobody listens."""

_GRACE_S = 0.5
"""How long after the end frames are still sent that were due before it."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What to send, and when.

    images: sent in turn. A request is a call, or a frame of a stream. rate: requests a second, on all streams together;
    None for a closed loop, which keeps `concurrency` requests unanswered, on each stream for itself. max_pending:
    unanswered calls of an open loop beyond which no more are sent.
    """

    kind: Kind
    images: Sequence[Image]
    options: glyphwire.RecognizeOptions
    duration_s: float
    warmup_s: float = 0.0
    rate: float | None = None
    concurrency: int = 1
    streams: int = 1
    batch_size: int = 1
    deadline_s: float | None = None
    max_pending: int = 1000
    seed: int = 0

    @property
    def images_per_request(self) -> int:
        """Images that one request carries."""
        return self.batch_size if self.kind == "batch" else 1


@dataclass(slots=True)
class Tally:
    """What became of the requests that were due in [begin, end). Times are those of time.perf_counter, in seconds.

    last: when the last of them was over. latency: of requests that were answered, from when they were due. lag: from
    when they were due to when they were sent. sent, unsent: requests; an open loop holds some back. read, in_time:
    images, in all and within the deadline. failed: images by status code and reason. broken: streams, likewise.
    """

    begin: float
    end: float
    last: float
    latency: array[float] = field(default_factory=lambda: array("d"))
    lag: array[float] = field(default_factory=lambda: array("d"))
    refusals: array[float] = field(default_factory=lambda: array("d"))
    sent: int = 0
    unsent: int = 0
    read: int = 0
    in_time: int = 0
    failed: Counter[tuple[str, str]] = field(default_factory=Counter)
    broken: Counter[tuple[str, str]] = field(default_factory=Counter)

    def add_sent(self, due: float) -> None:
        """A request leaves."""
        if self._counts(due):
            self.sent += 1
            self.lag.append(max(0.0, time.perf_counter() - due))

    def add_unsent(self, due: float) -> None:
        """A request is held back."""
        self.unsent += self._counts(due)

    def add_answer(self, due: float, outcomes: Sequence[_Outcome], deadline_s: float | None) -> None:
        """A request is over; one outcome for each of its images."""
        if not self._counts(due):
            return
        now = time.perf_counter()
        self.last = max(self.last, now)
        read = sum(not isinstance(outcome, glyphwire.OcrError) for outcome in outcomes)
        self.read += read
        self.failed.update(_cause(outcome) for outcome in outcomes if isinstance(outcome, glyphwire.OcrError))
        if read:
            self.latency.append(now - due)
            self.in_time += read if deadline_s is None or now - due <= deadline_s else 0

    def add_refusal(self, due: float, seconds: float) -> None:
        """A call that is over was refused so long after it was sent."""
        if self._counts(due):
            self.refusals.append(seconds)

    def _counts(self, due: float) -> bool:
        return self.begin <= due < self.end


class Load:
    """One run of a plan. clients: one connection each, used in turn."""

    def __init__(self, clients: Sequence[glyphwire.AsyncOcrClient], plan: Plan) -> None:
        self._clients = itertools.cycle(clients)
        self._images = itertools.cycle(plan.images)
        self._plan = plan
        start = time.perf_counter()
        begin = start + plan.warmup_s
        self.tally = Tally(begin, begin + plan.duration_s, begin)
        senders = plan.streams if plan.kind == "stream" else 1
        self._arrivals = (
            [_Arrivals(start, plan.rate / senders, f"{plan.seed}/{number}") for number in range(senders)]
            if plan.rate is not None
            else []
        )

    async def run(self) -> Tally:
        """Send until the time is over, and wait for what is unanswered then."""
        plan = self._plan
        async with asyncio.TaskGroup() as group:
            if plan.kind == "stream":
                for number in range(plan.streams):
                    group.create_task(self._keep_streaming(self._arrivals[number] if self._arrivals else None))
            elif self._arrivals:
                group.create_task(self._call_when_due(self._arrivals[0]))
            else:
                for _ in range(plan.concurrency):
                    group.create_task(self._keep_calling())
        return self.tally

    async def _keep_calling(self) -> None:
        while (now := time.perf_counter()) < self.tally.end:
            outcome = (await self._call(now))[0]
            if isinstance(outcome, glyphwire.OcrError) and outcome.code is grpc.StatusCode.UNAVAILABLE:
                await asyncio.sleep(_PAUSE_S)

    async def _call_when_due(self, arrivals: _Arrivals) -> None:
        pending: set[asyncio.Task[Sequence[_Outcome]]] = set()
        async with asyncio.TaskGroup() as group:
            while (due := arrivals.due) < self.tally.end:
                await asyncio.sleep(due - time.perf_counter())
                arrivals.advance()
                if len(pending) >= self._plan.max_pending:
                    self.tally.add_unsent(due)
                    continue
                call = group.create_task(self._call(due))
                pending.add(call)
                call.add_done_callback(pending.discard)

    async def _call(self, due: float) -> Sequence[_Outcome]:
        plan, client = self._plan, next(self._clients)
        images = list(itertools.islice(self._images, plan.images_per_request))
        sent = time.perf_counter()
        left_s = _TIMEOUT_S if plan.deadline_s is None else max(0.0, due + plan.deadline_s - sent)
        self.tally.add_sent(due)
        outcomes: Sequence[_Outcome]
        try:
            if plan.kind == "batch":
                outcomes = await client.recognize_batch(images, plan.options, timeout_s=left_s)
            else:
                outcomes = [await client.recognize(images[0], plan.options, timeout_s=left_s)]
        except glyphwire.OcrError as error:
            outcomes = [error] * len(images)
            if error.reason is glyphwire.ErrorReason.QUEUE_FULL:
                self.tally.add_refusal(due, time.perf_counter() - sent)
        self.tally.add_answer(due, outcomes, plan.deadline_s)
        return outcomes

    async def _keep_streaming(self, arrivals: _Arrivals | None) -> None:
        """One stream, and another one whenever it breaks before the time is over."""
        tally = self.tally
        while (now := time.perf_counter()) < tally.end:
            waiting = _Waiting(self._plan.concurrency)
            try:
                await self._stream(waiting, arrivals, tally.end - now + _TIMEOUT_S)
            except glyphwire.OcrError as error:
                waiting.close()
                tally.broken[_cause(error)] += 1
                for due in waiting.dues.values():
                    tally.add_answer(due, [error], None)
                await asyncio.sleep(_PAUSE_S)
        if arrivals:
            while arrivals.due < tally.end:
                tally.add_unsent(arrivals.due)
                arrivals.advance()

    async def _stream(self, waiting: _Waiting, arrivals: _Arrivals | None, timeout_s: float) -> None:
        plan = self._plan
        frames = self._frames_when_due(waiting, arrivals) if arrivals else self._frames_when_answered(waiting)
        async for result in next(self._clients).stream(frames, plan.options, timeout_s=timeout_s):
            if not isinstance(result.outcome, glyphwire.FrameDropped):  # none is, by default
                self.tally.add_answer(waiting.pop(result.frame_id), [result.outcome], plan.deadline_s)

    async def _frames_when_answered(self, waiting: _Waiting) -> AsyncIterator[glyphwire.Frame]:
        while True:
            await waiting.room.acquire()
            if (now := time.perf_counter()) >= self.tally.end or waiting.closed:
                return
            yield self._frame(waiting, now)

    async def _frames_when_due(self, waiting: _Waiting, arrivals: _Arrivals) -> AsyncIterator[glyphwire.Frame]:
        while (due := arrivals.due) < self.tally.end:
            await asyncio.sleep(due - time.perf_counter())
            if time.perf_counter() >= self.tally.end + _GRACE_S or waiting.closed:
                return
            arrivals.advance()
            yield self._frame(waiting, due)

    def _frame(self, waiting: _Waiting, due: float) -> glyphwire.Frame:
        self.tally.add_sent(due)
        return glyphwire.Frame(next(self._images), waiting.push(due))


class _Arrivals:
    """Times at which requests are due: a Poisson process."""

    def __init__(self, start: float, rate: float, seed: str) -> None:
        self._rate = rate
        self._random = random.Random(seed)  # noqa: S311 - no secret
        self.due = start
        self.advance()

    def advance(self) -> None:
        """To the next one."""
        self.due += self._random.expovariate(self._rate)


class _Waiting:
    """The frames of one stream that are sent and not answered. room: for as many as a closed loop may send."""

    def __init__(self, concurrency: int) -> None:
        self.dues: dict[int, float] = {}
        self.closed = False
        self.room = asyncio.Semaphore(concurrency)
        self._ids = itertools.count()

    def close(self) -> None:
        """The stream is broken: whoever makes its frames is woken, and leaves them to the next stream."""
        self.closed = True
        self.room.release()

    def push(self, due: float) -> int:
        """Returns the frame's id."""
        frame_id = next(self._ids)
        self.dues[frame_id] = due
        return frame_id

    def pop(self, frame_id: int) -> float:
        """When the frame was due."""
        self.room.release()
        return self.dues.pop(frame_id)


def _cause(error: glyphwire.OcrError) -> tuple[str, str]:
    return error.code.name, error.reason.name
