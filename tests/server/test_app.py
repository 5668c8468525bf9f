"""Health, reflection, start and stop."""

from __future__ import annotations

import asyncio
import os
import signal
import sys

import grpc
import pytest
import structlog
from glyphwire.v1 import ocr_pb2, ocr_pb2_grpc
from grpc_channelz.v1 import channelz_pb2, channelz_pb2_grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from ocr_core.errors import BundleInvalid, SetupError
from server.app import App, build_pipeline, run
from server.errors import ListenFailed
from server.settings import Settings
from tests.server.messages import failure, logged, reached, request, texts, until

SERVICES = ("", "glyphwire.v1.OcrService")
SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING
UNKNOWN = grpc.StatusCode.NOT_FOUND


async def health_of(running) -> set[int]:
    """What the server says of itself and of our service."""
    stub = health_pb2_grpc.HealthStub(running.channel)
    return {(await stub.Check(health_pb2.HealthCheckRequest(service=service))).status for service in SERVICES}


async def test_health_follows_the_models(start_app, stages):
    """Health is NOT_SERVING until the models are loaded, then SERVING, and NOT_SERVING from the stop signal on."""
    running = await start_app(warm=False)
    assert await health_of(running) == {NOT_SERVING}
    await running.app.start()
    assert await health_of(running) == {SERVING}
    stages.gate.clear()
    busy = asyncio.ensure_future(running.stub.Recognize(request("busy")))
    await reached(stages)
    stopping = asyncio.create_task(running.app.stop())
    await asyncio.sleep(0)
    assert await health_of(running) == {NOT_SERVING}
    stages.gate.set()
    await busy
    await stopping


async def test_stopping_finishes_admitted_work_and_refuses_new(running, stages):
    """After the stop signal admitted calls are answered, new ones get DRAINING with RetryInfo, then the models go."""
    stages.gate.clear()
    busy = asyncio.ensure_future(running.stub.Recognize(request("busy")))
    await reached(stages)
    stopping = asyncio.create_task(running.app.stop())
    await asyncio.sleep(0)
    for call in (running.stub.Recognize(request("new")), running.stub.ListModels(ocr_pb2.ListModelsRequest())):
        failed = await failure(call)
        assert (failed.code, failed.info.reason) == (grpc.StatusCode.UNAVAILABLE, "ERROR_REASON_DRAINING")
        assert failed.has_retry
    stages.gate.set()
    assert texts((await busy).recognition) == ["busy"]
    await stopping
    assert stages.closed
    assert stages.prepared == [b"busy"]


async def test_stopping_does_not_wait_for_ever(start_app, stages, monkeypatch):
    """Work that takes longer than drain_timeout_s is cancelled."""
    running = await start_app(drain_timeout_s=0.05)
    stages.gate.clear()
    stuck = asyncio.ensure_future(running.stub.Recognize(request("stuck")))
    queued = asyncio.ensure_future(running.stub.Recognize(request("queued")))
    batcher = running.app._batcher
    await until(lambda: batcher._admission.images == 2)
    close = batcher.close
    monkeypatch.setattr(batcher, "close", lambda: (stages.gate.set(), close()))
    await running.app.stop()
    for call in (stuck, queued):
        with pytest.raises((grpc.aio.AioRpcError, asyncio.CancelledError)):
            await call
    assert len(stages.prepared) == 1


async def test_every_model_has_its_health(start_app):
    """Each name by which a request can name a model is a service of the health check, once the models are loaded."""
    running = await start_app(warm=False)
    stub = health_pb2_grpc.HealthStub(running.channel)
    service = "glyphwire.v1.OcrService/other"
    assert (await failure(stub.Check(health_pb2.HealthCheckRequest(service=service)))).code is UNKNOWN
    await running.app.start()
    for name in (service, f"{service}/2", "glyphwire.v1.OcrService/fake"):
        assert (await stub.Check(health_pb2.HealthCheckRequest(service=name))).status == SERVING
    await running.app._health.enter_graceful_shutdown()
    assert (await stub.Check(health_pb2.HealthCheckRequest(service=service))).status == NOT_SERVING


