"""The whole product as a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def address() -> Iterator[str]:
    """Where a server with the real models serves."""
    with serving("server") as served:
        yield served


@contextmanager
def serving(*command: str) -> Iterator[str]:
    """Runs a module with its arguments; yields the address that its log says it took."""
    arguments = [sys.executable, "-m", *command, "--listen", "127.0.0.1:0", "--log-format", "json"]
    with subprocess.Popen(arguments, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as server:
        assert server.stdout
        events = map(json.loads, server.stdout)
        yield next(str(event["addresses"][0]) for event in events if event["event"] == "listening")
        server.terminate()
        server.communicate()
        assert server.returncode == 0
