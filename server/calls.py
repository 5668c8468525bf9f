"""One call as its operators see it: what goes into the access log, the metrics and the trace."""

from __future__ import annotations

import asyncio
import time
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import grpc
import structlog

from ocr_core.types import Recognition
from server.errors import DeadlineExpired
from server.faults import fault_of
from server.metrics import Metrics
from server.request import ImageTimes

if TYPE_CHECKING:
    from server.tracing import CallTrace

_SAME_TIME_S = 0.01
"""A late call is cancelled by gRPC as well, whose clock may be ahead of ours by so much."""

_log = structlog.get_logger(__name__)


@dataclass(slots=True)
class Call:
    """Made by its frame, filled while the call is answered. trace: None when the call is not traced.

    client, peer: who calls, and from which address and port. queue_ms: the longest wait of an image, as images wait
    side by side.
    """

    method: str
    request_id: str
    client: str
    peer: str
    trace_id: str
    trace: CallTrace | None
    metrics: Metrics
    started: float = field(default_factory=time.perf_counter)
    images: int = 0
    image_bytes: int = 0
    lines: int = 0
    queue_ms: float = 0.0
    models: set[str] = field(default_factory=set)

    def add_image(self, size: int, recognition: Recognition | None) -> None:
        """An image of so many bytes was read, or not."""
        self.images += 1
        self.image_bytes += size
        if recognition:
            self.lines += len(recognition.lines)
            self.queue_ms = max(self.queue_ms, recognition.timings.queue_ms)
            self.models.add(recognition.model_name)

    def end(self, code: grpc.StatusCode, reason: str = "") -> None:
        """Log, count and trace it."""
        seconds = time.perf_counter() - self.started
        self.metrics.call_ended(self.method, code.name, reason, seconds)
        if self.trace:
            self.trace.end(code, reason, {"images": self.images, "lines": self.lines})
        _log.info(
            "call",
            method=self.method,
            code=code.name,
            reason=reason,
            duration_ms=round(1e3 * seconds, 3),
            queue_ms=round(self.queue_ms, 3),
            images=self.images,
            bytes=self.image_bytes,
            lines=self.lines,
            model=",".join(sorted(self.models)),
            client=self.client,
            peer=self.peer,
            trace_id=self.trace_id,
        )


_current: ContextVar[Call | None] = ContextVar("call", default=None)

set_current_call = _current.set


def note_item(outcome: Recognition | BaseException) -> None:
    """An item of a batch or a frame of a stream is answered."""
    _count_item("OK" if isinstance(outcome, Recognition) else fault_of(outcome).reason_name)


def note_dropped_frame() -> None:
    """A frame of a stream is answered without having been read."""
    _count_item("DROPPED")


def _count_item(outcome: str) -> None:
    if call := _current.get():
        call.metrics.item_ended(call.method, outcome)


def note_image(metrics: Metrics, size: int, times: ImageTimes, answer: asyncio.Future[Recognition]) -> None:
    """An admitted image of so many bytes is over. answer: what became of it."""
    error = asyncio.CancelledError() if answer.cancelled() else answer.exception()
    recognition = None if error else answer.result()
    if recognition:
        metrics.image_read(recognition)
    elif isinstance(error, (asyncio.CancelledError, DeadlineExpired)):
        cause = "expired" if times.ended > times.deadline - _SAME_TIME_S else "cancelled"
        metrics.image_dropped(cause, times.next_stage)
    if call := _current.get():
        call.add_image(size, recognition)
        if call.trace:
            call.trace.add_image(times, recognition.timings if recognition else None)
