"""Ports that several processes share, kept for them from before the first one listens until the last one has gone."""

from __future__ import annotations

import errno
import socket
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace

from server.addresses import TcpAddress
from server.errors import ListenFailed


@contextmanager
def reserved(addresses: Sequence[TcpAddress]) -> Iterator[tuple[TcpAddress, ...]]:
    """Hold the ports; yields the addresses with their real ports. Raises ListenFailed when another server has one.

    Sockets that share a port all say so (SO_REUSEPORT) and belong to one user. A server that does not say so fails at a
    held port, as we fail at its port.
    """
    with ExitStack() as stack:
        yield tuple(_hold(stack, address) for address in addresses)


def _hold(stack: ExitStack, address: TcpAddress) -> TcpAddress:
    """A name can stand for several addresses, which get one port."""
    problem: OSError | None = None
    held = False
    for family, where in _resolve(address):
        try:
            if address.port:
                _check_free(family, (where, address.port))
            sock = stack.enter_context(_reusable(family))
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            sock.bind((where, address.port))
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                raise ListenFailed(f"cannot listen at {address}: {error.strerror}") from None
            problem = error
            continue
        # From now on nobody can bind here who does not share, not even while nobody listens.
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 0)
        address = replace(address, port=sock.getsockname()[1])
        held = True
    if not held:
        raise ListenFailed(f"cannot listen at {address}: {problem}")
    return address


def _resolve(address: TcpAddress) -> list[tuple[int, str]]:
    try:
        found = socket.getaddrinfo(address.host.strip("[]"), None, type=socket.SOCK_STREAM)
    except OSError as error:
        raise ListenFailed(f"cannot listen at {address}: {error}") from None
    return [(family, str(where[0])) for family, _, _, _, where in found]


def _check_free(family: int, place: tuple[str, int]) -> None:
    """Raises OSError when anybody has the port, sharing or not: only who does not share is told."""
    with _reusable(family) as probe:
        probe.bind(place)
        probe.listen()


def _reusable(family: int) -> socket.socket:
    """Binds although connections of a server that has gone linger."""
    sock = socket.socket(family, socket.SOCK_STREAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    return sock
