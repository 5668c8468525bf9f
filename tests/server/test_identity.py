"""Who calls."""

from __future__ import annotations

import contextvars

import pytest

from server.identity import client_of, set_token_name


class FromPeer:
    """A call of which only the peer is known."""

    def __init__(self, peer: str) -> None:
        self._peer = peer

    def peer(self) -> str:
        return self._peer


@pytest.mark.parametrize(
    ("peer", "name"),
    [
        ("ipv4:10.0.0.7:40000", "ipv4:10.0.0.7"),
        ("ipv6:%5B::1%5D:40000", "ipv6:%5B::1%5D"),
        ("unix:", "unix:"),
        ("unix:/run/s", "unix:/run/s"),
    ],
)
def test_without_a_token_a_machine_is_a_caller(peer, name):
    """All connections of one machine are one caller; all callers of a socket file are one."""
    assert client_of(FromPeer(peer)) == name


def test_a_token_names_the_caller():
    """The token's client is the caller wherever it calls from, in its own call alone."""
    call = contextvars.copy_context()
    call.run(set_token_name, "scanner")
    assert call.run(client_of, FromPeer("ipv4:10.0.0.7:1")) == "scanner"
    assert client_of(FromPeer("ipv4:10.0.0.7:1")) == "ipv4:10.0.0.7"
