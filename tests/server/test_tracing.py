"""Traces, as the SDK's exporter in memory gets them."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import grpc
import pytest
from glyphwire.v1 import ocr_pb2
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2, trace_service_pb2_grpc
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode, format_span_id, format_trace_id
from structlog.testing import capture_logs

from ocr_core.types import Timings
from server.request import ImageTimes
from server.tracing import Tracing
from tests.server.messages import config, failure, frame, reached, request, until

TRACE = "0af7651916cd43dd8448eb211c80319c"
SPAN = "b7ad6b7169203331"
PARTS = ["queue", "prepare", "queue", "infer", "decode", "postprocess"]
CALL = "glyphwire.v1.OcrService/Recognize"


@pytest.fixture
def exporter() -> InMemorySpanExporter:
    """Gets the spans of `traced`."""
    return InMemorySpanExporter()


@pytest.fixture
def traced(start_app, exporter, monkeypatch):
    """Starts an App that traces this share of the calls that come without a decision."""

    async def start(ratio: float, **settings):
        monkeypatch.setattr(
            "server.tracing.tracing_to", lambda endpoint, share: Tracing(SimpleSpanProcessor(exporter), share)
        )
        return await start_app(otlp_endpoint="http://nowhere:4317", trace_sample_ratio=ratio, **settings)

    return start


def traceparent(flags: str) -> tuple[tuple[str, str]]:
    """Metadata of a caller with a trace."""
    return (("traceparent", f"00-{TRACE}-{SPAN}-{flags}"),)


async def spans(exporter: InMemorySpanExporter, calls: int = 1):
    """All spans, once so many calls are over."""
    await until(lambda: sum(span.kind is SpanKind.SERVER for span in exporter.get_finished_spans()) == calls)
    return exporter.get_finished_spans()


async def test_a_sampled_call_joins_the_trace_of_its_caller(traced, exporter):
    """With a sampled traceparent the call's span is a child of the caller's, and the access log has its trace id."""
    running = await traced(0)
    with capture_logs() as logs:
        await running.stub.Recognize(request("a\nb"), metadata=traceparent("01"))
    (call,) = [span for span in await spans(exporter) if span.kind is SpanKind.SERVER]
    assert call.name == CALL
    assert format_trace_id(call.context.trace_id) == TRACE
    assert format_span_id(call.parent.span_id) == SPAN
    assert call.attributes["rpc.grpc.status_code"] == 0
    assert (call.attributes["images"], call.attributes["lines"]) == (1, 2)
    assert [entry["trace_id"] for entry in logs if entry["event"] == "call"] == [TRACE]


@pytest.mark.parametrize(("ratio", "metadata"), [(1.0, traceparent("00")), (0.0, ())])
async def test_calls_that_are_not_sampled_leave_no_span(traced, exporter, ratio, metadata):
    """A caller that does not record its trace, or a ratio of 0 without a caller's word, means no trace."""
    running = await traced(ratio)
    with capture_logs() as logs:
        await running.stub.Recognize(request("a"), metadata=metadata)
        await until(lambda: any(entry["event"] == "call" for entry in logs))
    assert exporter.get_finished_spans() == ()


async def test_calls_without_a_caller_start_a_trace(traced, exporter):
    """At a ratio of 1 a call without traceparent is the root of a trace of its own, damaged headers included."""
    running = await traced(1)
    await running.stub.Recognize(request("a"))
    await running.stub.Recognize(request("a"), metadata=(("traceparent", "00-zz"),))
    roots = [span for span in await spans(exporter, 2) if span.kind is SpanKind.SERVER]
    assert [root.parent for root in roots] == [None, None]
    assert len({root.context.trace_id for root in roots}) == 2


async def test_an_image_has_its_waits_and_stages(traced, exporter):
    """Below a call is a span for each image, and below that its waits and stages: one after the other, without gaps."""
    running = await traced(1)
    await running.stub.Recognize(request("a\nb"))
    found = await spans(exporter)
    (call,) = [span for span in found if span.kind is SpanKind.SERVER]
    (image,) = [span for span in found if span.name == "image"]
    parts = [span for span in found if span.parent and span.parent.span_id == image.context.span_id]
    assert image.parent.span_id == call.context.span_id
    assert [part.name for part in parts] == PARTS
    assert [part.attributes["waiting"] for part in parts if part.name == "queue"] == ["image", "lines"]
    assert call.start_time <= image.start_time <= image.end_time <= call.end_time
    for before, after in pairwise(parts):
        assert before.start_time <= before.end_time == after.start_time
    assert (parts[0].start_time, parts[-1].end_time) == (image.start_time, image.end_time)


