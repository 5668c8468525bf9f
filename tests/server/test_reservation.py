"""Ports that processes share, against servers that do not."""

from __future__ import annotations

import socket

import grpc.aio
import pytest

from server.addresses import TcpAddress, parse_address
from server.app import App
from server.errors import ListenFailed
from server.reservation import reserved
from server.settings import Settings

FREE = TcpAddress("127.0.0.1", 0)


@pytest.fixture
async def listen():
    """Starts a bare gRPC server at an address, sharing its port or not; stops it after the test."""
    servers = []

    async def listen(address: TcpAddress, *, shares: bool) -> grpc.aio.Server:
        server = grpc.aio.server(options=[("grpc.so_reuseport", int(shares))])
        servers.append(server)
        server.add_insecure_port(str(address))
        await server.start()
        return server

    yield listen
    for server in servers:
        await server.stop(0)


async def test_those_who_share_listen_at_a_reserved_port(listen):
    """A free port is found, and several servers that share it listen there."""
    with reserved([FREE, FREE]) as (first, second):
        assert first.port != second.port != 0
        await listen(first, shares=True)
        await listen(first, shares=True)


async def test_a_server_that_does_not_share_fails_at_a_reserved_port(stages):
    """Even while nobody listens there, a server on its own cannot have the port."""
    with reserved([FREE]) as (address,):
        app = App(Settings(listen=str(address)), stages)
        with pytest.raises(ListenFailed, match=str(address.port)):
            await app.listen()
        await app.stop()


async def test_a_port_is_reserved_once(listen):
    """A second supervisor is told, whether processes of the first listen already or not."""
    with reserved([FREE]) as (address,):
        for _ in range(2):
            with pytest.raises(ListenFailed, match=str(address.port)), reserved([address]):
                pass
            await listen(address, shares=True)


@pytest.mark.parametrize("shares", [False, True])
async def test_the_port_of_another_server_is_not_reserved(listen, shares):
    """A server that was there first keeps its port for itself, even if it would share it."""
    with reserved([FREE]) as (address,):
        pass
    await listen(address, shares=shares)
    with pytest.raises(ListenFailed, match=str(address.port)), reserved([address]):
        pass


async def test_a_port_is_free_again_at_once(listen):
    """Connections that linger after a server has gone do not keep the next one from starting."""
    with reserved([FREE]) as (address,):
        server = await listen(address, shares=True)
        async with grpc.aio.insecure_channel(str(address)) as channel:
            await channel.channel_ready()
            await server.stop(0)
    with reserved([address]):
        await listen(address, shares=True)


def test_a_name_stands_for_all_its_addresses():
    """What is reserved for a name is reserved for each of its addresses, at one port."""
    with (
        reserved([parse_address("localhost:0")]) as (address,),
        socket.socket() as other,
        pytest.raises(OSError, match="in use"),
    ):
        other.bind(("127.0.0.1", address.port))


@pytest.mark.parametrize("host", ["host.invalid", "192.0.2.1"])
def test_addresses_of_other_machines_are_named(host):
    """A host that is unknown, or not this one, is an error with its name."""
    with pytest.raises(ListenFailed, match=host), reserved([TcpAddress(host, 1)]):
        pass
