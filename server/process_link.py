"""What a supervisor and one of its processes tell each other, over a pair of connected sockets.

The supervisor sends the settings. The process says when it serves. Each notices the end of the other by the end of its
socket: no process outlives its supervisor, however that ends.
"""

from __future__ import annotations

import asyncio
import json
import os
import socket
from contextlib import suppress

from server.settings import Settings

_SERVING = b"s"
_END = b"\n"


class ProcessLink:
    """The process's end. descriptor: inherited from the supervisor."""

    def __init__(self, descriptor: int) -> None:
        self._socket = socket.socket(fileno=descriptor)

    def settings(self) -> Settings:
        """As the supervisor has them. Blocks."""
        with self._socket.makefile("rb") as messages:
            return Settings(**json.loads(messages.readline()))

    def say_serving(self) -> None:
        """The process answers calls from now on."""
        self._socket.sendall(_SERVING)

    async def supervisor_gone(self) -> None:
        """Wait for the end of the supervisor."""
        self._socket.setblocking(False)
        while await _read(self._socket):
            pass


class SupervisorLink:
    """The supervisor's end."""

    def __init__(self) -> None:
        self._socket, self._of_process = socket.socketpair()
        os.set_inheritable(self._of_process.fileno(), True)

    @property
    def descriptor(self) -> int:
        """For the process to inherit."""
        return self._of_process.fileno()

    def send_settings(self, settings: Settings) -> None:
        """Once the process has been started. They fit into the socket's buffer, so nobody waits."""
        self._of_process.close()
        # A process may have ended already; serving() says so.
        with suppress(ConnectionError):
            self._socket.sendall(settings.model_dump_json().encode() + _END)

    async def serving(self) -> bool:
        """Wait until the process serves: True, or has ended: False."""
        self._socket.setblocking(False)
        return await _read(self._socket) == _SERVING

    def close(self) -> None:
        """Tells a process that is still there to stop."""
        self._socket.close()
        self._of_process.close()


async def _read(end: socket.socket) -> bytes:
    """Empty when the other end has gone."""
    try:
        return await asyncio.get_running_loop().sock_recv(end, 1)
    except ConnectionError:
        return b""
