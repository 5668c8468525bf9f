"""OpenTelemetry traces of the calls that were chosen for it; all others cost a look at one header.

Needs the extra `tracing`; imported when `otlp_endpoint` is set.
"""

from __future__ import annotations

import random
import time
from collections.abc import Iterator, Mapping
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
from server.request import ImageTimes
from server.traceparent import Traceparent

_EXPORT_S = 2.0
"""How long one export may take, and the last one at the end of the server."""

_READING = ("infer", "decode", "postprocess")
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
        # Images have times of the monotonic clock, spans have those of the clock on the wall.
        self._epoch_ns = time.time_ns() - _nanoseconds(time.monotonic())

    @property
    def trace_id(self) -> str:
        """32 hexadecimal digits."""
        return trace.format_trace_id(self._span.get_span_context().trace_id)

    def add_image(self, times: ImageTimes, timings: Timings | None) -> None:
        """The span of an image, below it its waits and stages as far as it came. timings: None if it was not read."""
        above = self._start_span("image", times.arrived, self._context)
        within = trace.set_span_in_context(above)
        for period in _periods(times, timings):
            span = self._start_span(period.name, period.start, within)
            span.set_attributes(period.attributes)
            self._end_span(span, period.end)
        self._end_span(above, times.ended)

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
    """A part of an image's time, in seconds of time.monotonic."""

    name: str
    start: float
    end: float
    attributes: Mapping[str, str | float]


def _periods(times: ImageTimes, timings: Timings | None) -> Iterator[_Period]:
    waited = times.ended if times.prepare_started is None else times.prepare_started
    yield _Period("queue", times.arrived, waited, {"waiting": "image"})
    if times.prepare_started is not None:
        prepared = times.ended if times.prepared is None else times.prepared
        yield _Period("prepare", times.prepare_started, prepared, {})
    if times.prepared is not None:
        waited = times.ended if times.read_started is None else times.read_started
        yield _Period("queue", times.prepared, waited, {"waiting": "lines"})
    if times.read_started is not None and timings:
        yield from _periods_of_lines(times.read_started, times.ended, timings)


def _periods_of_lines(started: float, ended: float, timings: Timings) -> Iterator[_Period]:
    """Lines are read side by side, so their stages overlap: the time that all took is divided as their work was.

    work_ms: what the lines took, added up.
    """
    work_ms = [float(getattr(timings, f"{stage}_ms")) for stage in _READING]
    at, per_ms = started, (ended - started) / (sum(work_ms) or 1.0)
    for stage, spent_ms in zip(_READING, work_ms, strict=True):
        end = at + per_ms * spent_ms
        yield _Period(stage, at, end, {"work_ms": round(spent_ms, 3)})
        at = end


def _nanoseconds(seconds: float) -> int:
    return round(seconds * 1e9)
