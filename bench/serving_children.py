"""Servers as child processes, and what is sent to them: line crops that are the same on every machine."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
import tempfile
import time
from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, Self

import cv2
import glyphwire
import numpy as np

from bench.senders import Sender
from server.load import Plan
from server.load_report import LoadReport, Usage, usage, usages

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "sample" / "page.jpg"
LINE_MODE = glyphwire.RecognizeOptions(mode=glyphwire.Mode.LINE)

_UPRIGHT = ("zh", "zh_kai", "en", "digits", "mixed", "sign", "light_on_dark")
_CROPS = 21
_START_S = 90.0
_STOP_S = 30.0
_POLL_S = 0.1


def add_images(parser: ArgumentParser) -> None:
    """Give a parser --images."""
    parser.add_argument("--images", type=Path, metavar="DIR", help="folder of line images [variants of tests/data]")


def line_crops(flags: Namespace, seed: int = 1) -> list[bytes]:
    """Files of --images, else JPEG files of about 20 KB: the lines of tests/data, scaled and with noise."""
    if flags.images:
        return [path.read_bytes() for path in sorted(flags.images.iterdir()) if path.suffix in {".jpg", ".png"}]
    rng = np.random.default_rng(seed)
    names = (_UPRIGHT[number % len(_UPRIGHT)] for number in range(_CROPS))
    return [_variant(ROOT / "tests" / "data" / f"line_{name}.jpg", rng) for name in names]


def _variant(path: Path, rng: np.random.Generator) -> bytes:
    image = cv2.imread(str(path))
    assert image is not None, path
    scale = rng.uniform(40, 56) / image.shape[0]
    scaled = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    noisy = np.clip(scaled + rng.normal(0, 6, scaled.shape), 0, 255).astype(np.uint8)
    return cv2.imencode(".jpg", noisy, (cv2.IMWRITE_JPEG_QUALITY, 97))[1].tobytes()


class Child:
    """A server that is a child of this process, on a free port; its output goes to a file.

    command: its arguments; {port} in them becomes the port. answers: raises OSError or OcrError until it serves. root:
    the folder that it is started in.
    """

    def __init__(
        self, command: Sequence[str], answers: Callable[[str], None], root: Path = ROOT, **environment: str
    ) -> None:
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        self.target = f"127.0.0.1:{port}"
        self._command = [part.format(port=port) for part in command]
        self._answers = answers
        self._root = root
        self.status: int | None = None
        self._environment = os.environ | environment
        self._log = tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace")  # noqa: SIM115 - closed on exit

    @property
    def pid(self) -> int:
        """Of the child."""
        return self._process.pid

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            self._command, stdout=self._log, stderr=self._log, env=self._environment, cwd=self._root
        )
        try:
            self._wait()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        """Stop it and wait for its end."""
        self._process.terminate()
        try:
            self.status = self._process.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self.status = self._process.wait()
        self._log.close()

    def usage(self) -> Usage:
        """What it has taken, with the processes that it has started."""
        taken = usage(self.pid)
        assert taken, "the server has ended"
        return taken

    def _wait(self) -> None:
        deadline = time.monotonic() + _START_S
        while self._process.poll() is None and time.monotonic() < deadline:
            try:
                self._answers(self.target)
            except (OSError, glyphwire.OcrError):
                time.sleep(_POLL_S)
            else:
                return
        self._log.seek(0)
        raise RuntimeError(f"{' '.join(self._command)} does not serve:\n{self._log.read()[-2000:]}")


def glyphwire_child(*flags: str, token: str | None = None, root: Path = ROOT) -> Child:
    """Our server. flags: of `glyphwire serve`. root: another checkout, with an environment of its own in .venv."""

    def answers(target: str) -> None:
        with glyphwire.OcrClient(target, max_attempts=1, token=token) as client:
            client.wait_ready(timeout_s=1.0)

    python = sys.executable if root == ROOT else str(root / ".venv" / "bin" / "python")
    command = [python, "-m", "server", "--listen=127.0.0.1:{port}", "--log-level=warning", *flags]
    return Child(command, answers, root)


@dataclass(frozen=True, slots=True)
class Run:
    """One run of load, and what the server took from the end of the warm-up on.

    process_ms: processor time a line, of each of its processes, the one that was started first first. idle: share of
    the cores.
    """

    report: LoadReport
    process_ms: Sequence[float]
    idle: float
    rss_mib: float

    @property
    def cpu_ms(self) -> float:
        """Processor time a line, of the whole server."""
        return sum(self.process_ms)


class Started(Protocol):
    """A server that was started here."""

    @property
    def pid(self) -> int:
        """Of the process that was started."""


async def run_load(child: Started, sender: Sender, plan: Plan) -> Run:
    """One run of a plan."""
    running = asyncio.create_task(sender.send(plan))
    await asyncio.sleep(plan.warmup_s)
    began, idle_before_s, before = time.perf_counter(), _idle_s(), usages(child.pid)
    report = await running
    seconds, idle_s, after = time.perf_counter() - began, _idle_s() - idle_before_s, usages(child.pid)
    return Run(
        report,
        process_ms=[1e3 * (after[pid].cpu_s - before[pid].cpu_s) / report.images_read for pid in before],
        idle=idle_s / seconds / len(os.sched_getaffinity(0)),
        rss_mib=sum(each.rss_bytes for each in after.values()) / 2**20,
    )


def _idle_s() -> float:
    """Since the machine was started, of the cores that are used here, added up. See proc_stat(5)."""
    cores = {f"cpu{core}" for core in os.sched_getaffinity(0)}
    rows = (row.split() for row in Path("/proc/stat").read_text(encoding="ascii").splitlines())
    return sum(int(row[4]) for row in rows if row[0] in cores) / os.sysconf("SC_CLK_TCK")


def line_plan(kind: str, images: Sequence[bytes], seconds: float, concurrency: int, **more: Any) -> Plan:  # noqa: ANN401 - fields of Plan
    """A closed loop of lines."""
    return Plan(kind, images, LINE_MODE, seconds, concurrency=concurrency, **more)  # type: ignore[arg-type]
