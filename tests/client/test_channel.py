"""How the clients reach a server."""

from __future__ import annotations

import json

import pytest
from glyphwire import _channel
from glyphwire.v1 import ocr_pb2
from grpc_health.v1 import health_pb2


def test_the_health_messages_are_those_of_grpc():
    """The bytes that stand for the messages of grpc.health.v1 are what its own stubs make."""
    request = health_pb2.HealthCheckRequest(service=_channel.SERVICE)
    serving = health_pb2.HealthCheckResponse(status=health_pb2.HealthCheckResponse.SERVING)
    assert request.SerializeToString() == _channel.HEALTH_REQUEST
    assert serving.SerializeToString() == _channel.HEALTH_SERVING


def test_unary_methods_are_retried_and_streams_are_not():
    """The retry policy names every unary method of the contract, and no streaming one."""
    config = json.loads(dict(_channel.channel_options("host:1", 3, None))["grpc.service_config"])
    (method_config,) = config["methodConfig"]
    named = {name["method"] for name in method_config["name"]}
    methods = ocr_pb2.DESCRIPTOR.services_by_name["OcrService"].methods
    assert named == {method.name for method in methods if not method.server_streaming}
    assert method_config["retryPolicy"]["maxAttempts"] == 3
    assert method_config["retryPolicy"]["retryableStatusCodes"] == ["UNAVAILABLE", "CANCELLED"]


def test_one_attempt_means_no_retries():
    """With max_attempts 1 there is no retry policy."""
    options = dict(_channel.channel_options("host:1", 1, None))
    assert json.loads(options["grpc.service_config"]) == {}
    assert options["grpc.enable_retries"] == 0


@pytest.mark.parametrize(("target", "proxied"), [("127.0.0.1:1", 0), ("localhost:1", 0), ("host:1", 1)])
def test_this_machine_is_reached_without_a_proxy(target, proxied):
    """An http_proxy in the environment is not asked for addresses of this machine."""
    assert dict(_channel.channel_options(target, 3, None))["grpc.enable_http_proxy"] == proxied


def test_a_timeout_of_zero_is_not_the_default():
    """A caller whose budget is spent gets a deadline that has passed, not thirty seconds."""
    assert (_channel.chosen(0.0, 30.0), _channel.chosen(None, 30.0)) == (0.0, 30.0)
