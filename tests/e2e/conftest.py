"""The whole product as a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Thread

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
        address = next(str(event["addresses"][0]) for event in events if event["event"] == "listening")
        # Where nobody reads the log, the server waits for that after 64 KB of it.
        reading = Thread(target=deque, args=(server.stdout, 0))
        reading.start()
        try:
            yield address
        finally:
            server.terminate()
            reading.join()
        assert server.wait() == 0
