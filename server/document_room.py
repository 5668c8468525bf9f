"""How many documents are open at once, and how many bytes of them are on the disk."""

from __future__ import annotations

import asyncio
import os
import tempfile
from collections import Counter
from collections.abc import AsyncIterator, Hashable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import BinaryIO, cast

from server.errors import QueueFull
from server.settings import Settings

_RETRY_S = 5.0


class DocumentRoom:
    """Used in the event loop's thread only. client: who shares the room evenly with others."""

    def __init__(self, settings: Settings) -> None:
        self._free = self._free_starts = settings.max_documents
        self._free_bytes: int = settings.max_spool_bytes
        self._held: Counter[Hashable] = Counter()
        self._waiting: list[tuple[Hashable, asyncio.Future[None]]] = []

    @asynccontextmanager
    async def document(self, client: Hashable) -> AsyncIterator[None]:
        """Wait until a document may be opened; whose client has the fewest open ones is next."""
        await self._take(client)
        try:
            yield
        finally:
            self._give_back(client)

    @contextmanager
    def spool(self) -> Iterator[Spool]:
        """A file for one document that comes bit by bit, without a name and gone afterwards."""
        with tempfile.TemporaryFile() as file:
            spool = Spool(cast(BinaryIO, file), self)
            try:
                yield spool
            finally:
                self._free_bytes += spool.size

    @contextmanager
    def head_start(self) -> Iterator[bool]:
        """Whether a document may get ready while it comes: as many as may be open."""
        may_prepare = self._free_starts > 0
        self._free_starts -= may_prepare
        try:
            yield may_prepare
        finally:
            self._free_starts += may_prepare

    def take_bytes(self, size: int) -> None:
        """Raises QueueFull."""
        if size > self._free_bytes:
            raise QueueFull("there is no room for more documents on the disk", _RETRY_S)
        self._free_bytes -= size

    async def _take(self, client: Hashable) -> None:
        if self._free:
            self._free -= 1
        else:
            turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiting.append((client, turn))
            try:
                await turn
            except asyncio.CancelledError:
                if turn.done() and not turn.cancelled():
                    self._pass_on()
                raise
        self._held[client] += 1

    def _give_back(self, client: Hashable) -> None:
        self._held[client] -= 1
        if not self._held[client]:
            del self._held[client]
        self._pass_on()

    def _pass_on(self) -> None:
        """One more may be opened."""
        self._waiting = [(client, turn) for client, turn in self._waiting if not turn.done()]
        if not self._waiting:
            self._free += 1
            return
        _, turn = min(self._waiting, key=lambda waiting: self._held[waiting[0]])
        turn.set_result(None)


class Spool:
    """A file that grows. size: its bytes so far."""

    def __init__(self, file: BinaryIO, room: DocumentRoom) -> None:
        self.file = file
        self.size = 0
        self._room = room

    def append(self, content: bytes) -> None:
        """Blocks."""
        self.file.seek(0, os.SEEK_END)
        self.file.write(content)
        self.file.flush()

    def reserve(self, size: int) -> None:
        """Before so many bytes are written. Raises QueueFull."""
        self._room.take_bytes(size)
        self.size += size
