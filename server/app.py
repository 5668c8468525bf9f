"""The gRPC server: service, health, reflection, channelz, start and stop."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

import grpc.aio
import structlog
from glyphwire.v1 import admin_pb2_grpc, ocr_pb2_grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc  # type: ignore[import-untyped]  # has no stubs
from grpc_reflection.v1alpha import reflection  # type: ignore[import-untyped]  # has no stubs

from ocr_core.errors import SetupError
from ocr_core.stages import AnyStages
from server.addresses import Address
from server.admin_servicer import AdminServicer
from server.authentication import Authentication
from server.batcher import Batcher
from server.interceptors import ADMIN_SERVICE, OPEN_INFERENCE, SERVICE, CallFrame
from server.listeners import bind
from server.metrics import Metrics, metrics_port
from server.model_admin import ModelAdmin
from server.open_inference import OpenInferenceServicer
from server.process_link import ProcessLink
from server.remote_stages import RemoteStages
from server.servicer import OcrServicer
from server.settings import Settings
from server.signals import stop_signal
from server.stubs import open_inference_pb2_grpc
from server.tokens import Tokens

if TYPE_CHECKING:
    from ocr_core.pipeline import Pipeline
    from server.tracing import Tracing

_FLUSH_S = 1.0
"""How long finished answers may take on their way out."""

_REFUSE_S = 0.2

_log = structlog.get_logger(__name__)


def build_pipeline(settings: Settings) -> Pipeline:
    """The pipeline that the settings describe, not started."""
    # Here and not above: where a process of its own reads, this one does without OpenVINO.
    from ocr_core.pipeline import Pipeline

    return Pipeline(settings.pipeline_config)


class App:
    """The server around a pipeline. Construct in a running event loop, listen() and start() in any order, stop().

    shares_ports: whether other processes listen at the same ports.
    """

    def __init__(
        self,
        settings: Settings,
        stages: AnyStages | RemoteStages,
        metrics: Metrics | None = None,
        *,
        shares_ports: bool = False,
    ) -> None:
        self._settings = settings
        self._stages = stages
        self._shares_ports = shares_ports
        self._is_ready = False
        self.metrics = metrics or Metrics()
        self._batcher = Batcher(stages, settings, self.metrics)
        self._health = health.aio.HealthServicer()
        self._tracing = _tracing(settings)
        self._models_served: set[str] = set()
        self._model_admin: ModelAdmin | None = None
        tokens = Tokens(settings.token_file) if settings.token_file else None
        self._frame = CallFrame(self.metrics, self._tracing)
        self._server = grpc.aio.server(
            interceptors=[Authentication(tokens, self._frame)] if tokens else (),
            options=_channel_options(settings, shares_ports),
        )
        framed = self._frame.around(SERVICE, OcrServicer(self._batcher, settings))
        ocr_pb2_grpc.add_OcrServiceServicer_to_server(framed, self._server)
        self._services = [SERVICE]
        if settings.open_inference:
            framed = self._frame.around(OPEN_INFERENCE, OpenInferenceServicer(self._batcher, settings))
            open_inference_pb2_grpc.add_GRPCInferenceServiceServicer_to_server(framed, self._server)
            self._services.append(OPEN_INFERENCE)
        if tokens and tokens.has_admin:
            self._add_admin()
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._server)
        if settings.reflection:
            names = (*self._services, health.SERVICE_NAME, reflection.SERVICE_NAME)
            reflection.enable_server_reflection(names, self._server)
        if settings.channelz:
            _add_channelz(self._server)

    def _add_admin(self) -> None:
        """Without an admin's token nobody could call it, and nobody finds it."""
        self._model_admin = ModelAdmin(
            self._batcher, self._stages.shelf, self._show_models, self._settings.model_agreement
        )
        framed = self._frame.around(ADMIN_SERVICE, AdminServicer(self._model_admin))
        admin_pb2_grpc.add_AdminServiceServicer_to_server(framed, self._server)
        self._services.append(ADMIN_SERVICE)

    async def listen(self) -> tuple[Address, ...]:
        """Bind; say NOT_SERVING before start(). Returns the addresses with their ports. Calls that come already wait.

        Raises ListenFailed, and SettingsInvalid for certificates that cannot be used.
        """
        if not self._is_ready:
            await self._set_health(health_pb2.HealthCheckResponse.NOT_SERVING, "", *self._services)
        bound = bind(self._server, self._settings)
        await self._server.start()
        return bound

    async def start(self) -> None:
        """Load and warm up the models, then say SERVING. Raises OcrError."""
        await self._batcher.start()
        await self._show_models()
        await self._set_health(health_pb2.HealthCheckResponse.SERVING, *self._services, "")
        self._is_ready = True
        if self._model_admin:
            self._model_admin.start()

    async def stop(self) -> None:
        """Say NOT_SERVING, refuse new work, finish what was admitted within drain_timeout_s, close."""
        await self._health.enter_graceful_shutdown()
        if self._model_admin:
            self._model_admin.close()
        leaving = asyncio.create_task(self._send_callers_away())
        finished = await self._batcher.drain(self._settings.drain_timeout_s)
        await asyncio.wait((leaving,), timeout=_FLUSH_S if finished else 0)
        leaving.cancel()
        await self._server.stop(_FLUSH_S if finished else 0)
        self._batcher.close()
        if self._tracing:
            self._tracing.close()

    async def _send_callers_away(self) -> None:
        """At shared ports the next call of every connection goes to another process.

        For a moment calls are refused first: those that gRPC has taken in, but not handed to us, it would cancel.
        """
        if self._shares_ports:
            await asyncio.sleep(_REFUSE_S)
            await self._server.stop(self._settings.drain_timeout_s + _FLUSH_S)

    async def _show_models(self) -> None:
        """Each name by which a request can name a model has its health; where it finds nothing any more it says so."""
        served = {f"{SERVICE}/{name}" for model in self._stages.models() for name in model.names}
        await self._set_health(health_pb2.HealthCheckResponse.NOT_SERVING, *(self._models_served - served))
        await self._set_health(health_pb2.HealthCheckResponse.SERVING, *(served - self._models_served))
        self._models_served = served

    async def _set_health(self, status: health_pb2.HealthCheckResponse.ServingStatus, *services: str) -> None:
        for service in services:
            await self._health.set(service, status)


