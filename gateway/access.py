"""Who may call, and how often: tokens with limits from a file, and a rate for each address."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import Request, WebSocket
from limits import RateLimitItemPerMinute
from limits.aio.storage import MemoryStorage
from limits.aio.strategies import MovingWindowRateLimiter

from gateway.problems import Problem, ProblemError, refused
from server.errors import ClientLimitReached, TokenInvalid
from server.settings import Settings
from server.tokens import Tokens

_SCHEME = "bearer "
_SUBPROTOCOL = "bearer."
"""Browsers let a page choose the subprotocols of a WebSocket, but no headers."""


class Access:
    """Checks callers. With neither a token file nor a rate everybody may call."""

    def __init__(self, settings: Settings) -> None:
        self._tokens = Tokens(settings.http_token_file) if settings.http_token_file else None
        rate = settings.http_calls_per_minute
        self._rate = RateLimitItemPerMinute(rate) if rate else None
        self._limiter = MovingWindowRateLimiter(MemoryStorage())

    @asynccontextmanager
    async def call(self, request: Request | WebSocket) -> AsyncIterator[str]:
        """A call from its beginning to its end; yields the name of the caller, "" for nobody. Raises ProblemError."""
        address = request.client.host if request.client else ""
        if self._rate and not await self._limiter.hit(self._rate, address):
            stats = await self._limiter.get_window_stats(self._rate, address)
            wait_s = max(1.0, stats.reset_time - time.time())
            raise _too_many(f"{address} may begin {self._rate.amount} calls per minute", wait_s)
        if self._tokens is None:
            yield ""
            return
        is_stream = isinstance(request, WebSocket)
        try:
            client = self._tokens.client(_token(request))
            client.check(is_stream=is_stream, is_admin=False)
            running = client.running(is_stream=is_stream)
            with running:
                yield client.name
        except TokenInvalid as error:
            raise refused(401, "TOKEN_INVALID", error.message) from None
        except ClientLimitReached as error:
            raise _too_many(error.message, error.retry_after_s) from None


def token_subprotocol(socket: WebSocket) -> str | None:
    """The offered subprotocol that carries a token; the server has to choose it."""
    offered = socket.scope.get("subprotocols", [])
    return next((name for name in offered if name.startswith(_SUBPROTOCOL)), None)


def _token(request: Request | WebSocket) -> str:
    given = request.headers.get("authorization", "")
    if given[: len(_SCHEME)].lower() == _SCHEME:
        return given[len(_SCHEME) :].strip()
    if isinstance(request, WebSocket) and (offered := token_subprotocol(request)):
        return offered.removeprefix(_SUBPROTOCOL)
    raise TokenInvalid("the call has no token: it needs the header Authorization: Bearer TOKEN")


def _too_many(detail: str, wait_s: float) -> ProblemError:
    return ProblemError(
        Problem(title="Client limit", status=429, detail=detail, reason="CLIENT_LIMIT", retry_after_s=round(wait_s, 3))
    )
