"""Around every HTTP request: its id, and what the log and the metrics say about it."""

from __future__ import annotations

import secrets
import time

import structlog
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway.problems import refused

_REQUEST_ID = "x-request-id"
_MAX_REQUEST_ID = 128
_BUCKETS_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
_HEADERS = (
    ("x-content-type-options", "nosniff"),
    ("referrer-policy", "no-referrer"),
    # Everything the page needs comes from here; pictures and results also out of its own memory.
    (
        "content-security-policy",
        "default-src 'self'; img-src 'self' blob: data:; media-src 'self' blob:; connect-src 'self' blob: ws: wss:; "
        "frame-ancestors 'none'; base-uri 'none'; form-action 'self'",
    ),
)

_log = structlog.get_logger(__name__)


class GatewayMetrics:
    """What is counted, in a registry of its own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.requests = Counter(
            "glyphwire_http_requests", "Requests that are over.", ["route", "status"], registry=self.registry
        )
        self.seconds = Histogram(
            "glyphwire_http_seconds",
            "From arrival to the last byte.",
            ["route"],
            registry=self.registry,
            buckets=_BUCKETS_S,
        )
        self.in_flight = Gauge("glyphwire_http_in_flight", "Requests being answered.", registry=self.registry)
        self.jobs = Gauge("glyphwire_http_jobs", "Jobs that are kept, by state.", ["state"], registry=self.registry)
        self.live = Gauge("glyphwire_http_live", "Open live streams.", registry=self.registry)


class Frame:
    """The outermost layer of the application. max_body_bytes: larger requests are refused as they come in."""

    def __init__(self, app: ASGIApp, metrics: GatewayMetrics, max_body_bytes: int) -> None:
        self._app = app
        self._metrics = metrics
        self._max_body_bytes = max_body_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = _request_id(Headers(scope=scope))
        structlog.contextvars.bind_contextvars(request_id=request_id)
        exchange = _Exchange(receive, send, request_id, self._max_body_bytes)
        started = time.perf_counter()
        self._metrics.in_flight.inc()
        try:
            await self._app(scope, exchange.receive, exchange.send)
        except Exception as error:  # noqa: BLE001 - the caller has been told by now
            _log.error("internal_error", exc_info=error)
        finally:
            self._metrics.in_flight.dec()
            self._note(scope, exchange, time.perf_counter() - started)
            structlog.contextvars.unbind_contextvars("request_id")

    def _note(self, scope: Scope, exchange: _Exchange, seconds: float) -> None:
        route = getattr(scope.get("route"), "path", "other")
        self._metrics.requests.labels(route, str(exchange.status)).inc()
        self._metrics.seconds.labels(route).observe(seconds)
        _log.info(
            "request",
            method=scope["method"],
            path=scope["path"],
            status=exchange.status,
            bytes=exchange.received,
            duration_ms=round(1e3 * seconds, 3),
            client=(scope.get("client") or ("",))[0],
        )


class _Exchange:
    """What goes in and out of one request. status: 0 until the answer has begun."""

    def __init__(self, receive: Receive, send: Send, request_id: str, max_body_bytes: int) -> None:
        self._receive = receive
        self._send = send
        self._request_id = request_id
        self._max_body_bytes = max_body_bytes
        self.received = 0
        self.status = 0

    async def receive(self) -> Message:
        message = await self._receive()
        self.received += len(message.get("body", b""))
        if self.received > self._max_body_bytes:
            raise refused(413, "IMAGE_TOO_LARGE", f"the request has more than {self._max_body_bytes} bytes")
        return message

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            headers = MutableHeaders(scope=message)
            headers.append(_REQUEST_ID, self._request_id)
            for name, value in _HEADERS:
                headers.setdefault(name, value)
        await self._send(message)


def _request_id(headers: Headers) -> str:
    """The caller's when it fits into a log line, else a new one."""
    given = headers.get(_REQUEST_ID, "")
    return given if given.isprintable() and 0 < len(given) <= _MAX_REQUEST_ID else secrets.token_hex(16)
