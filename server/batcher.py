"""The only file where asyncio meets blocking work: admitted images run through workers in shared batches."""

from __future__ import annotations

import asyncio
import itertools
import threading
import time
from collections.abc import Callable, Hashable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from ocr_core.errors import ModelNotFound
from ocr_core.rules.options import RuleOptions
from ocr_core.stages import AnyStages
from ocr_core.types import ModelInfo, Recognition
from server.admission import Admission, draining
from server.allocator import drop_loaded_files
from server.batch_reading import late
from server.calls import note_image
from server.document_room import DocumentRoom
from server.metrics import Metrics
from server.remote_stages import RemoteStages
from server.remote_workers import RemoteWorkers
from server.request import Job, Request, Stage, Work
from server.settings import Settings
from server.work_queue import WorkQueue
from server.workers import Outcome, ThreadWorkers, Workers

if TYPE_CHECKING:
    from ocr_core.frame_change import FrameSketch
    from ocr_core.rules.rules import Rules

_Result = TypeVar("_Result")

Answer = asyncio.Future[Recognition]
"""What a caller waits for. Cancelling it takes the work out of the queue."""

_Outcomes = list[tuple[Answer, Recognition | Exception]]
"""Of requests that need no more work."""


class Batcher:
    """Has images read by workers. Construct in a running event loop, start(), submit, drain(), close().

    Work that comes before start() has finished waits in the queue like any other. Deadlines are times of
    time.monotonic(). client: who shares the workers fairly with others. draining: resolved by drain().
    """

    def __init__(self, stages: AnyStages | RemoteStages, settings: Settings, metrics: Metrics | None = None) -> None:
        self._loop = asyncio.get_running_loop()
        self.draining: asyncio.Future[None] = self._loop.create_future()
        self._stages = stages
        self._metrics = metrics or Metrics()
        self._admission = Admission(settings, self._metrics)
        self._count = settings.workers
        self._changer = ThreadPoolExecutor(1, thread_name_prefix="models")
        self._aside = ThreadPoolExecutor(1, thread_name_prefix="aside")
        # Two for each: one may still be rendering a page that nobody wants when the other closes the document.
        self._rendering = ThreadPoolExecutor(2 * settings.max_documents, thread_name_prefix="document")
        self.documents = DocumentRoom(settings)
        self._started = asyncio.Event()
        self._numbers = itertools.count()
        # Its lock guards the queue and the requests in it.
        self._changed = threading.Condition(threading.Lock())
        self._queue = WorkQueue(settings.max_batch_size, settings.workers, settings.max_queue_bytes)
        self._workers: Workers
        # How workers have something done in the event loop, which those of another process are in already.
        self._soon: Callable[..., object]
        if isinstance(stages, RemoteStages):
            in_thread = partial(self._loop.run_in_executor, self._changer)
            self._workers = RemoteWorkers(stages, settings.workers, self._changed, self, in_thread)
            self._soon = self._loop.call_soon
        else:
            self._workers = ThreadWorkers(stages, settings.workers, self._changed, self)
            self._soon = self._loop.call_soon_threadsafe

    @property
    def is_ready(self) -> bool:
        """Whether the models are loaded and work is accepted."""
        return self._started.is_set() and not self.draining.done()

    async def start(self) -> None:
        """Load the models in a thread, then let the workers begin. Raises OcrError."""
        await self._loop.run_in_executor(self._changer, self._stages.start)
        # Ahead of the workers: a library that they load meanwhile could lose what is being written into it.
        await self._loop.run_in_executor(self._changer, drop_loaded_files)
        self._workers.start()
        self._started.set()

    async def drain(self, timeout_s: float) -> bool:
        """Refuse new work and wait for what was admitted. Returns whether all of it was finished in time."""
        if not self.draining.done():
            self.draining.set_result(None)
        self._admission.close()
        try:
            async with asyncio.timeout(timeout_s):
                await self._admission.idle()
        except TimeoutError:
            return False
        return True

    def close(self) -> None:
        """Stop the workers after what they are doing now, and free the models."""
        self._workers.close()
        self._changer.shutdown()
        self._aside.shutdown()
        self._rendering.shutdown()
        self._stages.close()

    def rules(self, options: RuleOptions) -> Rules | None:
        """What is done to the text of lines that nobody had to read. Blocks. Raises what the pipeline raises."""
        return self._stages.rules(options)

    async def models(self) -> tuple[ModelInfo, ...]:
        """Recognisers that requests can name, as soon as they are loaded. Raises Draining."""
        await self._started.wait()
        if self.draining.done():
            raise draining()
        return self._stages.models()

    async def check_model(self, name: str) -> None:
        """Raises ModelNotFound when requests cannot name it, and Draining. Empty: the default."""
        names = {name for model in await self.models() for name in model.names}
        if name and name not in names:
            raise ModelNotFound(f"no model {name!r} is loaded", "options.model")

    async def sketch(self, job: Job) -> FrameSketch:
        """Load the image of a frame, to compare it with others. Raises what the pipeline raises."""
        return await self.aside(partial(self._stages.sketch, job.image, job.options))

    async def aside(self, call: Callable[[], _Result]) -> _Result:
        """Run what is too long for the event loop and too short for the queue, one at a time. Raises what it raises."""
        return await self._loop.run_in_executor(self._aside, call)

    async def in_document_thread(self, call: Callable[[], _Result]) -> _Result:
        """Run what opens a document or loads a page of it. Raises what it raises."""
        return await self._loop.run_in_executor(self._rendering, call)

    async def change_models(self, change: Callable[[], None]) -> None:
        """Change loaded models in a thread, one change at a time. Raises what the change raises."""
        await self._loop.run_in_executor(self._changer, change)

    def stream(self, client: Hashable) -> AbstractContextManager[None]:
        """Count a stream as long as it lasts. Raises QueueFull or Draining."""
        return self._admission.stream(client)

    async def submit(self, job: Job, deadline: float, client: Hashable = None) -> Recognition:
        """Read one image. Raises QueueFull, Draining, DeadlineExpired, or what the pipeline raises."""
        arrived = time.monotonic()
        self._admit([job], deadline, client, arrived)
        return await self._ask(job, deadline, client, arrived)

    async def submit_all(
        self, jobs: Sequence[Job], deadline: float, client: Hashable = None
    ) -> list[Recognition | BaseException]:
        """Read several images, admitted together or not at all. One outcome each; raises QueueFull or Draining."""
        arrived = time.monotonic()
        self._admit(jobs, deadline, client, arrived)
        answers = [self._ask(job, deadline, client, arrived) for job in jobs]
        return await asyncio.gather(*answers, return_exceptions=True)

    async def submit_in_turn(
        self, job: Job, deadline: float, client: Hashable = None, prepared: Callable[[], None] | None = None
    ) -> Answer:
        """Read one frame: as submit(), but waits while the queue is full; returns once the frame is in the queue.

        prepared: called in the event loop when its pixels are no longer needed, unless it is given up before.
        """
        arrived = time.monotonic()
        if not self._admission.enters(client, job.size):
            try:
                async with asyncio.timeout(deadline - arrived):
                    await self._admission.wait(client, job.size)
            except TimeoutError:
                raise late() from None
        return self._ask(job, deadline, client, arrived, prepared)

    def _admit(self, jobs: Sequence[Job], deadline: float, client: Hashable, now: float) -> None:
        if deadline <= now:
            raise late()
        self._admission.take(
            client, [job.size for job in jobs], self._ready_in_s(jobs, deadline, client), deadline - now
        )

    def _ready_in_s(self, jobs: Sequence[Job], deadline: float, client: Hashable) -> float:
        """When these are likely to be answered; 0 when a worker is free, as estimates can be wrong."""
        with self._changed:
            if self._workers.free or not jobs:
                return 0.0
            costs = [self._queue.image_costs.of(job.stage) for job in jobs]
            wait_s = self._queue.wait_s(jobs[0].priority, client, deadline, sum(costs))
        return wait_s + max(costs[0], sum(costs) / self._count)

    def _ask(
        self,
        job: Job,
        deadline: float,
        client: Hashable,
        arrived: float,
        when_prepared: Callable[[], None] | None = None,
    ) -> Answer:
        """Put an admitted image into the queue. However the answer ends, its room is given back."""
        answer: Answer = self._loop.create_future()
        request = Request(job, client, deadline, arrived, next(self._numbers), answer, when_prepared)
        with self._changed:
            self._queue.add(request)
            self._metrics.images_waiting.set(self._queue.images)
            self._workers.wake()
        timer = self._loop.call_later(deadline - time.monotonic(), _expire, answer)
        size = job.size  # all of the job that may live as long as the answer: not its pixels
        # Soon, not at once: the caller, who waits, comes first.
        answer.add_done_callback(lambda _: self._loop.call_soon(self._leave, request, timer, size))
        self._metrics.images_held.set(self._admission.images)
        return answer

    def _leave(self, request: Request, timer: asyncio.TimerHandle, size: int) -> None:
        """Nobody waits for the request any more. size: bytes of its image."""
        answer = request.answer
        timer.cancel()
        with self._changed:
            self._queue.remove(request)
            self._workers.withdraw(request)
            request.left = time.monotonic()
            if not answer.cancelled() and answer.exception() is None:
                self._queue.image_costs.learn(request.job.stage, request.spent_s)
            self._metrics.images_waiting.set(self._queue.images)
        self._admission.release(request.client, size)
        self._metrics.images_held.set(self._admission.images)
        note_image(self._metrics, size, request.times(time.monotonic()), answer)

    def take(self, free_workers: int) -> Work | None:
        """As Desk."""
        now = time.monotonic()
        work = self._queue.take(now, free_workers)
        if work and work.lines:
            self._metrics.batch_taken(len(work.lines))
        self._metrics.images_waiting.set(self._queue.images)
        self._metrics.lines_waiting.set(self._queue.lines)
        self._metrics.workers_busy.set(min(self._count, self._count - self._workers.free + (work is not None)))
        return work

    def bring(self, work: Work, outcome: Outcome) -> None:
        """As Desk. The event loop hears of finished requests alone."""
        match work.stage:
            case Stage.PAGE:
                outcomes = self._bring_page(work, outcome)
            case Stage.LINE_IMAGE:
                outcomes = self._bring_images(work, outcome)
            case Stage.LINES:
                outcomes = self._bring_lines(work, outcome)
        if outcomes:
            self._soon(_deliver, outcomes)

    def _bring_page(self, work: Work, outcome: Outcome) -> _Outcomes:
        """Queue its lines."""
        (request,) = work.requests
        if outcome.prepared:
            self._count_start(request, outcome)
        # The lines have pixels of their own; a page that is read would hold up to 100 MB besides.
        request.job = replace(request.job, image=b"")
        request.prepared = outcome.prepared or request.prepared
        if request.when_prepared:
            self._soon(request.when_prepared)
        with self._changed:
            self._queue.finish(work, outcome.seconds)
            if outcome.keys and not request.answer.done():
                self._queue.add_lines(request, outcome.keys, time.monotonic())
                self._workers.wake(len(outcome.keys) - 1)
        return [] if outcome.keys else [(request.answer, outcome.error or self._assembled(request))]

    def _bring_images(self, work: Work, outcome: Outcome) -> _Outcomes:
        read, now = outcome.images, time.monotonic()
        with self._changed:
            self._queue.finish(work, outcome.seconds)
        if read is None:
            return [(request.answer, outcome.error or late()) for request in work.requests]
        for size in read.batches:
            self._metrics.batch_taken(size)
        outcomes: _Outcomes = []
        for request, recognition in zip(work.requests, read.outcomes, strict=True):
            request.job = replace(request.job, image=b"")
            request.started = outcome.started
            request.prepared_at = request.read_started = request.last_started = now - read.read_s
            if request.when_prepared:
                self._soon(request.when_prepared)
            if isinstance(recognition, Exception):
                outcomes.append((request.answer, recognition))
            else:
                self._count_start(request, outcome)
                outcomes.append((request.answer, _with_waits(request, recognition)))
        return outcomes

    def _bring_lines(self, work: Work, outcome: Outcome) -> _Outcomes:
        ended: list[tuple[Request, Exception | None]] = []
        with self._changed:
            self._queue.finish(work, outcome.seconds)
            for request, number, line in zip(work.requests, work.lines, outcome.lines, strict=True):
                if isinstance(line, Exception):
                    self._queue.remove(request)
                    ended.append((request, line))
                else:
                    if request not in outcome.left_out:
                        self._count_start(request, outcome)
                    request.lines[number] = line
                    if len(request.lines) == len(request.prepared.crops):
                        ended.append((request, None))
        return [(request.answer, error or self._assembled(request)) for request, error in ended]

    def _count_start(self, request: Request, outcome: Outcome) -> None:
        """Work of it was done: too late if nobody waited for that any more when it was begun."""
        if outcome.started >= request.deadline or (request.left is not None and outcome.started > request.left):
            self._metrics.late_starts.inc()

    def _assembled(self, request: Request) -> Recognition | Exception:
        """The lines put together."""
        try:
            lines = [request.lines[number] for number in range(len(request.lines))]
            recognition = self._stages.assemble(request.prepared, lines, request.job.options)
        except Exception as error:  # noqa: BLE001 - raised again where the answer is awaited
            return error
        return _with_waits(request, recognition)


def _with_waits(request: Request, recognition: Recognition) -> Recognition:
    """With the times that the pipeline does not know."""
    total_ms = 1e3 * (time.monotonic() - request.arrived)
    timings = replace(recognition.timings, queue_ms=1e3 * request.wait_s, total_ms=total_ms)
    return replace(recognition, timings=timings)


def _expire(answer: Answer) -> None:
    if not answer.done():
        answer.set_exception(late())


def _deliver(outcomes: Sequence[tuple[Answer, Recognition | Exception]]) -> None:
    """Tell those who still wait."""
    for answer, outcome in outcomes:
        if answer.done():
            continue
        if isinstance(outcome, Exception):
            answer.set_exception(outcome)
        else:
            answer.set_result(outcome)
