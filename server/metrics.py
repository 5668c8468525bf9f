"""What is counted, and the HTTP port where Prometheus reads it.

Values are those of prometheus_client: where PROMETHEUS_MULTIPROC_DIR names a folder before this module is imported,
they are kept there, and `registry_of_processes` adds up what several processes have counted.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import cache
from importlib.metadata import version
from itertools import chain
from pathlib import Path
from typing import Literal

import grpc
from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    GCCollector,
    Histogram,
    PlatformCollector,
    ProcessCollector,
    disable_created_metrics,
    start_http_server,
)
from prometheus_client.metrics_core import Metric
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector

from ocr_core.types import Recognition
from server.engine_link import ENGINE_FLAG
from server.errors import ListenFailed

_STAGES = ("load_image", "find_lines", "preprocess", "infer", "decode", "postprocess")

_STAGE_BUCKETS_S = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5)
_WAIT_BUCKETS_S = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30, 60)
_BATCH_BUCKETS = (1, 2, 4, 8, 16, 32, 64, 128, 256)


class Metrics:
    """All that one server counts, in any thread.

    A call costs some 15 us of counting, so it is never switched off. The child of each label is looked up once: there
    are few methods, codes, reasons, stages and models.
    """

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        for collector in (ProcessCollector, PlatformCollector, GCCollector):
            collector(registry=self.registry)
        self.registry.register(_Engine())
        self._add_calls()
        self._add_images()
        build_info = self._gauge("glyphwire_build_info", "What is running; always 1.", "livemax", ["version", "grpc"])
        build_info.labels(version("glyphwire-server"), grpc.__version__).set(1)

    def call_started(self, method: str) -> None:
        """A call came."""
        self._in_flight(method).inc()

    def call_ended(self, method: str, code: str, reason: str, seconds: float) -> None:
        """A call is over. code: of gRPC; reason: name of an ErrorReason, or empty."""
        self._in_flight(method).dec()
        self._calls(method, code).inc()
        self._call_seconds(method).observe(seconds)
        if reason:
            self._call_errors(method, reason).inc()

    def item_ended(self, method: str, outcome: str) -> None:
        """One item of a batch, or one frame of a stream, was answered. outcome: OK, DROPPED, or an ErrorReason."""
        self._items(method, outcome).inc()

    def batch_taken(self, lines: int) -> None:
        """A worker has begun to read so many lines together."""
        self._batch_lines.observe(lines)

    def refused(self, cause: str) -> None:
        """Work was turned away. cause: room in the queue, late by estimate, or streams."""
        self._refusals(cause).inc()

    def image_read(self, recognition: Recognition) -> None:
        """An image was read from end to end."""
        timings = recognition.timings
        self._queue_seconds.observe(timings.queue_ms / 1e3)
        for name, seconds in self._stage_seconds:
            if spent_ms := getattr(timings, name):
                seconds.observe(spent_ms / 1e3)
        images, lines = self._of_model(f"{recognition.model_name}/{recognition.model_version}")
        images.inc()
        lines.inc(len(recognition.lines))

    def image_dropped(self, cause: str, before: str) -> None:
        """Admitted, not read. cause: expired or cancelled; before: prepare, infer or answer, which it did not reach."""
        self._images_dropped(cause, before).inc()

    def _add_calls(self) -> None:
        self._calls = cache(self._counter("glyphwire_calls", "Calls that are over.", ["method", "code"]).labels)
        self._call_errors = cache(
            self._counter("glyphwire_call_errors", "Calls that failed, by ErrorReason.", ["method", "reason"]).labels
        )
        self._call_seconds = cache(
            self._histogram("glyphwire_call_seconds", "From arrival to answer.", _WAIT_BUCKETS_S, ["method"]).labels
        )
        self._in_flight = cache(
            self._gauge("glyphwire_calls_in_flight", "Calls being answered.", "livesum", ["method"]).labels
        )
        self._items = cache(
            self._counter(
                "glyphwire_items", "Items of batches, frames, pages of documents.", ["method", "outcome"]
            ).labels
        )

    def _add_images(self) -> None:
        self.images_held = self._gauge("glyphwire_images_held", "Images admitted and not answered.", "livesum")
        self._queue_seconds = self._histogram("glyphwire_queue_seconds", "Waits of one image.", _WAIT_BUCKETS_S)
        stages = self._histogram("glyphwire_stage_seconds", "Work on one image.", _STAGE_BUCKETS_S, ["stage"])
        self._stage_seconds = [(f"{stage}_ms", stages.labels(stage)) for stage in _STAGES]
        self._batch_lines = self._histogram("glyphwire_batch_lines", "Lines read together.", _BATCH_BUCKETS)
        self.images_waiting = self._gauge("glyphwire_images_waiting", "Images to prepare in the queue.", "livesum")
        self.lines_waiting = self._gauge("glyphwire_lines_waiting", "Lines to read in the queue.", "livesum")
        self.workers_busy = self._gauge("glyphwire_workers_busy", "Workers that have work.", "livesum")
        self.late_starts = self._counter("glyphwire_late_starts", "Work begun after its deadline or cancellation; 0.")
        self.engine_losses = self._counter("glyphwire_engine_losses", "Processes that read and ended unasked; 0.")
        self._refusals = cache(self._counter("glyphwire_refusals", "Work turned away.", ["cause"]).labels)
        images = self._counter("glyphwire_images", "Images that were read.", ["model"])
        lines = self._counter("glyphwire_lines", "Lines that were answered.", ["model"])
        self._of_model = cache(lambda model: (images.labels(model), lines.labels(model)))
        self._images_dropped = cache(
            self._counter("glyphwire_images_dropped", "Images given up.", ["cause", "before"]).labels
        )

    def _counter(self, name: str, text: str, labels: Iterable[str] = ()) -> Counter:
        return Counter(name, text, labels, registry=self.registry)

    def _gauge(self, name: str, text: str, mode: Literal["livesum", "livemax"], labels: Iterable[str] = ()) -> Gauge:
        return Gauge(name, text, labels, registry=self.registry, multiprocess_mode=mode)

    def _histogram(self, name: str, text: str, buckets: tuple[float, ...], labels: Iterable[str] = ()) -> Histogram:
        return Histogram(name, text, labels, registry=self.registry, buckets=buckets)


def registry_of_processes(folder: Path) -> CollectorRegistry:
    """What all processes have counted that keep their values in `folder`, PROMETHEUS_MULTIPROC_DIR.

    For their supervisor, which empties the folder before it starts them, and tells
    prometheus_client.multiprocess.mark_process_dead of each that ends.
    """
    registry = CollectorRegistry()
    MultiProcessCollector(registry, str(folder))  # type: ignore[no-untyped-call]  # has no annotations
    registry.register(_Processes(folder))
    return registry


@contextmanager
def metrics_port(listen: str, registry: CollectorRegistry) -> Iterator[int]:
    """Answer scrapes over HTTP at HOST:PORT, in a thread. Yields the port. Raises ListenFailed."""
    # Else each counter and histogram has a second series, the time of its first value.
    disable_created_metrics()  # type: ignore[no-untyped-call]  # has no annotations
    host, _, port = listen.rpartition(":")
    try:
        server, thread = start_http_server(int(port), host.strip("[]"), registry)
    except OSError as error:
        raise ListenFailed(f"cannot listen at {listen}: {error}") from None
    try:
        yield server.server_port
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Processes(Collector):
    """CPU time, memory and files of each worker: prometheus_client itself has them for its own process only."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def collect(self) -> Iterable[Metric]:
        found: dict[str, Metric] = {}
        for pid in sorted({path.stem.rpartition("_")[2] for path in self._folder.glob("gauge_live*.db")}):
            for metric in (*_of_process(pid), *_of_engine(pid)):
                of_all = found.setdefault(metric.name, Metric(metric.name, metric.documentation, metric.type))
                for sample in metric.samples:
                    of_all.add_sample(sample.name, {"pid": pid}, sample.value)
        return found.values()


class _Engine(Collector):
    """CPU time, memory and files of the process that reads for this one."""

    def collect(self) -> Iterable[Metric]:
        return _of_engine(str(os.getpid()))


def _of_engine(pid: str) -> Iterable[Metric]:
    """Of the process that reads for another one; nothing when there is none."""
    engines = (child for child in _children(pid) if ENGINE_FLAG in _text(Path(f"/proc/{child}/cmdline")))
    return chain.from_iterable(_of_process(engine, "glyphwire_engine") for engine in engines)


def _of_process(pid: str, namespace: str = "") -> Iterable[Metric]:
    return ProcessCollector(namespace, pid=lambda: pid, registry=None).collect()


def _children(pid: str) -> Iterable[str]:
    return chain.from_iterable(_text(path).split() for path in Path(f"/proc/{pid}/task").glob("*/children"))


def _text(path: Path) -> str:
    """Empty when the process has gone."""
    try:
        return path.read_text("utf-8", errors="replace")
    except OSError:
        return ""
