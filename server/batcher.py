"""The only file where asyncio meets blocking work: admitted images run through worker threads in shared batches.

Everything but `_run` happens in the event loop's thread, so there are no locks.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, NoReturn, Protocol

import structlog

from ocr_core.stages import Stages
from ocr_core.types import LineCrop, ModelInfo, PreparedImage, ReadLine, Recognition
from server.admission import Admission, draining
from server.calls import note_image
from server.errors import DeadlineExpired
from server.image_times import ImageTimes
from server.metrics import Metrics
from server.settings import Settings
from server.work_queue import Batch, Job, LineTask, PrepareTask, Task, WorkQueue

_Outcomes = list[PreparedImage | ReadLine | Exception]

_log = structlog.get_logger(__name__)


class StartableStages(Stages, Protocol):
    """Stages that load their models in start() and free them in close(). Both block."""

    def start(self) -> None:
        """Load and warm up. Raises OcrError."""

    def close(self) -> None:
        """Free what start() took."""


class Batcher:
    """Reads images in worker threads. Construct, start(), submit from coroutines, drain(), close().

    Work that comes before start() has finished waits in the queue like any other. Deadlines are times of the running
    event loop. Work that is cancelled or late leaves the queue at once and holds nobody up.
    """

    def __init__(self, stages: StartableStages, settings: Settings, metrics: Metrics | None = None) -> None:
        self._stages = stages
        self._metrics = metrics or Metrics()
        self._workers = settings.workers
        self._admission = Admission(settings.max_queue, settings.max_queue_bytes)
        self._queue = WorkQueue(
            max_batch_size=settings.max_batch_size,
            max_ahead=settings.max_batch_size * settings.workers,
            max_wait_s=settings.max_wait_ms / 1e3,
        )
        self._pool = ThreadPoolExecutor(settings.workers, thread_name_prefix="worker")
        self._free_workers = 0
        self._closed = False
        self._started = asyncio.Event()
        self._draining = asyncio.Event()
        self._timer: asyncio.TimerHandle | None = None

    async def start(self) -> None:
        """Load the models in a worker thread, then let the workers begin. Raises OcrError."""
        await asyncio.get_running_loop().run_in_executor(self._pool, self._stages.start)
        self._free_workers = self._workers
        self._started.set()
        self._dispatch()

    async def drain(self, timeout_s: float) -> bool:
        """Refuse new work and wait for what was admitted. Returns whether all of it was finished in time."""
        self._draining.set()
        self._admission.close()
        try:
            async with asyncio.timeout(timeout_s):
                await self._admission.idle()
        except TimeoutError:
            return False
        return True

    def close(self) -> None:
        """Stop the workers after what they are doing now, and free the models."""
        self._closed = True
        self._pool.shutdown(cancel_futures=True)
        self._stages.close()

    async def raise_when_draining(self) -> NoReturn:
        """Wait until the server stops, then raise Draining."""
        await self._draining.wait()
        raise draining()

    async def models(self) -> tuple[ModelInfo, ...]:
        """Recognisers that requests can name, as soon as they are loaded. Raises Draining."""
        await self._started.wait()
        if self._draining.is_set():
            raise draining()
        return self._stages.models()

    async def submit(self, job: Job, deadline: float) -> Recognition:
        """Read one image. Raises QueueFull, Draining, DeadlineExpired, or what the pipeline raises."""
        self._admission.take([job.size])
        return await self._start_admitted(job, deadline)

    async def submit_all(self, jobs: Sequence[Job], deadline: float) -> list[Recognition | BaseException]:
        """Read several images, admitted together or not at all. One outcome each; raises QueueFull or Draining."""
        self._admission.take([job.size for job in jobs])
        reading = [self._start_admitted(job, deadline) for job in jobs]
        return await asyncio.gather(*reading, return_exceptions=True)

    async def submit_in_turn(self, job: Job, deadline: float, admitted: asyncio.Event) -> Recognition:
        """Read one image of a stream: as submit(), but waits while the queue is full; sets `admitted` when it is in."""
        async with _until(deadline):
            await self._admission.wait(job.size)
        admitted.set()
        return await self._start_admitted(job, deadline)

    def _start_admitted(self, job: Job, deadline: float) -> asyncio.Task[Recognition]:
        """A task, as its callback gives the room back even when it is cancelled before its first step."""
        now = _now()
        request = _Request(PrepareTask(_future(), deadline, now, now, job))
        self._metrics.images_held.inc()
        reading = asyncio.create_task(self._read_admitted(request))
        reading.add_done_callback(partial(self._end_admitted, request))
        return reading

    def _end_admitted(self, request: _Request, reading: asyncio.Task[Recognition]) -> None:
        self._admission.release([request.image.job.size])
        self._metrics.images_held.dec()
        note_image(self._metrics, request.image.job.size, request.times(), reading)

    async def _read_admitted(self, request: _Request) -> Recognition:
        image = request.image
        try:
            async with _until(image.deadline):
                prepared = await self._prepare(image)
                lines = await self._read_lines(request, prepared.crops)
            return request.timed(self._stages.assemble(prepared, lines, image.job.options))
        finally:
            self._forget(request)

    async def _prepare(self, image: PrepareTask) -> PreparedImage:
        self._queue.push_image(image)
        self._dispatch()
        return await image.done

    async def _read_lines(self, request: _Request, crops: Sequence[LineCrop]) -> list[ReadLine]:
        now, options = _now(), request.image.job.options
        for crop in crops:
            key = self._stages.batch_key(crop, options)
            request.lines.append(LineTask(_future(), request.image.deadline, now, now, crop, options, key))
        self._queue.push_lines(request.lines)
        self._dispatch()
        return await asyncio.gather(*(task.done for task in request.lines))

    def _forget(self, request: _Request) -> None:
        """Take what is left of a request out of the queue."""
        if request.cancel():
            self._queue.drop_done()

    def _dispatch(self) -> None:
        """Give work to every free worker, as far as there is any."""
        if self._closed:
            return
        now = _now()
        while self._free_workers and (batch := self._queue.take(now, self._free_workers)):
            self._free_workers -= 1
            for task in batch:
                task.started_at, task.is_started = now, True
            if isinstance(batch[0], LineTask):
                self._metrics.batch_taken(len(batch))
            running = asyncio.get_running_loop().run_in_executor(self._pool, _run, self._stages, batch)
            running.add_done_callback(partial(self._deliver, batch))
        self._arm_timer()

    def _arm_timer(self) -> None:
        """Come back when lines have waited long enough for company. With max_wait_ms 0 there is never a timer."""
        if self._timer:
            self._timer.cancel()
        ripe_at = self._queue.next_ripe_at() if self._free_workers else None
        self._timer = asyncio.get_running_loop().call_at(ripe_at, self._dispatch) if ripe_at is not None else None

    def _deliver(self, batch: Batch, running: asyncio.Future[_Outcomes]) -> None:
        """Hand each task its outcome; the worker is free again."""
        self._free_workers += 1
        for task, outcome in zip(batch, running.result(), strict=True):
            _settle(task, outcome)
        # Not at once: a request whose image is ready adds its lines first, so that they join the next batch.
        asyncio.get_running_loop().call_soon(self._dispatch)


@dataclass(slots=True)
class _Request:
    """An admitted image and its tasks."""

    image: PrepareTask
    lines: list[LineTask] = field(default_factory=list)

    def cancel(self) -> bool:
        """Cancel what is not finished; returns whether something was, by this or by the end of the caller."""
        tasks: list[Task[Any]] = [*self.lines, self.image]
        for task in tasks:
            task.done.cancel()
        return any(task.done.cancelled() for task in tasks)

    def times(self) -> ImageTimes:
        """Of an image that is over now."""
        image, started = self.image, [task.started_at for task in self.lines if task.is_started]
        return ImageTimes(
            arrived=image.queued_at,
            deadline=image.deadline,
            ended=_now(),
            prepare_started=image.started_at if image.is_started else None,
            prepared=self.lines[0].queued_at if self.lines else None,
            read_started=min(started, default=None),
        )

    def timed(self, recognition: Recognition) -> Recognition:
        """Add the waits: of the image, and the longest of the lines, which wait at the same time."""
        waits_s = self.image.wait_s + max((task.wait_s for task in self.lines), default=0.0)
        total_s = _now() - self.image.queued_at
        timings = replace(recognition.timings, queue_ms=1e3 * waits_s, total_ms=1e3 * total_s)
        return replace(recognition, timings=timings)


def _run(stages: Stages, batch: Batch) -> _Outcomes:
    """In a worker thread: one outcome per task. Whatever goes wrong is the outcome of the task it belongs to."""
    if isinstance(batch[0], PrepareTask):
        job = batch[0].job
        try:
            return [stages.prepare(job.image, job.options)]
        except Exception as error:  # noqa: BLE001 - raised again where the task is awaited
            return [error]
    return _read_lines(stages, [task for task in batch if isinstance(task, LineTask)])


def _read_lines(stages: Stages, tasks: Sequence[LineTask]) -> _Outcomes:
    """A batch that fails is read again line by line, so that only the owner of a bad line is told."""
    try:
        lines = stages.read_lines([task.crop for task in tasks], [task.options for task in tasks])
        if len(lines) != len(tasks):
            raise RuntimeError(f"{len(tasks)} lines went into a batch, {len(lines)} came out")
    except Exception as error:  # noqa: BLE001 - raised again where the task is awaited
        if len(tasks) == 1:
            return [error]
        _log.warning("batch_failed", lines=len(tasks), error=repr(error))
        return [outcome for task in tasks for outcome in _read_lines(stages, [task])]
    return [*lines]


def _settle(task: Task[Any], outcome: object) -> None:
    """Nobody waits for a cancelled task."""
    if task.done.done():
        return
    if isinstance(outcome, Exception):
        task.done.set_exception(outcome)
    else:
        task.done.set_result(outcome)


@asynccontextmanager
async def _until(deadline: float) -> AsyncIterator[None]:
    """Raises DeadlineExpired when the deadline has passed, or passes inside."""
    late = DeadlineExpired("the deadline passed while the work was queued")
    if deadline <= _now():
        raise late
    scope = asyncio.timeout_at(deadline)
    try:
        async with scope:
            yield
    except TimeoutError:
        if scope.expired():
            raise late from None
        raise


def _now() -> float:
    return asyncio.get_running_loop().time()


def _future() -> asyncio.Future[Any]:
    return asyncio.get_running_loop().create_future()
