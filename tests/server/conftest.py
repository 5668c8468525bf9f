"""A real server in this process, on a free port, with a fake pipeline."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass

import grpc.aio
import pytest
import structlog
from glyphwire.v1 import ocr_pb2_grpc

from server import arrivals
from server.app import App
from server.arrivals import every_frame
from server.batcher import Batcher
from server.cli import main
from server.metrics import Metrics
from server.settings import Settings
from server.stubs.open_inference_pb2_grpc import GRPCInferenceServiceStub
from tests.server.fake_stages import FakeStages


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch):
    """The developer's own GLYPHWIRE_* variables and log settings stay out of the tests."""
    for name in [name for name in os.environ if name.startswith("GLYPHWIRE_")]:
        monkeypatch.delenv(name)
    handlers = logging.root.handlers[:]
    yield
    logging.root.handlers[:] = handlers
    structlog.reset_defaults()


@dataclass
class RunningApp:
    """A listening App, its fake pipeline, and a plain channel to its first address. targets: all of them."""

    app: App
    stages: FakeStages
    settings: Settings
    target: str
    targets: list[str]
    channel: grpc.aio.Channel
    stub: ocr_pb2_grpc.OcrServiceStub


StartApp = Callable[..., Awaitable[RunningApp]]


@pytest.fixture
def stages() -> FakeStages:
    """The pipeline behind `start_app` and `running`."""
    return FakeStages()


@pytest.fixture
async def start_batcher(stages) -> AsyncIterator[Callable[..., Awaitable[Batcher]]]:
    """Starts a batcher with the given settings; closes it after the test."""
    async with AsyncExitStack() as stack:

        async def start(*, warm: bool = True, metrics: Metrics | None = None, **changes) -> Batcher:
            batcher = Batcher(stages, Settings(**({"workers": 1, "max_batch_size": 4} | changes)), metrics)
            stack.callback(batcher.close)
            stack.callback(stages.open_gates)
            if warm:
                await batcher.start()
            return batcher

        yield start


@pytest.fixture
async def batcher(start_batcher) -> Batcher:
    """One worker, batches of up to 4 lines, started."""
    return await start_batcher()


@pytest.fixture
async def start_app(stages) -> AsyncIterator[StartApp]:
    """Starts an App with the given settings; stops it after the test."""
    async with AsyncExitStack() as stack:

        async def start(*, warm: bool = True, **changes) -> RunningApp:
            settings = Settings(**({"listen": "127.0.0.1:0", "workers": 1, "drain_timeout_s": 5} | changes))
            app = App(settings, stages)
            target, *_ = targets = [str(address) for address in await app.listen()]
            stack.push_async_callback(app.stop)
            stack.callback(stages.open_gates)
            if warm:
                await app.start()
            channel = await stack.enter_async_context(grpc.aio.insecure_channel(target))
            return RunningApp(app, stages, settings, target, targets, channel, ocr_pb2_grpc.OcrServiceStub(channel))

        yield start


@pytest.fixture
def glyphwire_command(capsys, monkeypatch):
    """Runs `glyphwire ...` in a thread of this process; returns status, standard output and standard error."""
    monkeypatch.setenv("GLYPHWIRE_LOG_LEVEL", "error")  # a server in this process shares the log

    async def run(*arguments: object) -> tuple[int, str, str]:
        status = await asyncio.to_thread(main, [str(argument) for argument in arguments])
        captured = capsys.readouterr()
        return status, captured.out, captured.err

    return run


@pytest.fixture
def fake_pipeline(monkeypatch, stages) -> FakeStages:
    """Commands that read in this process get the fake pipeline."""
    monkeypatch.setattr("server.app.build_pipeline", lambda settings: stages)
    return stages


@pytest.fixture
async def running(start_app) -> RunningApp:
    """An App with one worker and default limits, serving."""
    return await start_app()


@pytest.fixture
def inference(running) -> GRPCInferenceServiceStub:
    """Calls the Open Inference Protocol of `running`."""
    return GRPCInferenceServiceStub(running.channel)


@pytest.fixture
def taken(monkeypatch) -> asyncio.Semaphore:
    """Released for each frame that a stream with LATEST has taken from its caller."""
    taken = asyncio.Semaphore(0)

    async def counted(requests):
        async for arrival in every_frame(requests):
            yield arrival
            taken.release()

    monkeypatch.setattr(arrivals, "every_frame", counted)
    return taken
