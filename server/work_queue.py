"""Which waiting work runs next: the policy alone, without threads, futures' callbacks or clocks."""

from __future__ import annotations

import asyncio
import heapq
import itertools
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from ocr_core.types import LineCrop, PreparedImage, RawImage, ReadLine, RecognizeOptions

_Result = TypeVar("_Result")


@dataclass(frozen=True, slots=True)
class Job:
    """One image to read, and how."""

    image: bytes | RawImage
    options: RecognizeOptions

    @property
    def size(self) -> int:
        """Bytes of the image as it was sent."""
        return len(self.image.pixels if isinstance(self.image, RawImage) else self.image)


@dataclass(eq=False, slots=True)
class Task(Generic[_Result]):
    """A piece of work in the queue. Times are the event loop's, in seconds. done: resolved with the result.

    is_started: whether a worker has taken it.
    """

    done: asyncio.Future[_Result]
    deadline: float
    queued_at: float
    started_at: float
    is_started: bool = field(default=False, kw_only=True)

    @property
    def wait_s(self) -> float:
        """Time spent in the queue."""
        return self.started_at - self.queued_at


@dataclass(eq=False, slots=True)
class PrepareTask(Task[PreparedImage]):
    """Load an image and find its lines."""

    job: Job


@dataclass(eq=False, slots=True)
class LineTask(Task[ReadLine]):
    """Read one line crop; those of equal key may share a batch."""

    crop: LineCrop
    options: RecognizeOptions
    key: Hashable


Batch = Sequence[PrepareTask | LineTask]
"""What one worker does at once: one image to prepare, or lines of one key to read."""

_T = TypeVar("_T", PrepareTask, LineTask)


class _Heap(Generic[_T]):
    """Tasks by deadline, those of one deadline in the order of their arrival."""

    def __init__(self) -> None:
        self._entries: list[tuple[float, int, _T]] = []

    def __len__(self) -> int:
        return len(self._entries)

    def push(self, order: int, task: _T) -> None:
        heapq.heappush(self._entries, (task.deadline, order, task))

    def pop(self) -> _T:
        return heapq.heappop(self._entries)[2]

    def head(self) -> tuple[float, int]:
        """Deadline and order of the first task."""
        return self._entries[0][:2]

    def oldest(self) -> float:
        """When the task that has waited longest was queued."""
        return min(task.queued_at for _, _, task in self._entries)

    def drop_expired(self, now: float) -> None:
        """Expired tasks are the first ones: the heap is in the order of deadlines."""
        while self._entries and (self._entries[0][0] <= now or self._entries[0][2].done.done()):
            self.pop()

    def drop_done(self) -> None:
        self._entries = [entry for entry in self._entries if not entry[2].done.done()]
        heapq.heapify(self._entries)


class WorkQueue:
    """Waiting images and line crops.

    Earliest deadline first. Images are prepared before lines are read, so that lines of many callers meet in one batch,
    until a batch is full, `max_ahead` lines wait (which bounds the memory of prepared images), or `max_ahead` images in
    a row have been prepared (so that blank images cannot keep the lines of others waiting).
    """

    def __init__(self, max_batch_size: int, max_ahead: int, max_wait_s: float) -> None:
        self._max_batch_size = max_batch_size
        self._max_ahead = max_ahead
        self._max_wait_s = max_wait_s
        self._order = itertools.count()
        self._images_in_a_row = 0
        self._images: _Heap[PrepareTask] = _Heap()
        self._lines: dict[Hashable, _Heap[LineTask]] = {}

    def __len__(self) -> int:
        return len(self._images) + self._line_count()

    def push_image(self, task: PrepareTask) -> None:
        """Add an image to prepare."""
        self._images.push(next(self._order), task)

    def push_lines(self, tasks: Iterable[LineTask]) -> None:
        """Add line crops to read."""
        for task in tasks:
            self._lines.setdefault(task.key, _Heap()).push(next(self._order), task)

    def drop_done(self) -> None:
        """Forget tasks whose callers have gone, and with them their images."""
        self._images.drop_done()
        for lines in self._lines.values():
            lines.drop_done()
        self._drop_empty()

    def take(self, now: float, free_workers: int) -> Batch | None:
        """The next batch for one of the free workers, or None. Expired tasks are dropped on the way."""
        self._drop_expired(now)
        if self._lines and self._is_time_to_read(now) and not self._is_image_more_urgent():
            self._images_in_a_row = 0
            return self._take_lines(free_workers)
        if not self._images:
            return None
        self._images_in_a_row += 1
        return [self._images.pop()]

    def next_ripe_at(self) -> float | None:
        """When lines that wait for company will be read anyway; None when no line waits for company."""
        if not self._lines or not self._max_wait_s:
            return None
        return min(lines.oldest() for lines in self._lines.values()) + self._max_wait_s

    def _is_image_more_urgent(self) -> bool:
        """Whether an image must be answered before every line that waits; not so often that lines never get a turn."""
        if not self._images or self._images_in_a_row >= self._max_ahead:
            return False
        return self._images.head()[0] < min(lines.head()[0] for lines in self._lines.values())

    def _is_time_to_read(self, now: float) -> bool:
        if max(self._line_count(), self._images_in_a_row) >= self._max_ahead:
            return True
        if any(len(lines) >= self._max_batch_size for lines in self._lines.values()):
            return True
        ripe_at = self.next_ripe_at()
        return not self._images and (ripe_at is None or ripe_at <= now)

    def _take_lines(self, free_workers: int) -> list[LineTask]:
        """Lines of the key whose turn it is; few enough that every free worker gets a share."""
        key = min(self._lines, key=lambda key: self._lines[key].head())
        share = -(-self._line_count() // free_workers)
        lines = self._lines[key]
        batch = [lines.pop() for _ in range(min(share, self._max_batch_size, len(lines)))]
        self._drop_empty()
        return batch

    def _drop_expired(self, now: float) -> None:
        self._images.drop_expired(now)
        for lines in self._lines.values():
            lines.drop_expired(now)
        self._drop_empty()

    def _drop_empty(self) -> None:
        self._lines = {key: lines for key, lines in self._lines.items() if lines}

    def _line_count(self) -> int:
        return sum(len(lines) for lines in self._lines.values())
