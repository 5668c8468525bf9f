"""What the frame around a call costs: processor time of request id, metrics, access log and trace, without gRPC.

    python -m bench.call_frame

Least of several rounds. The log goes to a file; spans go through OpenTelemetry's SDK to an exporter that drops them.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import tempfile
import time
from argparse import Namespace
from collections.abc import Awaitable, Callable, Sequence
from contextlib import redirect_stderr
from contextvars import copy_context
from pathlib import Path
from typing import Any

from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult

from bench.tables import markdown
from ocr_core.types import Recognition, Timings
from server.calls import note_image
from server.interceptors import CallFrame
from server.logs import configure_logs
from server.metrics import Metrics
from server.request import ImageTimes
from server.settings import load_settings
from server.tracing import Tracing

PATH = "/glyphwire.v1.OcrService/Recognize"
CALLS = 2000
ROUNDS = 9
ONE_MORE = "--shared-metrics"
READ = Recognition((), 100, 50, "model", "1", Timings(1, 2, 3, 4, 5, 6, 7, 28))

_Method = Callable[[object, Any], Awaitable[None]]


def main() -> None:
    """Measure and print a table."""
    if ONE_MORE in sys.argv:
        print(_cost(_frame(_reading(metrics := Metrics()), metrics), "error"))
        return
    metrics = Metrics()
    tracing = Tracing(BatchSpanProcessor(_Nowhere()), sample_ratio=0.0)
    bare = _cost(_nothing, "error")
    costs = {
        "request id, metrics of the call": _cost(_frame(_nothing, metrics), "error"),
        "the same, and metrics of its image": _cost(_frame(_reading(metrics), metrics), "error"),
        "the same, metrics shared by several processes": _shared_cost(),
        "metrics and access log": _cost(_frame(_reading(metrics), metrics), "info"),
        "the same, tracing on, call not sampled": _cost(_frame(_reading(metrics), metrics, tracing), "info"),
        "the same, call sampled": _cost(_frame(_reading(metrics), metrics, tracing), "info", _SAMPLED),
    }
    tracing.close()
    print(markdown(["in the frame", "us per call"], [[name, f"{cost - bare:.1f}"] for name, cost in costs.items()]))


_SAMPLED = (("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),)


class _Context:
    """As much of gRPC's context as the frame uses."""

    def __init__(self, metadata: Sequence[tuple[str, str]]) -> None:
        self._metadata = (("user-agent", "grpc-python/1.81.1"), *metadata)

    def invocation_metadata(self) -> Sequence[tuple[str, str]]:
        return self._metadata

    def set_trailing_metadata(self, metadata: object) -> None:
        del metadata

    def peer(self) -> str:
        return "ipv4:127.0.0.1:50000"


class _Nowhere(SpanExporter):
    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        del spans
        return SpanExportResult.SUCCESS


async def _nothing(request: object, context: object) -> None:
    del request, context


def _reading(metrics: Metrics) -> _Method:
    """A method that notes an image, as the batcher does."""

    async def read(request: object, context: object) -> None:
        del request, context
        answer: asyncio.Future[Recognition] = asyncio.get_running_loop().create_future()
        answer.set_result(READ)
        now = time.monotonic()
        for _ in range(2):
            metrics.images_held.set(1)
            metrics.images_waiting.set(1)
        # A worker takes the image, then its line, then finds nothing to do.
        for _ in range(3):
            metrics.images_waiting.set(1)
            metrics.lines_waiting.set(1)
            metrics.workers_busy.set(1)
        metrics.batch_taken(1)
        note_image(metrics, 50_000, ImageTimes(now, now + 60, now, now, now, now), answer)

    return read


def _frame(method: _Method, metrics: Metrics, tracing: Tracing | None = None) -> _Method:
    return CallFrame(metrics, tracing).unary(PATH, method)


def _cost(method: _Method, log_level: str, metadata: Sequence[tuple[str, str]] = ()) -> float:
    """Processor time of all threads, in microseconds per call."""
    context = _Context(metadata)

    async def calls() -> None:
        for _ in range(CALLS):
            await method(None, context)

    with tempfile.TemporaryFile("w") as log, redirect_stderr(log):
        configure_logs(load_settings(Namespace(log_format="json", log_level=log_level)))
        return 1e6 * min(_processor_time(lambda: asyncio.run(calls())) for _ in range(ROUNDS)) / CALLS


def _processor_time(run: Callable[[], None]) -> float:
    started = time.process_time()
    copy_context().run(run)
    return time.process_time() - started


def _shared_cost() -> float:
    """In a process of its own: prometheus_client decides when it is imported where values are kept."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "bench.call_frame", ONE_MORE]
        environment = os.environ | {"PROMETHEUS_MULTIPROC_DIR": folder}
        return float(subprocess.check_output(command, env=environment, cwd=Path(__file__).parents[1]))


if __name__ == "__main__":
    main()
