"""Calls need a token: refused ones end here, before their messages are read."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import ExitStack
from typing import Any, TypeAlias

import grpc
import grpc.aio
import structlog
from grpc_health.v1 import health  # type: ignore[import-untyped]  # has no stubs
from grpc_reflection.v1alpha import reflection  # type: ignore[import-untyped]  # has no stubs

from ocr_core.errors import OcrError
from server.errors import TokenInvalid
from server.identity import set_token_name
from server.interceptors import READERS, CallFrame, service_of
from server.tokens import Client, Tokens

_Context: TypeAlias = "grpc.aio.ServicerContext[Any, Any]"
_Handler: TypeAlias = "grpc.RpcMethodHandler[Any, Any]"  # in quotes, as generic in the stubs alone

_HEADER = "authorization"
_SCHEME = "bearer "
_OPEN = {health.SERVICE_NAME}
"""Load balancers and probes have no token."""
_FOR_EVERY_TOKEN = READERS | {reflection.SERVICE_NAME}


class Authentication(grpc.aio.ServerInterceptor):
    """Finds the client of each call and holds it to its limits. Everything but health needs a token."""

    def __init__(self, tokens: Tokens, frame: CallFrame) -> None:
        self._tokens = tokens
        self._frame = frame

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[_Handler | None]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> _Handler | None:
        """Count the call in its client, or answer in the handler's place."""
        handler = await continuation(handler_call_details)
        service = service_of(handler_call_details.method)
        if handler is None or service in _OPEN:
            return handler
        try:
            client = self._tokens.client(_token(handler_call_details.invocation_metadata))
            set_token_name(client.name)
            structlog.contextvars.bind_contextvars(client=client.name)
            client.check(is_stream=handler.response_streaming, is_admin=service not in _FOR_EVERY_TOKEN)
        except OcrError as error:
            return self._refusal(handler_call_details.method, error)
        return self._counted(handler, handler_call_details.method, client) if service in READERS else handler

    def _refusal(self, path: str, error: OcrError) -> _Handler:
        """Raises the error in any kind of call: of a stream, gRPC reads no message before its handler asks for one."""
        handler: Any = self._refusing(path, error)
        return grpc.stream_stream_rpc_method_handler(handler)

    def _refusing(self, path: str, error: OcrError) -> Callable[..., Awaitable[None]]:
        async def refuse(requests: AsyncIterator[bytes], context: _Context) -> AsyncGenerator[bytes, None]:
            del requests, context
            raise error
            yield b""  # makes it a generator

        return self._frame.stream(path, refuse)

    def _counted(self, handler: _Handler, path: str, client: Client) -> _Handler:
        """The handler of a method in its frame, which is a coroutine whether it streams or not."""
        # The stubs describe the behaviours of synchronous servers.
        behaviour: Any = handler.stream_stream if handler.response_streaming else handler.unary_unary

        async def running(request: object, context: _Context) -> object:
            with ExitStack() as stack:
                chosen = behaviour
                try:
                    stack.enter_context(client.running(is_stream=handler.response_streaming))
                except OcrError as error:
                    # Calls that began meanwhile took the last place.
                    chosen = self._refusing(path, error)
                return await chosen(request, context)

        counted: Any = running
        wire: tuple[Any, Any] = (handler.request_deserializer, handler.response_serializer)
        if handler.response_streaming:
            return grpc.stream_stream_rpc_method_handler(counted, *wire)
        return grpc.unary_unary_rpc_method_handler(counted, *wire)


def _token(metadata: Any) -> str:  # noqa: ANN401 - no common type in gRPC's stubs
    """Raises TokenInvalid."""
    for key, value in metadata or ():
        if key == _HEADER and value[: len(_SCHEME)].lower() == _SCHEME:
            return str(value[len(_SCHEME) :].strip())
    raise TokenInvalid("the call has no token: metadata needs authorization: Bearer TOKEN")
