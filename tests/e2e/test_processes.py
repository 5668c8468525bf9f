"""`glyphwire serve --processes 2` as processes: only the pipeline is fake."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from queue import SimpleQueue

import glyphwire
import pytest

ROOT = Path(__file__).parents[2]
COMMAND = [
    *(sys.executable, "-m", "tests.e2e.fake_glyphwire", "serve", "--listen", "127.0.0.1:0"),
    *("--processes", "2", "--workers", "2", "--log-format", "json"),
]


class Served:
    """A supervisor and its log."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self._rows: SimpleQueue[str] = SimpleQueue()
        self._entries = map(json.loads, iter(self._rows.get, ""))
        threading.Thread(target=self._read_log, daemon=True).start()
        self.target = self.logged("supervising")["addresses"][0]
        self.processes = [self.logged("process_started")["process"] for _ in range(2)]

    def logged(self, event: str) -> dict:
        """The next entry of an event."""
        return next(entry for entry in self._entries if entry["event"] == event)

    def rest_of_log(self) -> list[dict]:
        """Until every process has ended."""
        return list(self._entries)

    def _read_log(self) -> None:
        """In a thread, to the end: a server whose log nobody reads stands still."""
        for row in self.process.stderr:
            self._rows.put(row)
        self._rows.put("")


@pytest.fixture
def served() -> Iterator[Served]:
    """Both processes serve."""
    with subprocess.Popen(COMMAND, stderr=subprocess.PIPE, text=True, cwd=ROOT) as process:
        try:
            served = Served(process)
            for _ in served.processes:
                served.logged("serving")
            yield served
        finally:
            process.kill()


class Caller(threading.Thread):
    """Reads over ever new connections until it is left; keeps what went wrong."""

    def __init__(self, target: str) -> None:
        super().__init__()
        self._target = target
        self._left = threading.Event()
        self.calls = 0
        self.errors: list[glyphwire.OcrError] = []

    def __enter__(self) -> Caller:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._left.set()
        self.join()

    def run(self) -> None:
        while not self._left.is_set():
            with glyphwire.OcrClient(self._target, max_attempts=5) as client:
                for _ in range(20):
                    if not self._left.is_set():
                        self._call(client)

    def _call(self, client: glyphwire.OcrClient) -> None:
        self.calls += 1
        try:
            client.recognize(b"a")
        except glyphwire.OcrError as error:
            self.errors.append(error)


def test_callers_do_not_notice_what_becomes_of_processes(served):
    """Calls that may be tried again are answered while processes are killed and replaced; SIGTERM is status 0."""
    with Caller(served.target) as first, Caller(served.target) as second:
        os.kill(served.processes[0], signal.SIGKILL)
        assert served.logged("process_ended")["process"] == served.processes[0]
        served.logged("serving")
        served.process.send_signal(signal.SIGHUP)
        for _ in served.processes:
            served.logged("process_replaced")
    assert first.errors == second.errors == []
    assert min(first.calls, second.calls) > 0
    served.process.send_signal(signal.SIGTERM)
    last = served.rest_of_log()[-1]
    assert last["event"] == "stopped"
    assert "process" not in last
    assert served.process.wait(30) == 0


def test_processes_end_with_their_supervisor(served):
    """When the supervisor is killed, its processes finish their work and end by themselves."""
    served.process.kill()
    events = [entry["event"] for entry in served.rest_of_log()]
    assert events.count("stopped") == 2
