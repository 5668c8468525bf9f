"""What is counted, and how it is read."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import sys
import urllib.request
from contextlib import ExitStack
from pathlib import Path
from subprocess import PIPE, Popen

import grpc
import pytest
import structlog
from glyphwire.v1 import ocr_pb2, ocr_pb2_grpc
from prometheus_client.metrics import MetricWrapperBase

from server.app import run
from server.errors import ListenFailed
from server.metrics import Metrics, metrics_port, registry_of_processes
from server.settings import Settings
from tests.server.messages import config, failure, frame, logged, reached, request, until


class Counted:
    """The values of a server's metrics, by name and labels."""

    def __init__(self, metrics: Metrics) -> None:
        self._registry = metrics.registry

    def __call__(self, name: str, **labels: str) -> float | None:
        return self._registry.get_sample_value(f"glyphwire_{name}", labels)


@pytest.fixture
def counted(running) -> Counted:
    """What the server of `running` has counted."""
    return Counted(running.app.metrics)


async def test_calls_are_counted_by_method_and_code(running, counted):
    """Each call adds one to its method and code, to the times of its method, and a failed one to its reason."""
    for text in ("a", "b", "!small"):
        if text == "!small":
            await failure(running.stub.Recognize(request(text)))
        else:
            await running.stub.Recognize(request(text))
    await running.stub.ListModels(ocr_pb2.ListModelsRequest())
    assert counted("calls_total", method="Recognize", code="OK") == 2
    assert counted("calls_total", method="Recognize", code="INVALID_ARGUMENT") == 1
    assert counted("calls_total", method="ListModels", code="OK") == 1
    assert counted("call_seconds_count", method="Recognize") == 3
    reason = "ERROR_REASON_IMAGE_TOO_SMALL"
    assert counted("call_errors_total", method="Recognize", reason=reason) == 1


async def test_calls_and_images_in_flight_come_and_go(running, counted, stages):
    """Calls in flight and images held are those that are not answered."""
    stages.gate.clear()
    calls = [asyncio.ensure_future(running.stub.Recognize(request(text))) for text in "ab"]
    await until(lambda: counted("images_held") == 2)
    assert counted("calls_in_flight", method="Recognize") == 2
    stages.gate.set()
    await asyncio.gather(*calls)
    await until(lambda: counted("calls_in_flight", method="Recognize") == 0)
    assert counted("images_held") == 0


async def test_an_image_leaves_its_times_lines_and_model(running, counted):
    """A read image counts its lines for its model, its wait, and the stages that it went through."""
    await running.stub.Recognize(request("a\nb", model="other"))
    assert counted("images_total", model="other/2") == 1
    assert counted("lines_total", model="other/2") == 2
    assert counted("queue_seconds_count") == 1
    assert counted("stage_seconds_sum", stage="load_image") == pytest.approx(0.001)
    assert counted("stage_seconds_sum", stage="infer") == pytest.approx(0.004)
    assert counted("stage_seconds_count", stage="find_lines") == 0


async def test_batches_are_counted_by_their_lines(start_app):
    """The sizes of the engine's batches are those that the workers took."""
    running = await start_app(max_batch_size=4)
    await running.stub.Recognize(request("a\nb\nc\nd\ne"))
    counted = Counted(running.app.metrics)
    assert (counted("batch_lines_count"), counted("batch_lines_sum")) == (2, 5)
    assert counted("batch_lines_bucket", le="1.0") == 1


async def test_items_are_counted_by_their_outcome(running, counted):
    """Items of batches and frames of streams count as read, or under their reason."""
    items = [request("a"), request("!small"), ocr_pb2.RecognizeRequest()]
    await running.stub.BatchRecognize(ocr_pb2.BatchRecognizeRequest(requests=items))
    stream = running.stub.StreamRecognize(iter([config(), frame(1, "a"), frame(2, "b"), frame(3, "!bug")]))
    assert len([response async for response in stream]) == 3
    assert [
        counted("items_total", method="BatchRecognize", outcome=outcome)
        for outcome in ("OK", "ERROR_REASON_IMAGE_TOO_SMALL", "ERROR_REASON_REQUEST_INVALID")
    ] == [1, 1, 1]
    assert counted("items_total", method="StreamRecognize", outcome="OK") == 2
    assert counted("items_total", method="StreamRecognize", outcome="ERROR_REASON_INTERNAL") == 1


async def test_refused_calls_are_counted_by_their_reason(start_app, stages):
    """A call that finds the queue full is counted under QUEUE_FULL, and its image is never held."""
    running = await start_app(max_queue=1, max_batch_items=1)
    counted = Counted(running.app.metrics)
    stages.gate.clear()
    held = asyncio.ensure_future(running.stub.Recognize(request("held")))
    await reached(stages)
    await failure(running.stub.Recognize(request("refused")))
    assert counted("call_errors_total", method="Recognize", reason="ERROR_REASON_QUEUE_FULL") == 1
    assert counted("images_held") == 1
    stages.gate.set()
    await held


