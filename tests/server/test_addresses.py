"""Addresses: what is one, and who can reach it."""

from __future__ import annotations

from pathlib import Path

import pytest

from server.addresses import TcpAddress, UnixAddress, parse_address


@pytest.mark.parametrize(
    ("text", "address", "is_local"),
    [
        ("127.0.0.1:50051", TcpAddress("127.0.0.1", 50051), True),
        ("127.9.9.9:1", TcpAddress("127.9.9.9", 1), True),
        ("localhost:0", TcpAddress("localhost", 0), True),
        ("[::1]:1", TcpAddress("[::1]", 1), True),
        ("10.0.0.7:1", TcpAddress("10.0.0.7", 1), False),
        ("[::]:65535", TcpAddress("[::]", 65535), False),
        ("127.example.org:1", TcpAddress("127.example.org", 1), False),
        ("unix:/run/glyphwire.sock", UnixAddress(Path("/run/glyphwire.sock")), True),
    ],
)
def test_addresses_are_read_and_written(text, address, is_local):
    """Ports and socket files are read, written the same way again, and known to be local or not."""
    assert parse_address(text) == address
    assert str(address) == text
    assert address.is_local == is_local


@pytest.mark.parametrize(
    "text", ["", "host", ":1", "host:", "host:x", "host:-1", "host:65536", "::1:1", "unix:", "unix:/" + 107 * "x"]
)
def test_anything_else_is_no_address(text):
    """What has no host, no port, a bare IPv6 address, or a path that is too long is refused."""
    with pytest.raises(ValueError, match=r"address|path"):
        parse_address(text)
