"""Around every call of our service: request id, one line of access log, errors to status and details."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import aclosing, asynccontextmanager
from typing import Any, TypeAlias, TypeVar

import grpc
import grpc.aio
import structlog
from google.protobuf import any_pb2, duration_pb2, message
from google.rpc import error_details_pb2, status_pb2  # type: ignore[import-untyped]  # ships no marker of its types

from server.errors import Fault, fault_of
from server.logs import log_our_fault

DOMAIN = "glyphwire.v1"
SERVICE = "glyphwire.v1.OcrService"
REQUEST_ID = "x-request-id"
STATUS_DETAILS = "grpc-status-details-bin"
RETRY_PUSHBACK = "grpc-retry-pushback-ms"

_MAX_REQUEST_ID = 128

_Response = TypeVar("_Response")
_Context: TypeAlias = "grpc.aio.ServicerContext[Any, Any]"
_Handler: TypeAlias = "grpc.RpcMethodHandler[Any, Any]"  # in quotes, as generic in the stubs alone

_log = structlog.get_logger(__name__)


class CallInterceptor(grpc.aio.ServerInterceptor):
    """Wraps the methods of OcrService; health and reflection pass unchanged."""

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[_Handler | None]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> _Handler | None:
        """Put the handler in our frame."""
        handler = await continuation(handler_call_details)
        service, _, method = handler_call_details.method.lstrip("/").partition("/")
        if handler is None or service != SERVICE:
            return handler
        # The stubs describe the behaviours of synchronous servers, ours are coroutines.
        wire: tuple[Any, Any] = (handler.request_deserializer, handler.response_serializer)
        if handler.response_streaming:
            stream: Any = handler.stream_stream
            return grpc.stream_stream_rpc_method_handler(framed_stream(method, stream), *wire)
        unary: Any = handler.unary_unary
        return grpc.unary_unary_rpc_method_handler(_framed_unary(method, unary), *wire)


def status_details(fault: Fault, request_id: str) -> tuple[tuple[str, str | bytes], ...]:
    """Trailing metadata of a failed call: google.rpc.Status with ErrorInfo, RetryInfo where trying again helps."""
    info = error_details_pb2.ErrorInfo(
        domain=DOMAIN, reason=fault.reason_name, metadata={"field": fault.field} if fault.field else {}
    )
    details = [_packed(info)]
    pushback: tuple[tuple[str, str | bytes], ...] = ()
    if fault.retry_after_s is not None:
        delay = duration_pb2.Duration()
        delay.FromMilliseconds(round(1e3 * fault.retry_after_s))
        details.append(_packed(error_details_pb2.RetryInfo(retry_delay=delay)))
        # gRPC's own retries know no RetryInfo, they wait as long as this says.
        pushback = ((RETRY_PUSHBACK, str(delay.ToMilliseconds())),)
    status = status_pb2.Status(code=fault.code.value[0], message=fault.message, details=details)
    return ((REQUEST_ID, request_id), (STATUS_DETAILS, status.SerializeToString()), *pushback)


def framed_stream(
    method: str, behaviour: Callable[..., AsyncGenerator[Any, None]]
) -> Callable[[AsyncIterator[Any], _Context], Awaitable[None]]:
    """A streaming method in our frame: its errors become statuses, and it leaves a line in the log."""

    async def framed(requests: AsyncIterator[Any], context: _Context) -> None:
        # Written, not yielded: a cancelled call is noticed in here, and the servicer's generator is closed at once.
        async with _frame(method, context), aclosing(behaviour(requests, context)) as responses:
            async for response in responses:
                await context.write(response)

    return framed


def _framed_unary(method: str, behaviour: Callable[..., Awaitable[_Response]]) -> Callable[..., Awaitable[_Response]]:
    async def framed(request: message.Message, context: _Context) -> _Response:
        async with _frame(method, context):
            return await behaviour(request, context)

    return framed


@asynccontextmanager
async def _frame(method: str, context: _Context) -> AsyncIterator[None]:
    """One call from its arrival to its log line."""
    request_id = _request_id(context)
    started = time.perf_counter()
    structlog.contextvars.bind_contextvars(request_id=request_id)
    # Trailing, as initial metadata would tell the caller's gRPC that the call is not to be retried.
    context.set_trailing_metadata(((REQUEST_ID, request_id),))
    code, reason = grpc.StatusCode.OK, ""
    try:
        yield
    except asyncio.CancelledError:
        code = _code_of_cancelled(context)
        raise
    except Exception as error:  # noqa: BLE001 - the one place that turns errors into statuses
        fault = fault_of(error)
        code, reason = fault.code, fault.reason_name
        log_our_fault(error)
        await context.abort(code, fault.message, status_details(fault, request_id))
    finally:
        _log.info(
            "call",
            method=method,
            code=code.name,
            reason=reason,
            duration_ms=round(1e3 * (time.perf_counter() - started), 3),
            peer=context.peer(),
        )


def _request_id(context: _Context) -> str:
    """The caller's when it fits into a log line, else a new one."""
    given = dict(context.invocation_metadata() or ()).get(REQUEST_ID, "")
    if isinstance(given, str) and given.isprintable() and 0 < len(given) <= _MAX_REQUEST_ID:
        return given
    return uuid.uuid4().hex


def _code_of_cancelled(context: _Context) -> grpc.StatusCode:
    """A call is cancelled when its caller says so, and when its deadline passes."""
    left = context.time_remaining()
    return grpc.StatusCode.DEADLINE_EXCEEDED if left is not None and left <= 0 else grpc.StatusCode.CANCELLED


def _packed(detail: message.Message) -> any_pb2.Any:
    packed = any_pb2.Any()
    packed.Pack(detail)
    return packed
