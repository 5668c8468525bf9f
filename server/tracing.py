"""OpenTelemetry traces of the calls that were chosen for it; all others cost a look at one header.

Needs the extra `tracing`; imported when `otlp_endpoint` is set.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import grpc
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.sampling import ALWAYS_ON
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from ocr_core.types import Timings
from server.traceparent import Traceparent
from server.work_queue import LineTask, PrepareTask

_EXPORT_S = 2.0
"""How long one export may take, and the last one at the end of the server."""

_PREPARING = ("load_image", "find_lines", "preprocess")
_SERVER_FAULTS = {
    grpc.StatusCode.UNKNOWN,
    grpc.StatusCode.DEADLINE_EXCEEDED,
    grpc.StatusCode.UNIMPLEMENTED,
    grpc.StatusCode.INTERNAL,
    grpc.StatusCode.UNAVAILABLE,
    grpc.StatusCode.DATA_LOSS,
}
"""Codes that make the span of a server an error, by OpenTelemetry's conventions for RPC."""


class Tracing:
    """Starts the traces, and hands finished spans to a processor. sample_ratio: of calls without a traceparent."""

    def __init__(self, processor: SpanProcessor, sample_ratio: float) -> None:
        self._sample_ratio = sample_ratio
        # Whether to sample is decided before the SDK is asked: its own way to say no costs as much as a span.
        self._provider = TracerProvider(
            sampler=ALWAYS_ON, resource=Resource.create({"service.name": "glyphwire"}), shutdown_on_exit=False
        )
        self._provider.add_span_processor(processor)
        self._tracer = self._provider.get_tracer("glyphwire")
        self._propagator = TraceContextTextMapPropagator()

    def start(self, path: str, parent: Traceparent | None, metadata: Mapping[str, Any]) -> CallTrace | None:
        """The trace of a call of /service/method, if it is to be traced: as its caller decided, else by chance."""
        if not (parent.sampled if parent else random.random() < self._sample_ratio):  # noqa: S311 - no secret
            return None
        service, _, method = path.lstrip("/").partition("/")
        span = self._tracer.start_span(
            f"{service}/{method}",
            self._propagator.extract(metadata) if parent else None,
            trace.SpanKind.SERVER,
            {"rpc.system": "grpc", "rpc.service": service, "rpc.method": method},
        )
        return CallTrace(self._tracer, span)

    def close(self) -> None:
        """Send what is left. Blocks."""
        self._provider.shutdown()


def tracing_to(endpoint: str, sample_ratio: float) -> Tracing:
    """Sends spans by OTLP over gRPC to a collector, in a thread of its own. https:// makes it TLS."""
    exporter = OTLPSpanExporter(endpoint, insecure=not endpoint.startswith("https:"), timeout=_EXPORT_S)
    return Tracing(BatchSpanProcessor(exporter), sample_ratio)


class CallTrace:
    """The span of one call; those of its images are below it."""

    def __init__(self, tracer: trace.Tracer, span: trace.Span) -> None:
        self._tracer = tracer
        self._span = span
        self._context = trace.set_span_in_context(span)
        # Tasks have times of the event loop, spans have those of the clock on the wall.
        self._epoch_ns = time.time_ns() - _nanoseconds(asyncio.get_running_loop().time())

    @property
    def trace_id(self) -> str:
        """32 hexadecimal digits."""
        return trace.format_trace_id(self._span.get_span_context().trace_id)

    def add_image(self, image: PrepareTask, lines: Sequence[LineTask], ended: float) -> None:
        """The span of an image, and below it its waits and its stages, as far as it came. ended: when it was over."""
        above = self._start_span("image", image.queued_at, self._context)
        within = trace.set_span_in_context(above)
        for period in (*_periods_of_image(image, ended), *_periods_of_lines(lines, ended)):
            span = self._start_span(period.name, period.start, within)
            span.set_attributes(period.attributes)
            self._end_span(span, period.end)
        self._end_span(above, ended)

    def end(self, code: grpc.StatusCode, reason: str, attributes: Mapping[str, str | int]) -> None:
        """The call is over."""
        self._span.set_attributes({"rpc.grpc.status_code": code.value[0], **attributes})
        if reason:
            self._span.set_attribute("error.type", reason)
        if code in _SERVER_FAULTS:
            self._span.set_status(trace.StatusCode.ERROR, reason)
        self._span.end()

    def _start_span(self, name: str, at: float, within: Context) -> trace.Span:
        return self._tracer.start_span(name, within, start_time=self._epoch_ns + _nanoseconds(at))

    def _end_span(self, span: trace.Span, at: float) -> None:
        span.end(self._epoch_ns + _nanoseconds(at))


@dataclass(frozen=True, slots=True)
class _Period:
    """A part of an image's time, in seconds of the event loop's clock."""

    name: str
    start: float
    end: float
    attributes: Mapping[str, str | int | float]


def _periods_of_image(image: PrepareTask, ended: float) -> Iterable[_Period]:
    """The image's own wait, then the stages of its preparation, one after the other."""
    yield _Period("queue", image.queued_at, image.started_at if image.batch_size else ended, {"waiting": "image"})
    timings = _timings(image)
    at = image.started_at
    for name in _PREPARING:
        if timings and (spent := getattr(timings, f"{name}_ms") / 1e3):
            yield _Period(name, at, at + spent, {})
            at += spent


def _periods_of_lines(lines: Sequence[LineTask], ended: float) -> Iterable[_Period]:
    """All lines together, as they are read side by side: from the first one's start to the last one's end.

    work_ms: what the lines took, added up.
    """
    if not lines:
        return
    begun = [line for line in lines if line.batch_size]
    first = min((line.started_at for line in begun), default=ended)
    yield _Period("queue", lines[0].queued_at, first, {"waiting": "lines", "lines": len(lines)})
    read = [(line, timings) for line in begun if (timings := _timings(line))]
    if not read:
        return
    for name, before in (("infer", ("preprocess",)), ("decode", ("preprocess", "infer"))):
        # A line's times are its share of its batch.
        starts = [line.started_at + line.batch_size * _seconds(timings, before) for line, timings in read]
        ends = [
            start + line.batch_size * _seconds(timings, (name,))
            for start, (line, timings) in zip(starts, read, strict=True)
        ]
        work_ms = 1e3 * sum(_seconds(timings, (name,)) for _, timings in read)
        yield _Period(name, min(starts), max(ends), {"lines": len(read), "work_ms": round(work_ms, 3)})


def _timings(task: PrepareTask | LineTask) -> Timings | None:
    """What a task took; None when it was not finished."""
    if not task.done.done() or task.done.cancelled() or task.done.exception():
        return None
    return task.done.result().timings


def _seconds(timings: Timings, stages: Iterable[str]) -> float:
    return sum(float(getattr(timings, f"{stage}_ms")) for stage in stages) / 1e3


def _nanoseconds(seconds: float) -> int:
    return round(seconds * 1e9)
