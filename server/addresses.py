"""Where a server can be reached: spelling and meaning of addresses, without sockets."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from pathlib import Path

_UNIX = "unix:"
_MAX_PATH_BYTES = 107
"""What the kernel's address of a Unix socket has room for."""


@dataclass(frozen=True, slots=True)
class TcpAddress:
    """A port of this machine. host: name or IP address, IPv6 in brackets; port 0: a free one."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"

    @property
    def is_local(self) -> bool:
        """Whether only this machine can reach it."""
        try:
            return ipaddress.ip_address(self.host.strip("[]")).is_loopback
        except ValueError:
            return self.host == "localhost"


@dataclass(frozen=True, slots=True)
class UnixAddress:
    """A socket file of this machine."""

    path: Path

    def __str__(self) -> str:
        return f"{_UNIX}{self.path}"

    @property
    def is_local(self) -> bool:
        """Always."""
        return True


Address = TcpAddress | UnixAddress


def parse_address(text: str) -> Address:
    """Read "host:port", "[ipv6]:port" or "unix:path". Raises ValueError."""
    if text.startswith(_UNIX):
        path = text.removeprefix(_UNIX)
        if not 0 < len(path.encode()) <= _MAX_PATH_BYTES:
            raise ValueError(
                f"the path of {text!r} has {len(path.encode())} bytes, 1 to {_MAX_PATH_BYTES} are possible"
            )
        return UnixAddress(Path(path))
    host, _, port = text.rpartition(":")
    is_bare_ipv6 = ":" in host and not (host.startswith("[") and host.endswith("]"))
    if not host or is_bare_ipv6 or not (port.isascii() and port.isdigit()) or int(port) > 65_535:
        raise ValueError(f"{text!r} is no address; addresses are HOST:PORT, [IPV6]:PORT and unix:PATH")
    return TcpAddress(host, int(port))
