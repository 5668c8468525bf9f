"""Binding of a gRPC server to its addresses."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import grpc.aio

from server.addresses import Address, TcpAddress, UnixAddress
from server.certificates import server_credentials
from server.errors import ListenFailed
from server.settings import Settings


def bind(server: grpc.aio.Server, settings: Settings) -> tuple[Address, ...]:
    """Bind a server that has not started to every address. Returns them with their real ports.

    TCP addresses speak TLS when there is a certificate. The files of Unix sockets, which have permissions of their own,
    never do. Raises ListenFailed, and SettingsInvalid for certificates that cannot be used.
    """
    credentials = server_credentials(settings)
    mode = int(settings.socket_mode, base=8)
    return tuple(
        _bind_file(server, address, mode)
        if isinstance(address, UnixAddress)
        else _bind_port(server, address, credentials)
        for address in settings.addresses
    )


def _bind_port(server: grpc.aio.Server, address: TcpAddress, credentials: grpc.ServerCredentials | None) -> TcpAddress:
    with _named(address):
        if credentials is None:
            return replace(address, port=server.add_insecure_port(str(address)))
        return replace(address, port=server.add_secure_port(str(address), credentials))


def _bind_file(server: grpc.aio.Server, address: UnixAddress, mode: int) -> UnixAddress:
    """The file has its permissions from its first moment on: nobody can connect before."""
    _remove_stale(address.path)
    before = os.umask(0o777 & ~mode)
    try:
        with _named(address):
            server.add_insecure_port(str(address))
    finally:
        os.umask(before)
    return address


def _remove_stale(path: Path) -> None:
    """Remove a socket file that a server left behind. gRPC would remove that of a running server as well."""
    if not path.exists():
        return
    if not path.is_socket():
        raise ListenFailed(f"cannot listen at {path}: the file is there and is no socket")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        try:
            probe.connect(str(path))
        except ConnectionRefusedError:
            path.unlink(missing_ok=True)
        except OSError as error:
            raise ListenFailed(f"cannot listen at {path}: {error}") from None
        else:
            raise ListenFailed(f"cannot listen at {path}: another server does")


@contextmanager
def _named(address: Address) -> Iterator[None]:
    try:
        yield
    except RuntimeError as error:
        raise ListenFailed(f"cannot listen at {address}: {error}") from None
