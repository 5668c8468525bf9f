"""Questions of an event loop to the engine process, answered in whatever order. See server/engine_link.py."""

from __future__ import annotations

import asyncio
import itertools
import pickle
import socket
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from ocr_core.shared_pixels import SharedPixels
from server.engine_link import DESCRIPTOR, HEAD

_RECEIVED_BYTES = 1 << 18
_MOST_PIECES = 1024
"""That the system takes at once (IOV_MAX); with large batches, or many workers, more of them may wait."""


class Exchange:
    """The server's end of a connection that an event loop serves: questions, answered in whatever order.

    on_end: called once, when the other end has gone or closed the connection; nothing is answered after that.
    """

    def __init__(self, end: socket.socket, on_end: Callable[[], None]) -> None:
        end.setblocking(False)
        self._end = end
        self._on_end = on_end
        self._loop = asyncio.get_running_loop()
        self._unsent: deque[memoryview | SharedPixels] = deque()
        self._waits_for_room = False
        self._is_closed = False
        self._received = bytearray()
        self._waiting: dict[int, Callable[[Any], None]] = {}
        self._numbers = itertools.count()
        self._loop.add_reader(end, self._receive)

    def ask(
        self,
        method: str,
        arguments: tuple[object, ...],
        payload: Sequence[bytes | memoryview] | SharedPixels | None,
        on_answer: Callable[[Any], None],
    ) -> None:
        """Call a method of the EngineHost.

        payload: bytes, in pieces that must not change until the answer, or pixels. on_answer: called with what it
        returns or raises, unless the end comes first.
        """
        if self._is_closed:
            return
        number = next(self._numbers)
        self._waiting[number] = on_answer
        pickled = pickle.dumps((number, method, arguments), pickle.HIGHEST_PROTOCOL)
        is_shared, is_idle = isinstance(payload, SharedPixels), not self._unsent
        pieces = [payload] if isinstance(payload, SharedPixels) else [memoryview(p).cast("B") for p in payload or ()]
        size = -1 if payload is None else sum(map(len, pieces))
        self._unsent.append(memoryview(HEAD.pack(len(pickled), size, is_shared) + pickled))
        self._unsent.extend(pieces)
        if is_idle:
            self._send()

    def close(self) -> None:
        """Nobody waits for answers any more."""
        if self._is_closed:
            return
        self._is_closed = True
        self._loop.remove_reader(self._end)
        self._loop.remove_writer(self._end)
        self._end.close()

    def _send(self) -> None:
        """As much as there is room for, and the rest later."""
        try:
            while self._unsent:
                if isinstance(self._unsent[0], SharedPixels):
                    socket.send_fds(self._end, [DESCRIPTOR], [self._unsent[0].descriptor])
                    self._unsent.popleft()
                else:
                    self._send_bytes()
        except BlockingIOError:
            self._loop.add_writer(self._end, self._send)
            self._waits_for_room = True
            return
        except OSError:
            # Whoever reads hears of it.
            self._unsent.clear()
        if self._waits_for_room:
            self._loop.remove_writer(self._end)
            self._waits_for_room = False

    def _send_bytes(self) -> None:
        """As many of those ahead of the next descriptor as there is room for. Raises BlockingIOError for none."""
        views: list[memoryview] = []
        for piece in itertools.islice(self._unsent, _MOST_PIECES):
            if isinstance(piece, SharedPixels):
                break
            views.append(piece)
        sent = self._end.sendmsg(views)
        for view in views:
            if sent < view.nbytes:
                self._unsent[0] = view[sent:]
                return
            sent -= view.nbytes
            self._unsent.popleft()

    def _receive(self) -> None:
        try:
            received = self._end.recv(_RECEIVED_BYTES)
        except BlockingIOError:
            return
        except OSError:
            received = b""
        if not received:
            self.close()
            self._on_end()
            return
        self._received += received
        for pickled in self._messages():
            number, answer = pickle.loads(pickled)  # noqa: S301 - of the same program
            self._waiting.pop(number)(answer)

    def _messages(self) -> Iterator[bytes]:
        """Those that have come as a whole."""
        while len(self._received) >= HEAD.size:
            size, _, _ = HEAD.unpack_from(self._received)
            end = HEAD.size + size
            if len(self._received) < end:
                return
            message = bytes(self._received[HEAD.size : end])
            del self._received[:end]
            yield message
