"""The whole product as a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def address() -> Iterator[str]:
    """Where a server with the real models serves."""
    command = [sys.executable, "-m", "server", "--listen", "127.0.0.1:0", "--log-format", "json"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as server:
        yield _bound_address(server)
        server.terminate()
        server.communicate()
        assert server.returncode == 0


def _bound_address(server: subprocess.Popen[str]) -> str:
    """The server's log says which free port it took."""
    assert server.stdout
    events = map(json.loads, server.stdout)
    return next(str(event["addresses"][0]) for event in events if event["event"] == "listening")
