"""Who calls: for fairness between callers and for the log."""

from __future__ import annotations

from contextvars import ContextVar
from typing import Any

import grpc.aio

_token_name: ContextVar[str | None] = ContextVar("token_name", default=None)
"""Of the call that the running task answers: gRPC gives each call a task, interceptors included."""


def set_token_name(name: str) -> None:
    """The call that the running task answers has this client's token."""
    _token_name.set(name)


def client_of(context: grpc.aio.ServicerContext[Any, Any]) -> str:
    """The name of the caller's token, else the address of its machine without the port: "ipv4:10.0.0.7", "unix:"."""
    name = _token_name.get()
    if name is not None:
        return name
    peer = context.peer()
    return peer if peer.startswith("unix:") else peer.rpartition(":")[0]


def sharer_of(context: grpc.aio.ServicerContext[Any, Any]) -> str:
    """Who shares the workers with others: the name of the caller's token, else its connection.

    Not its machine, as many callers come through one proxy or gateway. Unix sockets have no names for connections.
    """
    return _token_name.get() or context.peer()
