"""How both clients reach the server: channel options, retries, the health check."""

from __future__ import annotations

import ipaddress
import json
from pathlib import Path
from typing import TYPE_CHECKING

import grpc

from glyphwire.errors import OcrError

if TYPE_CHECKING:
    import os

    from glyphwire.types import Tls

SERVICE = "glyphwire.v1.OcrService"
TIMEOUT_S = 30.0
ADMIN_TIMEOUT_S = 300.0
STREAM_TIMEOUT_S = 3600.0
LONGEST_TIMEOUT_S = 365 * 86_400.0
"""gRPC takes one that is infinite for a deadline that has passed."""
MAX_MESSAGE_BYTES = 64 * 2**20
HEALTH_POLL_S = 0.1
SERVER_GONE = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED)
"""Statuses with which a stopping server leaves calls. gRPC cancels those that it has taken in and not handed on."""
RESUME_S = 60.0
"""How long a stream that is to be resumed is tried without a single result."""

_KEEPALIVE_MS = 20_000
_KEEPALIVE_TIMEOUT_MS = 10_000

# Messages of grpc.health.v1 as bytes, which saves a dependency: field 1 of the request is the service's name, field 1
# of the response the status, where 1 is SERVING.
HEALTH_METHOD = "/grpc.health.v1.Health/Check"
HEALTH_REQUEST = bytes([0x0A, len(SERVICE)]) + SERVICE.encode()
HEALTH_SERVING = b"\x08\x01"

_UNARY_METHODS = ("Recognize", "BatchRecognize", "ListModels")


def channel_options(target: str, max_attempts: int, tls: Tls | None) -> list[tuple[str, int | str]]:
    """For grpc.insecure_channel and its kin. max_attempts: of a unary call; 1 for no retries."""
    named = [("grpc.ssl_target_name_override", tls.server_name)] if tls and tls.server_name else []
    return [
        *named,
        ("grpc.service_config", _service_config(max_attempts)),
        ("grpc.enable_retries", int(max_attempts > 1)),
        # A connection of its own for each client: two of one process may then be served by two processes.
        ("grpc.use_local_subchannel_pool", 1),
        # A message is kept for retries only while it fits; the default of 256 KiB would exclude most images.
        ("grpc.per_rpc_retry_buffer_size", MAX_MESSAGE_BYTES),
        ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
        ("grpc.max_send_message_length", -1),
        ("grpc.initial_reconnect_backoff_ms", 100),
        ("grpc.max_reconnect_backoff_ms", 5000),
        ("grpc.enable_http_proxy", int(not _is_local(target))),
        # While calls run, so that a server whose machine is gone is noticed before the deadline.
        ("grpc.keepalive_time_ms", _KEEPALIVE_MS),
        ("grpc.keepalive_timeout_ms", _KEEPALIVE_TIMEOUT_MS),
        ("grpc.http2.max_pings_without_data", 0),
    ]


def open_channel(target: str, max_attempts: int, tls: Tls | None) -> grpc.Channel:
    """A blocking channel. Raises OSError for files of tls that cannot be read."""
    options = channel_options(target, max_attempts, tls)
    if tls is None:
        return grpc.insecure_channel(target, options)
    return grpc.secure_channel(target, credentials(tls), options)


def credentials(tls: Tls) -> grpc.ChannelCredentials:
    """For grpc.secure_channel and its kin. Raises OSError for files that cannot be read."""
    return grpc.ssl_channel_credentials(_content(tls.ca), _content(tls.key), _content(tls.cert))


def call_metadata(
    target: str, token: str | None, *, is_encrypted: bool, allow_plaintext: bool
) -> tuple[tuple[str, str], ...]:
    """What is sent with every call. Raises ValueError for a token that others could read on its way."""
    if token is None:
        return ()
    if not (is_encrypted or allow_plaintext or _is_local(target)):
        raise ValueError(f"the token would cross the network to {target} in plain text: use TLS")
    return (("authorization", f"Bearer {token}"),)


class ResumePatience:
    """How long to wait before a stream is resumed, and whether."""

    def __init__(self) -> None:
        self.got_result()

    def got_result(self) -> None:
        """All is well again."""
        self._waited_s = 0.0
        self._next_s = 0.1

    def wait_s(self, error: OcrError) -> float:
        """Before the next try. Raises `error` when there is none."""
        if error.code not in SERVER_GONE or self._waited_s >= RESUME_S:
            raise error
        wait_s = max(self._next_s, error.retry_after_s or 0.0)
        self._waited_s += wait_s
        self._next_s = min(2 * self._next_s, 5.0)
        return wait_s


def _service_config(max_attempts: int) -> str:
    """Unary calls only read, so trying again is safe. A stream would have to resend its frames: its caller decides."""
    if max_attempts < 2:
        return "{}"
    policy = {
        "maxAttempts": min(max_attempts, 5),
        "initialBackoff": "0.1s",
        "maxBackoff": "5s",
        "backoffMultiplier": 3,
        "retryableStatusCodes": [code.name for code in SERVER_GONE],
    }
    names = [{"service": SERVICE, "method": method} for method in _UNARY_METHODS]
    return json.dumps({"methodConfig": [{"name": names, "retryPolicy": policy}]})


def _content(path: str | os.PathLike[str] | None) -> bytes | None:
    return None if path is None else Path(path).read_bytes()


def _is_local(target: str) -> bool:
    """Whether a target is on this machine."""
    host = target.rpartition(":")[0].strip("[]")
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or target.startswith("unix:")


def chosen(timeout_s: float | None, default_s: float) -> float:
    """The timeout of one call; 0 is a deadline that has passed, not the default."""
    return min(default_s if timeout_s is None else timeout_s, LONGEST_TIMEOUT_S)