async def run(
    settings: Settings,
    stages: AnyStages | RemoteStages,
    link: ProcessLink | None = None,
    metrics: Metrics | None = None,
) -> None:
    """Serve until SIGTERM or SIGINT. link: to the supervisor, for one of several processes that share their ports.

    Raises OcrError when the server cannot start.
    """
    app = App(settings, stages, metrics, shares_ports=link is not None)
    _log.info("settings", **settings.model_dump(mode="json"))
    with ExitStack() as stack:
        if settings.metrics_listen:
            port = stack.enter_context(metrics_port(settings.metrics_listen, app.metrics.registry))
            _log.info("metrics", listen=settings.metrics_listen, port=port)
        await _serve(app, link)
    _log.info("stopped")


async def _serve(app: App, link: ProcessLink | None) -> None:
    stopped = {stop_signal()} if link is None else {stop_signal(), asyncio.ensure_future(link.supervisor_gone())}
    starting = asyncio.create_task(_start(app) if link is None else _start_shared(app, link))
    try:
        await asyncio.wait((starting, *stopped), return_when=asyncio.FIRST_COMPLETED)
        if starting.done():
            await starting
            # What is loaded stays. Without this it was looked through for garbage every thousand calls or so, 70 ms in
            # which nothing else ran.
            gc.collect()
            gc.freeze()
            _log.info("serving")
            await asyncio.wait(stopped, return_when=asyncio.FIRST_COMPLETED)
        _log.info("stopping")
    finally:
        await app.stop()
        starting.cancel()


async def _start(app: App) -> None:
    """Health is answered while the models are loaded."""
    _log_addresses(await app.listen())
    await app.start()


async def _start_shared(app: App, link: ProcessLink) -> None:
    """Others may be serving at the same ports: connections come here only when they are answered."""
    await app.start()
    _log_addresses(await app.listen())
    link.say_serving()


def _log_addresses(addresses: Sequence[Address]) -> None:
    _log.info("listening", addresses=[str(address) for address in addresses])


def _tracing(settings: Settings) -> Tracing | None:
    """Raises SetupError when the extra `tracing` is not installed."""
    if not settings.otlp_endpoint:
        return None
    with _extra("tracing", "otlp_endpoint"):
        from server.tracing import tracing_to
    return tracing_to(settings.otlp_endpoint, settings.trace_sample_ratio)


def _add_channelz(server: grpc.aio.Server) -> None:
    """Raises SetupError when the extra `channelz` is not installed."""
    with _extra("channelz", "channelz"):
        from grpc_channelz.v1 import channelz  # type: ignore[import-untyped]  # has no stubs
    channelz.add_channelz_servicer(server)


@contextmanager
def _extra(name: str, setting: str) -> Iterator[None]:
    """Around imports that need an extra."""
    try:
        yield
    except ImportError as error:
        raise SetupError(f"{setting} needs {error.name}: install glyphwire-server[{name}]") from None


def _channel_options(settings: Settings, shares_ports: bool) -> list[tuple[str, int]]:
    return [
        ("grpc.max_receive_message_length", settings.max_message_bytes),
        ("grpc.max_send_message_length", -1),
        # Two servers at one port by accident would share the calls at random; the second one shall fail instead.
        ("grpc.so_reuseport", int(shares_ports)),
        ("grpc.enable_channelz", int(settings.channelz)),
        ("grpc.keepalive_time_ms", 60_000),
        ("grpc.keepalive_timeout_ms", 20_000),
        ("grpc.http2.min_ping_interval_without_data_ms", 10_000),
        ("grpc.keepalive_permit_without_calls", 1),
    ]
