"""Messages between a server and the process that reads for it, over a pair of connected sockets.

Both ends are one program of one version, and the same user's: messages are pickled.
"""

from __future__ import annotations

import mmap
import os
import pickle
import socket
import struct
import threading
from collections import deque
from collections.abc import Iterator
from tempfile import TemporaryFile
from typing import Any

from ocr_core.shared_pixels import SharedPixels

Payload = bytes | memoryview | SharedPixels

ENGINE_FLAG = "--engine-link"

HEAD = struct.Struct("<Iq?")
"""Bytes of the message, and of its payload, -1 for none. Whether that comes as a descriptor."""

DESCRIPTOR = b"d"
"""What a descriptor comes with, in the place of the payload."""

_NOTE = struct.Struct("<cQ")
_SHARE = b"s"
_CONNECT = b"c"
_FORGET = b"f"


class Connection:
    """One end of a stream of messages, for any threads. Blocks. Raises OSError, and EOFError for the end."""

    def __init__(self, end: socket.socket) -> None:
        self._end = end
        self._sending = threading.Lock()
        self._receiving = threading.Lock()

    def send(self, message: object, payload: Payload | None = None) -> None:
        """payload: bytes that are not pickled; SharedPixels are not even copied."""
        pickled = pickle.dumps(message, pickle.HIGHEST_PROTOCOL)
        if isinstance(payload, SharedPixels):
            with self._sending:
                self._end.sendall(HEAD.pack(len(pickled), len(payload), True) + pickled)
                socket.send_fds(self._end, [DESCRIPTOR], [payload.descriptor])
            return
        with memoryview(payload or b"").cast("B") as view:
            head = HEAD.pack(len(pickled), -1 if payload is None else view.nbytes, False) + pickled
            with self._sending:
                # All of it, unless a signal comes.
                sent = self._end.sendmsg([head, view])
                if sent < len(head):
                    self._end.sendall(head[sent:])
                if sent < len(head) + view.nbytes:
                    self._end.sendall(view[max(0, sent - len(head)) :])

    def receive(self) -> tuple[Any, bytes | SharedPixels | None]:
        """A message and its payload."""
        payload: bytes | SharedPixels | None = None
        with self._receiving:
            size, payload_size, is_shared = HEAD.unpack(self._bytes(HEAD.size))
            pickled = self._bytes(size)
            if is_shared:
                payload = SharedPixels(self._descriptor(), payload_size)
            elif payload_size >= 0:
                payload = self._bytes(payload_size)
        return pickle.loads(pickled), payload  # noqa: S301 - of the same program

    def close(self) -> None:
        """The other end sees the end of the stream."""
        self._end.close()

    def _descriptor(self) -> int:
        _, descriptors, _, _ = socket.recv_fds(self._end, len(DESCRIPTOR), 1)
        if not descriptors:
            raise EOFError("the other process has gone")
        return descriptors[0]

    def _bytes(self, count: int) -> bytes:
        received = self._end.recv(count, socket.MSG_WAITALL) if count else b""
        while len(received) < count:
            more = self._end.recv(count - len(received), socket.MSG_WAITALL)
            if not more:
                raise EOFError("the other process has gone")
            received += more
        return received


class Withdrawals:
    """Images that nobody waits for any more, by number, as two processes see them: no message has to arrive in time.

    descriptor: of a file of SIZE bytes that both have.
    """

    SIZE = 1 << 16
    """More than there are images in work, so that none of them shares its place."""

    def __init__(self, descriptor: int) -> None:
        self._is_withdrawn = mmap.mmap(descriptor, self.SIZE)

    def begin(self, number: int) -> None:
        """Somebody waits for it."""
        self._is_withdrawn[number % self.SIZE] = 0

    def add(self, number: int) -> None:
        """Nobody waits for it any more."""
        self._is_withdrawn[number % self.SIZE] = 1

    def has(self, number: int) -> bool:
        """Whether nobody waits for it any more."""
        return bool(self._is_withdrawn[number % self.SIZE])


class EngineEnd:
    """The server's end of what is not part of a conversation: new connections, and images that nobody waits for.

    withdrawals: of images that are being read, or wait for that in the engine.
    """

    def __init__(self) -> None:
        self._end, self._of_engine = socket.socketpair()
        self._unsent: deque[int] = deque()
        with TemporaryFile() as file:
            file.truncate(Withdrawals.SIZE)
            self.withdrawals = Withdrawals(file.fileno())
            socket.send_fds(self._end, [_NOTE.pack(_SHARE, 0)], [file.fileno()])

    @property
    def descriptor(self) -> int:
        """For the engine to inherit."""
        return self._of_engine.fileno()

    def inherited(self) -> None:
        """The engine has its end."""
        self._of_engine.close()

    def connect(self, threads: int = 1) -> socket.socket:
        """One more connection. threads: that answer it. Raises OSError when the engine has gone."""
        ours, theirs = socket.socketpair()
        try:
            with theirs:
                socket.send_fds(self._end, [_NOTE.pack(_CONNECT, threads)], [theirs.fileno()])
        except OSError:
            ours.close()
            raise
        return ours

    def forget(self, number: int) -> None:
        """Nobody waits for this page any more. Never blocks: what finds no room goes with the next one."""
        self._unsent.append(number)
        try:
            while self._unsent:
                self._end.send(_NOTE.pack(_FORGET, self._unsent[0]), socket.MSG_DONTWAIT)
                self._unsent.popleft()
        except (OSError, IndexError):  # no room, no engine, or another thread was faster
            return

    def close(self) -> None:
        """Tells the engine to end."""
        self._end.close()


class ServerEnd:
    """The engine's end. descriptor: inherited from the server. withdrawals: as the server has them."""

    def __init__(self, descriptor: int) -> None:
        self._end = socket.socket(fileno=descriptor)
        _, (shared,), _, _ = socket.recv_fds(self._end, _NOTE.size, 1, socket.MSG_WAITALL)
        self.withdrawals = Withdrawals(shared)
        os.close(shared)

    def notes(self) -> Iterator[tuple[Connection, int] | int]:
        """New connections and how many threads answer them, and numbers of pages to forget, until the server has gone.

        Blocks.
        """
        with self._end:
            while True:
                note, descriptors, _, _ = socket.recv_fds(self._end, _NOTE.size, 1, socket.MSG_WAITALL)
                if len(note) < _NOTE.size:
                    return
                kind, number = _NOTE.unpack(note)
                yield (Connection(socket.socket(fileno=descriptors[0])), number) if kind == _CONNECT else number