async def test_the_time_of_lines_is_divided_as_their_work_was(traced, exporter):
    """Lines are read side by side: their stages share the time that all took, and tell the work that they add up to."""
    trace_of_call = (await traced(1)).app._tracing.start("/s/m", None, {})
    times = ImageTimes(arrived=0, deadline=9, ended=6, prepare_started=1, prepared=2, read_started=3)
    trace_of_call.add_image(times, Timings(infer_ms=4000, decode_ms=1000, postprocess_ms=1000))
    lasted = {span.name: (span.end_time - span.start_time) / 1e9 for span in exporter.get_finished_spans()}
    assert lasted == pytest.approx(
        {"queue": 1, "prepare": 1, "infer": 2, "decode": 0.5, "postprocess": 0.5, "image": 6}
    )
    (infer,) = [span for span in exporter.get_finished_spans() if span.name == "infer"]
    assert infer.attributes == {"work_ms": 4000}


async def test_dropped_images_show_how_far_they_came(traced, exporter, stages):
    """An image that is given up in the queue has a wait up to its end and no stages; its call is an error when late."""
    running = await traced(0)
    stages.gate.clear()
    busy = asyncio.ensure_future(running.stub.Recognize(request("busy")))
    await reached(stages)
    await failure(running.stub.Recognize(request("late"), timeout=0.05, metadata=traceparent("01")))
    found = await spans(exporter)
    stages.gate.set()
    await busy
    assert [span.name for span in found] == ["queue", "image", CALL]
    assert found[0].end_time == found[1].end_time
    assert found[2].status.status_code is StatusCode.ERROR


async def test_mistakes_of_the_caller_are_no_errors_of_the_server(traced, exporter):
    """A refused request has its reason in the span, whose status stays unset, as for any server's span."""
    running = await traced(1)
    await failure(running.stub.Recognize(request("!small")))
    call = (await spans(exporter))[-1]
    assert call.attributes["error.type"] == "ERROR_REASON_IMAGE_TOO_SMALL"
    assert call.status.status_code is StatusCode.UNSET


async def test_every_image_of_a_call_is_there(traced, exporter):
    """Batches have a span for each item that was read or tried, streams for each frame."""
    running = await traced(1)
    await running.stub.BatchRecognize(ocr_pb2.BatchRecognizeRequest(requests=[request("a"), request("!small")]))
    stream = running.stub.StreamRecognize(iter([config(), frame(1, "a"), frame(2, ""), frame(3, "c")]))
    assert len([response async for response in stream]) == 3
    names = [span.name for span in await spans(exporter, 2)]
    assert names.count("image") == 5


async def test_stopping_closes_the_exporter(traced, exporter):
    """When the server stops, the exporter is shut down, so that nothing that was recorded is lost."""
    running = await traced(1)
    await running.app.stop()
    await asyncio.to_thread(exporter.force_flush)
    assert exporter._stopped


async def test_spans_reach_a_collector(start_app):
    """With otlp_endpoint the spans of a call have come to the collector when the server has stopped."""
    collector = Collector()
    server = grpc.server(ThreadPoolExecutor(1))
    trace_service_pb2_grpc.add_TraceServiceServicer_to_server(collector, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    running = await start_app(otlp_endpoint=f"http://127.0.0.1:{port}", trace_sample_ratio=1)
    await running.stub.Recognize(request("a"))
    await running.app.stop()
    server.stop(None)
    assert collector.names == [*PARTS, "image", CALL]
    assert collector.services == {"glyphwire"}


class Collector(trace_service_pb2_grpc.TraceServiceServicer):
    """Takes what OpenTelemetry's exporter sends."""

    def __init__(self) -> None:
        self.names: list[str] = []
        self.services: set[str] = set()

    def Export(self, request, context):  # noqa: N802 - named by the contract
        for resource in request.resource_spans:
            self.services |= {a.value.string_value for a in resource.resource.attributes if a.key == "service.name"}
            self.names += [span.name for scope in resource.scope_spans for span in scope.spans]
        return trace_service_pb2.ExportTraceServiceResponse()
