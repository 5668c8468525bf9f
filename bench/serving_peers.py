"""Lines per second, latency and memory beside other ways to serve the same lines, on the same two cores.

Ours, RapidOCR and Tesseract behind the plainest gRPC server, and our pipeline behind MOSEC (two processes). All are
up at the same time and take turns, round after round, with one call at a time and with 16; medians of the rounds. Their
models differ, so do their texts. Those that are not installed are left out.
Takes a minute.

    pip install 'glyphwire-server[serving-peers]'           # Debian: tesseract-ocr-chi-sim for Tesseract's models

Run: python -m bench.serving_peers [--images DIR] [--rounds 2] [--json]
"""

from __future__ import annotations

import asyncio
import json
import math
import os
import sys
from argparse import ArgumentParser, Namespace, RawDescriptionHelpFormatter
from collections import defaultdict
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack, ExitStack
from dataclasses import dataclass
from importlib.util import find_spec
from statistics import median
from typing import cast

import glyphwire
import grpc

from bench.serving_children import (
    LINE_MODE,
    Child,
    add_images,
    glyphwire_child,
    line_crops,
    line_plan,
    run_load,
)
from bench.tables import markdown
from server.load_report import LoadReport

OURS = "glyphwire"
_NEEDS = {"rapidocr": "rapidocr", "tesseract": "tesserocr", "mosec": "mosec"}
_COMMANDS = {
    "rapidocr": ["bench.peer_servers", "rapidocr", "{port}"],
    "tesseract": ["bench.peer_servers", "tesseract", "{port}"],
    "mosec": ["bench.mosec_server", "--address=127.0.0.1", "--port={port}", "--timeout=30000"],
}
_CORES = 2
_CONCURRENCIES = (1, 16)
_RUN_S = 2.5

_Reports = Mapping[int, Sequence[LoadReport]]
"""Of one server, by concurrency."""


class HttpClient:
    """As much of AsyncOcrClient as load needs, for a server that takes an image by POST and answers with its text."""

    def __init__(self, target: str) -> None:
        self._host, _, self._port = target.rpartition(":")
        self._free: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []

    async def recognize(
        self, image: bytes, options: glyphwire.RecognizeOptions, *, timeout_s: float
    ) -> glyphwire.Recognition:
        """One call, over a connection that stays open. options: not looked at."""
        del options
        async with asyncio.timeout(timeout_s):
            reader, writer = self._free.pop() if self._free else await asyncio.open_connection(self._host, self._port)
            head = f"POST /inference HTTP/1.1\r\nHost: {self._host}\r\nContent-Length: {len(image)}\r\n\r\n"
            writer.write(head.encode() + image)
            status, *fields = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
            lengths = [field.partition(":")[2] for field in fields if field.lower().startswith("content-length:")]
            text = (await reader.readexactly(int(lengths[0]))).decode()
            self._free.append((reader, writer))
        if " 200 " not in status:
            raise glyphwire.OcrError(grpc.StatusCode.INTERNAL, glyphwire.ErrorReason.UNSPECIFIED, f"{status}: {text}")
        line = glyphwire.Line(text, 0.0, glyphwire.Polygon(()))
        return glyphwire.Recognition((line,), 0, 0, "", "", glyphwire.Timings())

    async def close(self) -> None:
        """Close the connections."""
        for _, writer in self._free:
            writer.close()


@dataclass(frozen=True, slots=True)
class Peer:
    """Medians of one server at one concurrency. cpu_ms: of the server per line."""

    server: str
    concurrency: int
    lines_per_s: float
    p50_ms: float
    p99_ms: float
    cpu_ms: float
    rss_mib: float