@pytest.mark.parametrize("shown", [True, False])
async def test_reflection_names_the_services(start_app, shown):
    """Server reflection lists our service and health, so that generic tools can call them, unless it is off."""
    running = await start_app(reflection=shown)
    stub = reflection_pb2_grpc.ServerReflectionStub(running.channel)
    call = stub.ServerReflectionInfo(iter([reflection_pb2.ServerReflectionRequest(list_services="")]))
    if not shown:
        assert await call.code() is grpc.StatusCode.UNIMPLEMENTED
        return
    names = {service.name async for answer in call for service in answer.list_services_response.service}
    assert {"glyphwire.v1.OcrService", "grpc.health.v1.Health"} <= names


@pytest.mark.parametrize("shown", [True, False])
async def test_channelz_counts_the_calls_of_the_server(start_app, shown):
    """With channelz the server tells how many calls it has had; without it is not there."""
    running = await start_app(channelz=shown)
    await running.stub.Recognize(request("a"))
    answer = channelz_pb2_grpc.ChannelzStub(running.channel).GetServers(channelz_pb2.GetServersRequest())
    if not shown:
        assert (await failure(answer)).code is grpc.StatusCode.UNIMPLEMENTED
        return
    assert max(server.data.calls_started for server in (await answer).server) >= 1


@pytest.mark.parametrize(
    ("setting", "module"),
    [({"channelz": True}, "grpc_channelz.v1"), ({"otlp_endpoint": "http://127.0.0.1:1"}, "opentelemetry")],
)
async def test_missing_extras_are_named(stages, monkeypatch, setting, module):
    """A setting whose extra is not installed is refused with the name of the extra."""
    monkeypatch.delitem(sys.modules, "server.tracing", raising=False)
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(SetupError, match=r"install glyphwire-server\[(channelz|tracing)\]"):
        App(Settings(**setting), stages)


async def test_a_taken_port_is_an_error(running, stages):
    """Two servers cannot listen at one port."""
    app = App(Settings(listen=running.target), stages)
    with pytest.raises(ListenFailed, match=running.target):
        await app.listen()
    await app.stop()


async def test_run_serves_until_a_signal(stages):
    """run() logs its settings and port, serves, and ends by itself on SIGTERM."""
    with structlog.testing.capture_logs() as logs:
        running = asyncio.create_task(run(Settings(listen="127.0.0.1:0", workers=1), stages))
        (target,) = (await logged(logs, "listening"))["addresses"]
        await logged(logs, "serving")
        async with grpc.aio.insecure_channel(target) as channel:
            answer = await ocr_pb2_grpc.OcrServiceStub(channel).Recognize(request("a"))
        os.kill(os.getpid(), signal.SIGTERM)
        await running
    assert texts(answer.recognition) == ["a"]
    assert [entry["event"] for entry in logs if entry["event"] != "call"] == [
        "settings",
        "listening",
        "serving",
        "stopping",
        "stopped",
    ]
    assert logs[0]["workers"] == 1
    assert stages.closed


async def test_a_signal_during_the_warm_up_stops_the_server(stages):
    """A stop signal that comes while the models are loaded ends the server without it ever serving."""
    stages.may_start.clear()
    with structlog.testing.capture_logs() as logs:
        running = asyncio.create_task(run(Settings(listen="127.0.0.1:0", workers=1), stages))
        await logged(logs, "listening")
        os.kill(os.getpid(), signal.SIGINT)
        await logged(logs, "stopping")
        stages.may_start.set()
        await running
    assert "serving" not in [entry["event"] for entry in logs]


async def test_a_failed_start_ends_the_server(stages):
    """When the models cannot be loaded, run() raises the reason and closes what it opened."""
    stages.start_error = BundleInvalid("no weights")
    with pytest.raises(BundleInvalid, match="no weights"):
        await run(Settings(listen="127.0.0.1:0", workers=1), stages)
    assert stages.closed


def test_the_pipeline_is_built_from_the_settings(tmp_path):
    """build_pipeline hands every setting of the pipeline on."""
    settings = Settings(
        models_dir=tmp_path,
        default_model="m",
        model_agreement=tmp_path / "agreed.json",
        decoder_backend="reference",
        workers=3,
        max_image_bytes=100,
        max_image_pixels=101,
        max_image_side=102,
        min_image_side=103 - 2,
    )
    pipeline = build_pipeline(settings)
    config = pipeline._config
    pipeline.close()
    assert (config.models_dir, config.default_model, config.decoder_backend) == (tmp_path, "m", "reference")
    assert config.agreement == tmp_path / "agreed.json"
    assert config.workers == 3
    limits = config.limits
    assert (limits.max_bytes, limits.max_pixels, limits.max_side, limits.min_side) == (100, 101, 102, 101)
