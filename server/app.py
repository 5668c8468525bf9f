"""The gRPC server: service, health, reflection, start and stop."""

from __future__ import annotations

import asyncio
import signal

import grpc.aio
import structlog
from glyphwire.v1 import ocr_pb2_grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc  # type: ignore[import-untyped]  # has no stubs
from grpc_reflection.v1alpha import reflection  # type: ignore[import-untyped]  # has no stubs

from ocr_core.image import ImageLimits
from ocr_core.pipeline import Pipeline, PipelineConfig
from server.addresses import Address
from server.authentication import Authentication
from server.batcher import Batcher, StartableStages
from server.interceptors import SERVICE, CallInterceptor
from server.listeners import bind
from server.servicer import OcrServicer
from server.settings import Settings
from server.tokens import Tokens

_FLUSH_S = 1.0
"""How long finished answers may take on their way out."""

_log = structlog.get_logger(__name__)


def build_pipeline(settings: Settings) -> Pipeline:
    """The pipeline that the settings describe, not started."""
    return Pipeline(
        PipelineConfig(
            models_dir=settings.models_dir,
            language_dir=settings.language_dir,
            default_model=settings.default_model,
            decoder_backend=settings.decoder_backend,
            workers=settings.workers,
            max_batch_size=settings.max_batch_size,
            precision=settings.precision,
            limits=ImageLimits(
                max_bytes=settings.max_image_bytes,
                max_pixels=settings.max_image_pixels,
                max_side=settings.max_image_side,
                min_side=settings.min_image_side,
            ),
        )
    )


class App:
    """The server around a pipeline. Construct in a running event loop, listen(), start(), stop()."""

    def __init__(self, settings: Settings, stages: StartableStages) -> None:
        self._settings = settings
        self._batcher = Batcher(stages, settings)
        self._health = health.aio.HealthServicer()
        self._server = grpc.aio.server(interceptors=_interceptors(settings), options=_channel_options(settings))
        ocr_pb2_grpc.add_OcrServiceServicer_to_server(OcrServicer(self._batcher, settings), self._server)
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._server)
        reflection.enable_server_reflection((SERVICE, health.SERVICE_NAME, reflection.SERVICE_NAME), self._server)

    async def listen(self) -> tuple[Address, ...]:
        """Bind, and say NOT_SERVING. Returns the addresses with their ports. Calls that come already wait.

        Raises ListenFailed, and SettingsInvalid for certificates that cannot be used.
        """
        await self._set_health(health_pb2.HealthCheckResponse.NOT_SERVING)
        bound = bind(self._server, self._settings)
        await self._server.start()
        return bound

    async def start(self) -> None:
        """Load and warm up the models, then say SERVING. Raises OcrError."""
        await self._batcher.start()
        await self._set_health(health_pb2.HealthCheckResponse.SERVING)

    async def stop(self) -> None:
        """Say NOT_SERVING, refuse new work, finish what was admitted within drain_timeout_s, close."""
        await self._health.enter_graceful_shutdown()
        finished = await self._batcher.drain(self._settings.drain_timeout_s)
        await self._server.stop(_FLUSH_S if finished else 0)
        self._batcher.close()

    async def _set_health(self, status: health_pb2.HealthCheckResponse.ServingStatus) -> None:
        for service in ("", SERVICE):
            await self._health.set(service, status)


async def run(settings: Settings, stages: StartableStages) -> None:
    """Serve until SIGTERM or SIGINT. Raises OcrError when the server cannot start."""
    stopped = _stop_signal()
    app = App(settings, stages)
    _log.info("settings", **settings.model_dump(mode="json"))
    _log.info("listening", addresses=[str(address) for address in await app.listen()])
    starting = asyncio.create_task(app.start())
    try:
        await asyncio.wait((starting, stopped), return_when=asyncio.FIRST_COMPLETED)
        if starting.done():
            await starting
            _log.info("serving")
            await stopped
        _log.info("stopping")
    finally:
        await app.stop()
        starting.cancel()
    _log.info("stopped")


def _stop_signal() -> asyncio.Future[None]:
    """Resolved by the first SIGTERM or SIGINT; later ones change nothing."""
    loop = asyncio.get_running_loop()
    stopped: asyncio.Future[None] = loop.create_future()

    def stop() -> None:
        if not stopped.done():
            stopped.set_result(None)

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop)
    return stopped


def _interceptors(settings: Settings) -> list[grpc.aio.ServerInterceptor]:
    """From the outermost on."""
    if settings.token_file is None:
        return [CallInterceptor()]
    return [CallInterceptor(), Authentication(Tokens(settings.token_file))]


def _channel_options(settings: Settings) -> list[tuple[str, int]]:
    return [
        ("grpc.max_receive_message_length", settings.max_message_bytes),
        ("grpc.max_send_message_length", -1),
        # Two servers at one port would share the calls at random; the second one shall fail instead.
        ("grpc.so_reuseport", 0),
        ("grpc.keepalive_time_ms", 60_000),
        ("grpc.keepalive_timeout_ms", 20_000),
        ("grpc.http2.min_ping_interval_without_data_ms", 10_000),
        ("grpc.keepalive_permit_without_calls", 1),
    ]
