"""Who puts load on a server: the Python client, here or in a process of its own, or one in Go, which costs less.

Senders share the cores with the server that they measure; what they take is not there for it.
"""

from __future__ import annotations

import asyncio
import dataclasses
import json
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any, Protocol

import glyphwire

from server.load import Load, Plan
from server.load_report import Failure, LoadReport, summarize

_ROOT = Path(__file__).resolve().parent.parent
_GO_CLIENT = _ROOT / "client" / "go"
_GO_LOAD = _ROOT / "build" / "go" / "glyphwire-load"


class Sender(Protocol):
    """Sends to one server, again and again."""

    async def send(self, plan: Plan) -> LoadReport:
        """One run of a plan."""

    async def close(self) -> None:
        """Nothing more will be sent."""


class PythonSender:
    """The Python client. client: or whatever else has a recognize() like its, when only calls are sent."""

    def __init__(self, client: glyphwire.AsyncOcrClient) -> None:
        self._client = client

    async def send(self, plan: Plan) -> LoadReport:
        """As Sender."""
        running = asyncio.create_task(Load([self._client], plan).run())
        await asyncio.sleep(plan.warmup_s)
        before_s = time.process_time()
        tally = await running
        return summarize(plan, tally, time.process_time() - before_s, None, None)

    async def close(self) -> None:
        """As Sender."""
        await self._client.close()


class ProgramSender:
    """A process of its own for each run: `glyphwire bench`, or the program in Go that has the same flags.

    path: for the latter, of servers that take an image by POST.
    """

    def __init__(self, command: Sequence[str | Path], target: str, path: str = "") -> None:
        self._command = command
        self._target = target + path
        self._is_http = bool(path)

    async def send(self, plan: Plan) -> LoadReport:
        """As Sender. One stream, or single calls."""
        flags = [
            f"--server={self._target}",
            f"--kind={'post' if self._is_http else plan.kind}",
            f"--mode={plan.options.mode.value}",
            f"--concurrency={plan.concurrency}" if plan.rate is None else f"--rate={plan.rate}",
            f"--duration={plan.duration_s}",
            f"--warmup={plan.warmup_s}",
            f"--seed={plan.seed}",
            *([] if plan.deadline_s is None else [f"--deadline-ms={1e3 * plan.deadline_s}"]),
        ]
        with tempfile.TemporaryDirectory() as folder:
            paths = [Path(folder, f"{number:04}.jpg") for number in range(len(plan.images))]
            for path, image in zip(paths, plan.images, strict=True):
                assert isinstance(image, bytes)
                path.write_bytes(image)
            process = await asyncio.create_subprocess_exec(
                *self._command, *flags, *paths, stdout=subprocess.PIPE, cwd=_ROOT
            )
            printed, _ = await process.communicate()
        assert printed, f"{self._command} has failed"
        return _report(json.loads(printed))

    async def close(self) -> None:
        """As Sender; each run has connections of its own."""


def python_program(target: str) -> ProgramSender:
    """The Python client in a process of its own."""
    return ProgramSender([Path(sys.executable).with_name("glyphwire"), "bench", "--json"], target)


def go_program(target: str, path: str = "") -> ProgramSender:
    """The Go client, see client/go/cmd/glyphwire-load; or HTTP, where there is a path."""
    return ProgramSender([_GO_LOAD], target, path)


@cache
def has_go() -> bool:
    """Whether the program in Go is there. Builds it when there is a Go."""
    make = shutil.which("make")
    if make is None or shutil.which("go") is None:
        return False
    subprocess.run([make, "--silent", "build"], cwd=_GO_CLIENT, check=True, stdout=subprocess.DEVNULL)
    return _GO_LOAD.exists()


def _report(printed: dict[str, Any]) -> LoadReport:
    """What a program has printed, which may be more, and less of the server."""
    fields = {field.name: printed[field.name] for field in dataclasses.fields(LoadReport) if field.name in printed}
    failures = {name: tuple(Failure(**each) for each in fields[name]) for name in ("failures", "broken_streams")}
    return LoadReport(**fields | failures)