async def test_dropped_images_are_counted_by_cause_and_progress(running, counted, stages):
    """An image that is given up says why, and whether it was dropped before it was prepared or before it was read."""
    stages.gate.clear()
    busy = asyncio.ensure_future(running.stub.Recognize(request("busy")))
    await reached(stages)
    waiting = running.stub.Recognize(request("waiting"))
    await until(lambda: counted("images_held") == 2)
    waiting.cancel()
    await until(lambda: counted("images_dropped_total", cause="cancelled", before="prepare") == 1)
    busy.cancel()
    await until(lambda: counted("images_dropped_total", cause="cancelled", before="infer") == 1)
    stages.gate.set()
    stages.read_gate.clear()
    reading = running.stub.Recognize(request("reading"))
    await until(lambda: stages.batches == [["reading"]])
    reading.cancel()
    await until(lambda: counted("images_dropped_total", cause="cancelled", before="answer") == 1)
    stages.read_gate.set()


async def test_late_images_are_counted_as_expired(running, counted, stages):
    """An image whose deadline passes in the queue is counted as expired before it was prepared."""
    stages.gate.clear()
    busy = asyncio.ensure_future(running.stub.Recognize(request("busy")))
    await reached(stages)
    await failure(running.stub.Recognize(request("late"), timeout=0.05))
    await until(lambda: counted("images_dropped_total", cause="expired", before="prepare") == 1)
    stages.gate.set()
    await busy


def test_the_guide_lists_every_metric():
    """docs/operations.md has a row for each of our metrics with its labels, and none for others."""
    rows = [
        line.split(" | ") for line in (ROOT / "docs/operations.md").read_text().splitlines() if "| `glyphwire_" in line
    ]
    listed = {row[0].strip("| `").removesuffix("_total"): set(re.findall(r"`(\w+)`", row[1])) for row in rows}
    made = [each for each in Metrics().registry._collector_to_names if isinstance(each, MetricWrapperBase)]
    labels = {metric._name: set(metric._labelnames) for metric in made}
    assert listed == labels


def test_the_port_answers_scrapes():
    """Over HTTP there are our metrics, those of the process and what is running, and no series of creation times."""
    metrics = Metrics()
    metrics.batch_taken(3)
    with metrics_port("127.0.0.1:0", metrics.registry) as port:
        text = scraped(port)
    assert "glyphwire_batch_lines_sum 3.0" in text
    assert f'glyphwire_build_info{{grpc="{grpc.__version__}",version="0.1.0"}} 1.0' in text
    assert "process_resident_memory_bytes" in text
    assert "_created" not in text


def test_a_taken_port_is_an_error():
    """A metrics port that cannot be bound is named."""
    registry = Metrics().registry
    with metrics_port("127.0.0.1:0", registry) as port, pytest.raises(ListenFailed, match=f"127.0.0.1:{port}"):
        metrics_port(f"127.0.0.1:{port}", registry).__enter__()


async def test_run_opens_the_port_when_it_is_told_to(stages):
    """With metrics_listen the server answers scrapes for as long as it runs."""
    with structlog.testing.capture_logs() as logs:
        settings = Settings(listen="127.0.0.1:0", workers=1, metrics_listen="127.0.0.1:0")
        running = asyncio.create_task(run(settings, stages))
        (target,) = (await logged(logs, "listening"))["addresses"]
        async with grpc.aio.insecure_channel(target) as channel:
            await ocr_pb2_grpc.OcrServiceStub(channel).Recognize(request("a"))
        await until(lambda: any(entry["event"] == "call" for entry in logs))
        text = await asyncio.to_thread(scraped, next(entry["port"] for entry in logs if entry["event"] == "metrics"))
        os.kill(os.getpid(), signal.SIGTERM)
        await running
    assert 'glyphwire_calls_total{code="OK",method="Recognize"} 1.0' in text


def test_the_workers_of_one_port_are_added_up(tmp_path):
    """Processes that share a folder are counted together; those that live have their memory, each under its pid."""
    counting = (
        "from server.metrics import Metrics; m = Metrics(); m.batch_taken(4); m.images_held.inc(); print(); input()"
    )
    environment = {**os.environ, "PROMETHEUS_MULTIPROC_DIR": str(tmp_path)}
    with ExitStack() as stack:
        workers = [
            stack.enter_context(
                Popen([sys.executable, "-c", counting], cwd=ROOT, env=environment, stdin=PIPE, stdout=PIPE)
            )
            for _ in range(2)
        ]
        for worker in workers:
            worker.stdout.readline()
        value = registry_of_processes(tmp_path).get_sample_value
        assert value("glyphwire_batch_lines_sum") == 8
        assert value("glyphwire_images_held") == 2
        assert all(value("process_resident_memory_bytes", {"pid": str(worker.pid)}) for worker in workers)
        for worker in workers:
            worker.communicate(b"\n")


ROOT = Path(__file__).parents[2]


def scraped(port: int) -> str:
    """What Prometheus would read."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=30) as answer:
        return answer.read().decode()