def main() -> int:
    """Returns 0: who is faster is for people to judge."""
    flags = _flags()
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:_CORES])
    missing = [name for name, module in _NEEDS.items() if find_spec(module) is None]
    images = line_crops(flags)
    with ExitStack() as stack:
        children = {OURS: stack.enter_context(glyphwire_child())}
        for name in _NEEDS.keys() - missing:
            children[name] = stack.enter_context(_child(name, images[0]))
        reports = asyncio.run(_measure(children, images, flags.rounds))
    peers = [_peer(name, at_once, each) for name, by in reports.items() for at_once, each in by.items()]
    if flags.json:
        rows = [{name: getattr(peer, name) for name in Peer.__slots__} for peer in peers]
        print(json.dumps({"peers": rows, "missing": missing}))
    else:
        print("\n".join([_table(peers), *(f"Not installed and left out: {name}." for name in missing)]))
    return 0


def _child(name: str, image: bytes) -> Child:
    def answers(target: str) -> None:
        asyncio.run(_read_one(name, target, image))

    # One thread for each of two lines: Tesseract's own threads only get in each other's way.
    return Child([sys.executable, "-m", *_COMMANDS[name]], answers, OMP_THREAD_LIMIT="1")


async def _read_one(name: str, target: str, image: bytes) -> None:
    client = _client(name, target)
    try:
        await client.recognize(image, LINE_MODE, timeout_s=30.0)
    finally:
        await client.close()


def _client(name: str, target: str) -> glyphwire.AsyncOcrClient:
    if name == "mosec":
        return cast(glyphwire.AsyncOcrClient, HttpClient(target))  # load calls nothing but recognize()
    return glyphwire.AsyncOcrClient(target, max_attempts=1)


async def _measure(children: Mapping[str, Child], images: Sequence[bytes], rounds: int) -> Mapping[str, _Reports]:
    reports: dict[str, dict[int, list[LoadReport]]] = {name: defaultdict(list) for name in children}
    async with AsyncExitStack() as stack:
        clients = {name: _client(name, child.target) for name, child in children.items()}
        for client in clients.values():
            stack.push_async_callback(client.close)
        for _ in range(rounds):
            for at_once in _CONCURRENCIES:
                for name, child in children.items():
                    plan = line_plan("unary", images, _RUN_S, at_once, warmup_s=0.5)
                    _, report = await run_load(child, [clients[name]], plan)
                    assert not report.images_failed, (name, report.failures)
                    reports[name][at_once].append(report)
    return reports


def _peer(name: str, at_once: int, reports: Sequence[LoadReport]) -> Peer:
    p50_ms, p99_ms = (median(r.latency_ms[share] for r in reports if r.latency_ms) for share in ("p50", "p99"))
    lines_per_s = median(report.images_per_s for report in reports)
    cpu_ms = median(report.server_cpu_ms_per_image or math.nan for report in reports)
    rss_mib = max(report.server_rss_mib or 0 for report in reports)
    return Peer(name, at_once, lines_per_s, p50_ms, p99_ms, cpu_ms, rss_mib)


def _table(peers: Sequence[Peer]) -> str:
    ours = {peer.concurrency: peer.lines_per_s for peer in peers if peer.server == OURS}
    measured = ("lines per second", "of ours", "p50, ms", "p99, ms", "CPU, ms per line", "resident, MiB")
    header = ("server", "calls at once", *measured)
    rows = [
        (
            peer.server,
            peer.concurrency,
            f"{peer.lines_per_s:.1f}",
            f"{peer.lines_per_s / ours[peer.concurrency]:.2f} x",
            *(f"{value:.1f}" for value in (peer.p50_ms, peer.p99_ms, peer.cpu_ms)),
            f"{peer.rss_mib:.0f}",
        )
        for peer in sorted(peers, key=lambda peer: (peer.concurrency, -peer.lines_per_s))
    ]
    return markdown(header, rows)


def _flags() -> Namespace:
    parser = ArgumentParser(
        "python -m bench.serving_peers", description=__doc__, formatter_class=RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=2, metavar="N", help="[2]")
    parser.add_argument("--json", action="store_true")
    add_images(parser)
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
