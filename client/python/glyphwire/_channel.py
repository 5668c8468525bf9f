"""How both clients reach the server: channel options, retries, the health check."""

from __future__ import annotations

import json

SERVICE = "glyphwire.v1.OcrService"
TIMEOUT_S = 30.0
STREAM_TIMEOUT_S = 3600.0
MAX_MESSAGE_BYTES = 64 * 2**20
HEALTH_POLL_S = 0.1

# Messages of grpc.health.v1 as bytes, which saves a dependency: field 1 of the request is the service's name, field 1
# of the response the status, where 1 is SERVING.
HEALTH_METHOD = "/grpc.health.v1.Health/Check"
HEALTH_REQUEST = bytes([0x0A, len(SERVICE)]) + SERVICE.encode()
HEALTH_SERVING = b"\x08\x01"

_UNARY_METHODS = ("Recognize", "BatchRecognize", "ListModels")
_LOOPBACK = ("127.", "localhost", "[::1]", "unix:")


def channel_options(target: str, max_attempts: int) -> list[tuple[str, int | str]]:
    """For grpc.insecure_channel and its kin. max_attempts: of a unary call; 1 for no retries."""
    return [
        ("grpc.service_config", _service_config(max_attempts)),
        ("grpc.enable_retries", int(max_attempts > 1)),
        # A message is kept for retries only while it fits; the default of 256 KiB would exclude most images.
        ("grpc.per_rpc_retry_buffer_size", MAX_MESSAGE_BYTES),
        ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
        ("grpc.max_send_message_length", -1),
        ("grpc.initial_reconnect_backoff_ms", 100),
        ("grpc.max_reconnect_backoff_ms", 5000),
        ("grpc.enable_http_proxy", int(not target.startswith(_LOOPBACK))),
    ]


def _service_config(max_attempts: int) -> str:
    """Unary calls only read, so trying again is safe. A stream would have to resend its frames: its caller decides."""
    if max_attempts < 2:
        return "{}"
    policy = {
        "maxAttempts": min(max_attempts, 5),
        "initialBackoff": "0.1s",
        "maxBackoff": "5s",
        "backoffMultiplier": 3,
        "retryableStatusCodes": ["UNAVAILABLE"],
    }
    names = [{"service": SERVICE, "method": method} for method in _UNARY_METHODS]
    return json.dumps({"methodConfig": [{"name": names, "retryPolicy": policy}]})


def chosen(timeout_s: float | None, default_s: float) -> float:
    """The timeout of one call; 0 is a deadline that has passed, not the default."""
    return default_s if timeout_s is None else timeout_s
