"""When an image went from hand to hand."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ImageTimes:
    """Of one admitted image, in seconds of time.monotonic; None for what it did not come to.

    arrived: admitted. prepare_started: a worker took it. prepared: its lines are queued. read_started: a worker took
    the first of its lines. ended: answered, failed or given up. deadline: by when it was to be answered.
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
