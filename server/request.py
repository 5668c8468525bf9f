"""What travels through the server: jobs, the requests they become, and the work that these need."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from enum import Enum, StrEnum

from ocr_core.stages import WaitingImage
from ocr_core.types import (
    Mode,
    PreparedImage,
    RawImage,
    Recognition,
    RecognizeOptions,
    Timings,
    UnchangedOptions,
    VotingOptions,
)

_NOT_YET: WaitingImage = PreparedImage(0, 0, (), Timings())


class Priority(StrEnum):
    """How urgent an answer is."""

    INTERACTIVE = "interactive"
    BULK = "bulk"


class Stage(StrEnum):
    """What a request waits for."""

    PAGE = "page"
    """To be prepared."""
    LINE_IMAGE = "line image"
    """To be prepared and read, with others of its kind."""
    LINES = "lines"
    """Of a page, to be read."""


@dataclass(frozen=True, slots=True)
class Job:
    """One image to read, and how."""

    image: bytes | RawImage
    options: RecognizeOptions
    priority: Priority = Priority.INTERACTIVE

    @property
    def size(self) -> int:
        """Bytes of the image as it was sent."""
        return len(self.image.pixels if isinstance(self.image, RawImage) else self.image)

    @property
    def stage(self) -> Stage:
        """What it waits for first."""
        return Stage.PAGE if self.options.mode is Mode.PAGE else Stage.LINE_IMAGE


class FramePolicy(Enum):
    """Which frames of a stream are read."""

    EVERY = "every"
    LATEST = "latest"


@dataclass(frozen=True, slots=True)
class StreamConfig:
    """What all frames of a stream have in common. job: lacks its image. unchanged, voting: None when not asked for."""

    job: Job
    frame_policy: FramePolicy
    unchanged: UnchangedOptions | None
    voting: VotingOptions | None


@dataclass(frozen=True, slots=True)
class ImageTimes:
    """Of one admitted image, in seconds of time.monotonic; None for what it did not come to.

    arrived: admitted. prepare_started: a worker took it. prepared: its lines are queued. read_started: a worker took
    the first of its lines; of an image of a line, both when it was read. ended: answered, failed or given up. deadline:
    by when it was to be answered.
    """

    arrived: float
    deadline: float
    ended: float
    prepare_started: float | None = None
    prepared: float | None = None
    read_started: float | None = None

    @property
    def next_stage(self) -> str:
        """What it did not come to: prepare, infer or answer."""
        if self.prepare_started is None:
            return "prepare"
        return "infer" if self.read_started is None else "answer"


@dataclass(eq=False, slots=True)
class Request:
    """An admitted image on its way through the queue. Times in seconds of time.monotonic().

    number: in the order of arrival. answer: done when nobody waits any more. when_prepared: for the event loop to call.
    left: when all knew that nobody waits.
    stage: what it waits for. started: when a worker took the image. prepared_at: when its lines were queued, or begun.
    read_started, last_started: when a worker took the first, and the latest, of its lines. lines: those that were read,
    by number. For the queue: unread, the numbers of the lines that wait, by batch key, those at the end first; spent_s
    and cost_s, worker time so far and still to come, by estimate; place, in its lane, while it waits.
    """

    job: Job
    client: Hashable
    deadline: float
    arrived: float
    number: int
    answer: asyncio.Future[Recognition]
    when_prepared: Callable[[], None] | None = None
    left: float | None = None
    stage: Stage = field(init=False)
    started: float | None = None
    prepared_at: float | None = None
    prepared: WaitingImage = _NOT_YET
    read_started: float | None = None
    last_started: float | None = None
    lines: dict[int, object] = field(default_factory=dict)
    unread: dict[Hashable, list[int]] = field(default_factory=dict)
    spent_s: float = 0.0
    cost_s: float = 0.0
    place: tuple[int, float, int] | None = None

    def __post_init__(self) -> None:
        self.stage = self.job.stage

    @property
    def wait_s(self) -> float:
        """Time in the queue: of the image, and the longest of the lines, which wait at the same time."""
        image_s = 0.0 if self.started is None else self.started - self.arrived
        if self.last_started is None or self.prepared_at is None:
            return image_s
        return image_s + self.last_started - self.prepared_at

    def times(self, ended: float) -> ImageTimes:
        """When it went from hand to hand."""
        return ImageTimes(self.arrived, self.deadline, ended, self.started, self.prepared_at, self.read_started)

    def is_over(self, now: float) -> bool:
        """Whether nobody wants its answer any more."""
        return self.deadline <= now or self.answer.done()


@dataclass(frozen=True, slots=True, eq=False)
class Work:
    """What one worker does at once: a page to prepare, images of lines to read, or lines of one batch key to read.

    stage: of the requests. kind: what its costs are known by, the stage or the lines' key. cost_s: estimated seconds
    for each of the requests. lines: the number of the line of each request; empty for images.
    """

    stage: Stage
    kind: Hashable
    cost_s: float
    requests: list[Request]
    lines: list[int]
