"""Around every call of our services: request id, access log, metrics, trace, errors to status and details."""

from __future__ import annotations

import asyncio
import inspect
import itertools
import secrets
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping
from contextlib import aclosing
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NoReturn, TypeAlias, TypeVar

import grpc
import grpc.aio
import structlog
from google.protobuf import any_pb2, duration_pb2, message
from google.rpc import error_details_pb2, status_pb2  # type: ignore[import-untyped]  # ships no marker of its types

from server.calls import Call, set_current_call
from server.faults import Fault, fault_of
from server.identity import client_of
from server.logs import log_our_fault
from server.metrics import Metrics
from server.traceparent import HEADER, parse_traceparent

if TYPE_CHECKING:
    from server.tracing import Tracing

DOMAIN = "glyphwire.v1"
SERVICE = "glyphwire.v1.OcrService"
ADMIN_SERVICE = "glyphwire.v1.AdminService"
OPEN_INFERENCE = "inference.GRPCInferenceService"
READERS = {SERVICE, OPEN_INFERENCE}
"""Services that read images: open to every token, whose calls are counted."""
REQUEST_ID = "x-request-id"
STATUS_DETAILS = "grpc-status-details-bin"
RETRY_PUSHBACK = "grpc-retry-pushback-ms"

_MAX_REQUEST_ID = 128
_ID_OF_PROCESS = secrets.token_hex(8)
_numbers = itertools.count()

_Response = TypeVar("_Response")
_Context: TypeAlias = "grpc.aio.ServicerContext[Any, Any]"


class CallFrame:
    """What is around a method: its errors become statuses, and it leaves a line in the log. tracing: None for none."""

    def __init__(self, metrics: Metrics, tracing: Tracing | None) -> None:
        self._metrics = metrics
        self._tracing = tracing

    def around(self, service: str, servicer: object) -> Any:  # noqa: ANN401 - a servicer of the same kind
        """A servicer, with each of its methods in its frame. An interceptor would do the same anew for each call."""
        return _FramedServicer(self, service, servicer)

    def unary(self, path: str, behaviour: Callable[..., Awaitable[_Response]]) -> Callable[..., Awaitable[_Response]]:
        """The method at /service/method in its frame."""

        async def framed(request: message.Message, context: _Context) -> _Response:
            call = self._start_call(path, context)
            try:
                response = await behaviour(request, context)
            except asyncio.CancelledError:
                _soon(call.end, _code_of_cancelled(context))
                raise
            except Exception as error:  # noqa: BLE001 - becomes a status
                await _fail(call, context, error)
            _soon(call.end, grpc.StatusCode.OK)
            return response

        return framed

    def stream(
        self, path: str, behaviour: Callable[..., AsyncGenerator[Any, None]]
    ) -> Callable[[AsyncIterator[Any], _Context], Awaitable[None]]:
        """The streaming method at /service/method in its frame."""

        async def framed(requests: AsyncIterator[Any], context: _Context) -> None:
            call = self._start_call(path, context)
            try:
                # Written, not yielded: a cancelled call is noticed in here, and the servicer's generator is closed at
                # once.
                async with aclosing(behaviour(requests, context)) as responses:
                    async for response in responses:
                        await context.write(response)
            except asyncio.CancelledError:
                _soon(call.end, _code_of_cancelled(context))
                raise
            except Exception as error:  # noqa: BLE001 - becomes a status
                await _fail(call, context, error)
            else:
                _soon(call.end, grpc.StatusCode.OK)

        return framed

    def _start_call(self, path: str, context: _Context) -> Call:
        metadata = dict(context.invocation_metadata() or ())
        request_id = _request_id(metadata)
        structlog.contextvars.bind_contextvars(request_id=request_id)
        # Trailing, as initial metadata would tell the caller's gRPC that the call is not to be retried.
        context.set_trailing_metadata(((REQUEST_ID, request_id),))
        parent = parse_traceparent(metadata[HEADER]) if HEADER in metadata else None
        trace = self._tracing.start(path, parent, metadata) if self._tracing else None
        trace_id = trace.trace_id if trace else parent.trace_id if parent else ""
        method = path.rpartition("/")[2]
        self._metrics.call_started(method)
        call = Call(method, request_id, client_of(context), context.peer(), trace_id, trace, self._metrics)
        set_current_call(call)
        return call


class _FramedServicer:
    """Its attributes are the methods of a servicer in their frames, for those who register handlers."""

    def __init__(self, frame: CallFrame, service: str, servicer: object) -> None:
        self._frame = frame
        self._service = service
        self._servicer = servicer

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - methods of any kind
        method = getattr(self._servicer, name)
        wrap: Any = self._frame.stream if inspect.isasyncgenfunction(method) else self._frame.unary
        return wrap(f"/{self._service}/{name}", method)


def service_of(path: str) -> str:
    """The service in /service/method."""
    return path.lstrip("/").partition("/")[0]


def status_details(fault: Fault, request_id: str) -> tuple[tuple[str, str | bytes], ...]:
    """Trailing metadata of a failed call: google.rpc.Status with ErrorInfo, RetryInfo where trying again helps."""
    details = [_error_info(fault.reason_name, fault.field)]
    pushback: tuple[tuple[str, str | bytes], ...] = ()
    if fault.retry_after_s is not None:
        delay = duration_pb2.Duration()
        delay.FromMilliseconds(round(1e3 * fault.retry_after_s))
        details.append(_packed(error_details_pb2.RetryInfo(retry_delay=delay)))
        # gRPC's own retries know no RetryInfo, they wait as long as this says.
        pushback = ((RETRY_PUSHBACK, str(delay.ToMilliseconds())),)
    status = status_pb2.Status(code=fault.code.value[0], message=fault.message, details=details)
    return ((REQUEST_ID, request_id), (STATUS_DETAILS, status.SerializeToString()), *pushback)


async def _fail(call: Call, context: _Context, error: Exception) -> NoReturn:
    """End a call with the status of an error."""
    fault = fault_of(error)
    log_our_fault(error)
    _soon(call.end, fault.code, fault.reason_name)
    await context.abort(fault.code, fault.message, status_details(fault, call.request_id))


def _soon(write_down: Callable[..., None], *outcome: object) -> None:
    """What is written down about a call does not keep its caller waiting."""
    asyncio.get_running_loop().call_soon(write_down, *outcome)


@lru_cache(maxsize=256)
def _error_info(reason: str, field: str) -> any_pb2.Any:
    return _packed(
        error_details_pb2.ErrorInfo(domain=DOMAIN, reason=reason, metadata={"field": field} if field else {})
    )


def _request_id(metadata: Mapping[str, str | bytes]) -> str:
    """The caller's when it fits into a log line, else a new one."""
    given = metadata.get(REQUEST_ID, "")
    if isinstance(given, str) and given.isprintable() and 0 < len(given) <= _MAX_REQUEST_ID:
        return given
    return f"{_ID_OF_PROCESS}{next(_numbers):016x}"


def _code_of_cancelled(context: _Context) -> grpc.StatusCode:
    """A call is cancelled when its caller says so, and when its deadline passes."""
    left = context.time_remaining()
    return grpc.StatusCode.DEADLINE_EXCEEDED if left is not None and left <= 0 else grpc.StatusCode.CANCELLED


def _packed(detail: message.Message) -> any_pb2.Any:
    packed = any_pb2.Any()
    packed.Pack(detail)
    return packed
