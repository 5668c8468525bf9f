"""`glyphwire demo`: a server of its own, one page through the client, what was read and how long it took."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
import time
from argparse import ArgumentParser, Namespace
from collections import deque
from collections.abc import Sequence
from pathlib import Path
from queue import SimpleQueue
from typing import TextIO

import glyphwire
import grpc
from rich.console import Console
from rich.text import Text

from ocr_core.errors import SetupError
from server.readers import LOCAL_SETTINGS
from server.reports import stage_times
from server.settings import Settings, add_flags, load_settings

SAMPLE = Path(__file__).resolve().parent.parent / "docs" / "sample" / "page.jpg"
_START_S = 120.0
_STOP_S = 30.0
_POLL_S = 0.5
_LOG_ROWS = 10


def add_arguments(parser: ArgumentParser) -> None:
    """Flags of the command."""
    parser.add_argument("image", nargs="?", type=Path, default=SAMPLE, metavar="IMAGE", help=f"[{SAMPLE}]")
    add_flags(parser, LOCAL_SETTINGS)
    parser.set_defaults(run=run)


def run(flags: Namespace) -> int:
    """Returns 1 when no text was found or the server did not end well."""
    console = Console(highlight=False, soft_wrap=True)
    started = time.monotonic()
    with ServerProcess(load_settings(flags)) as server, glyphwire.OcrClient(server.target) as client:
        server.wait_ready(client)
        console.print(f"Server ready at {server.target} after {time.monotonic() - started:.1f} s.", style="dim")
        recognition = client.recognize(flags.image, timeout_s=60)
        _print_recognition(console, flags.image, recognition)
    if server.status != 0:
        raise SetupError(f"the server ended with status {server.status}:\n{server.log}")
    console.print("Server stopped.", style="dim")
    return 0 if recognition.text else 1


class ServerProcess:
    """`glyphwire serve` as a child, on a free port of this machine; stopped by SIGTERM.

    processes: that share the port; with more than one, the child is their supervisor. flags: further ones.
    """

    def __init__(self, settings: Settings, processes: int = 1, flags: Sequence[str] = ()) -> None:
        self._settings = settings
        self._processes = processes
        self._flags = flags
        self._log: deque[str] = deque(maxlen=_LOG_ROWS)
        self._targets: SimpleQueue[str | None] = SimpleQueue()
        self.status: int | None = None

    @property
    def pid(self) -> int:
        """Of the child."""
        return self._process.pid

    @property
    def log(self) -> str:
        """The last rows of the server's log."""
        return "".join(self._log).rstrip()

    def __enter__(self) -> ServerProcess:
        self._process = subprocess.Popen(self._command(), stderr=subprocess.PIPE, text=True)  # noqa: S603 - ourselves
        self._reader = threading.Thread(target=self._read_log, args=(self._process.stderr,), daemon=True)
        self._reader.start()
        target = self._targets.get()
        if target is None:
            self.__exit__()
            raise SetupError(f"the server did not start:\n{self.log}")
        self.target = target
        return self

    def __exit__(self, *_: object) -> None:
        """Stop it and wait for its end."""
        self._process.send_signal(signal.SIGTERM)
        try:
            self.status = self._process.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self.status = self._process.wait()
        self._reader.join()

    def wait_ready(self, client: glyphwire.OcrClient) -> None:
        """Wait for SERVING, as long as the server lives. Raises SetupError."""
        deadline = time.monotonic() + _START_S
        while self._process.poll() is None and time.monotonic() < deadline:
            try:
                client.wait_ready(_POLL_S)
            except glyphwire.OcrError as error:
                if error.code is not grpc.StatusCode.DEADLINE_EXCEEDED:
                    raise
            else:
                return
        raise SetupError(f"the server did not get ready:\n{self.log}")

    def _command(self) -> list[str]:
        values = {name: getattr(self._settings, name) for name in LOCAL_SETTINGS}
        values |= {"listen": "127.0.0.1:0", "processes": self._processes, "log_format": "json", "log_level": "info"}
        flags = [f"--{name.replace('_', '-')}={value}" for name, value in values.items()]
        return [sys.executable, "-m", "server", *flags, *self._flags]

    def _read_log(self, rows: TextIO) -> None:
        """Runs in a thread: keep the last rows, and tell the address as soon as one names it."""
        with rows:
            for row in rows:
                self._log.append(row)
                if '"event": "listening"' in row:
                    self._targets.put(json.loads(row)["addresses"][0])
        self._targets.put(None)


def _print_recognition(console: Console, image: Path, recognition: glyphwire.Recognition) -> None:
    model = f"{recognition.model_name}/{recognition.model_version}"
    size = f"{recognition.image_width} x {recognition.image_height}"
    console.print(f"\n{image} ({size} pixels), read by {model}:\n", style="bold")
    for line in recognition.lines:
        row = Text(f"{line.confidence:7.1%}  ", style=_color(line.confidence))
        console.print(row.append(line.text, style="default"))
    console.print(
        f"\n{len(recognition.lines)} lines. Where the time went, work done side by side added up:\n", style="bold"
    )
    for name, value in stage_times(recognition):
        console.print(f"{value:9.1f} ms  {name}")
    console.print()


def _color(confidence: float) -> str:
    if confidence >= 0.9:
        return "green"
    return "yellow" if confidence >= 0.6 else "red"
