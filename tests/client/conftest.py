"""Both clients behind one awaitable face, against a real server with a fake pipeline."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AsyncExitStack

import glyphwire
import pytest

from tests.server.conftest import _clean_environment, running, stages, start_app, taken

__all__ = ["_clean_environment", "running", "stages", "start_app", "taken"]


class SyncFace:
    """OcrClient, its blocking calls run in threads."""

    def __init__(self, target: str, **options) -> None:
        self.client = glyphwire.OcrClient(target, **options)

    async def __aenter__(self) -> SyncFace:
        self.client.__enter__()
        return self

    async def __aexit__(self, *error: object) -> None:
        self.client.__exit__(*error)

    async def call(self, method: str, *arguments, **options):
        """Call a unary method."""
        return await asyncio.to_thread(getattr(self.client, method), *arguments, **options)

    async def stream(self, frames, *arguments, **options) -> list[glyphwire.FrameResult]:
        """All results of a stream."""
        return await asyncio.to_thread(lambda: list(self.client.stream(frames, *arguments, **options)))

    async def document(self, *arguments, **options) -> list[glyphwire.DocumentPage]:
        """All pages of a document."""
        return await asyncio.to_thread(lambda: list(self.client.recognize_document(*arguments, **options)))

    async def take(self, count: int, *arguments, method: str = "stream", **options) -> list:
        """The first results of a stream or a document, which is then left."""

        def take() -> list:
            results = getattr(self.client, method)(*arguments, **options)
            taken = [next(results) for _ in range(count)]
            results.close()
            return taken

        return await asyncio.to_thread(take)


class AsyncFace:
    """AsyncOcrClient."""

    def __init__(self, target: str, **options) -> None:
        self.client = glyphwire.AsyncOcrClient(target, **options)

    async def __aenter__(self) -> AsyncFace:
        await self.client.__aenter__()
        return self

    async def __aexit__(self, *error: object) -> None:
        await self.client.__aexit__(*error)

    async def call(self, method: str, *arguments, **options):
        """Call a unary method."""
        return await getattr(self.client, method)(*arguments, **options)

    async def stream(self, frames, *arguments, **options) -> list[glyphwire.FrameResult]:
        """All results of a stream."""
        return [result async for result in self.client.stream(frames, *arguments, **options)]

    async def document(self, *arguments, **options) -> list[glyphwire.DocumentPage]:
        """All pages of a document."""
        return [page async for page in self.client.recognize_document(*arguments, **options)]

    async def take(self, count: int, *arguments, method: str = "stream", **options) -> list:
        """The first results of a stream or a document, which is then left."""
        results = getattr(self.client, method)(*arguments, **options)
        taken = [await anext(results) for _ in range(count)]
        await results.aclose()
        return taken


Face = SyncFace | AsyncFace


@pytest.fixture(params=[SyncFace, AsyncFace], ids=["sync", "async"])
async def connect(request):
    """Opens a client, of each kind in turn."""
    async with AsyncExitStack() as stack:

        async def opened(target: str, **options) -> Face:
            return await stack.enter_async_context(request.param(target, **options))

        connected: Callable = opened
        yield connected


@pytest.fixture
async def client(connect, running) -> Face:
    """A client of the `running` server."""
    return await connect(running.target)
