"""A gateway on a free port, in front of a server with a fake pipeline, both in this process."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from functools import partial

import glyphwire
import httpx
import pytest
import uvicorn

from gateway.app import create_app
from server.settings import Settings
from tests.server.conftest import RunningApp, _clean_environment, running, stages, start_app
from tests.server.messages import until

__all__ = ["_clean_environment", "running", "stages", "start_app"]


class GatewayClient(httpx.AsyncClient):
    """Calls the gateway. server: behind it."""

    server: RunningApp

    @property
    def address(self) -> str:
        """HOST:PORT."""
        return self.base_url.netloc.decode()


@pytest.fixture
async def start_gateway(running) -> AsyncIterator:
    """Starts a gateway with the given settings in front of `running`."""
    async with AsyncExitStack() as stack:

        async def start(**changes) -> GatewayClient:
            app = create_app(Settings(**changes), partial(glyphwire.AsyncOcrClient, running.target, max_attempts=1))
            server = uvicorn.Server(uvicorn.Config(app, port=0, log_config=None, timeout_graceful_shutdown=1))
            serving = asyncio.create_task(server._serve())
            await until(lambda: server.started)
            port = server.servers[0].sockets[0].getsockname()[1]
            client = await stack.enter_async_context(GatewayClient(base_url=f"http://127.0.0.1:{port}", timeout=30))
            client.server = running
            stack.push_async_callback(_stop, server, serving)
            return client

        yield start


@pytest.fixture
async def gateway(start_gateway) -> GatewayClient:
    """With default settings."""
    return await start_gateway()


@pytest.fixture
def token_file(tmp_path):
    """Knows the token of ann, who may begin one call per hour, and that of bob."""
    path = tmp_path / "tokens.toml"
    hashes = {name: hashlib.sha256(f"{name}'s token".encode()).hexdigest() for name in ("ann", "bob")}
    path.write_text(
        f'[ann]\nsha256 = "{hashes["ann"]}"\ncalls_per_second = 0.0003\n[bob]\nsha256 = "{hashes["bob"]}"\n',
        encoding="utf-8",
    )
    return path


async def _stop(server: uvicorn.Server, serving: asyncio.Task) -> None:
    server.should_exit = True
    await serving
