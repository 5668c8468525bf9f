"""Lines per second, latency, processor time and memory beside other ways to serve the same lines, on two cores.

Ours, RapidOCR and Tesseract behind the plainest gRPC server, and our pipeline behind MOSEC (two processes). All are
up at the same time and take turns, round after round, with one call at a time and with 16; medians of the rounds. Their
models differ, so do their texts. Those that are not installed are left out. Ours is sent calls and, as a way of its
own, frames of a stream; MOSEC is called over a bare socket, which costs less than any HTTP library, and with httpx.
Where there is a Go, both are called by a program in Go as well, with the Go client and with net/http. With --ours there
are more servers of ours, each with settings of its own. Takes three minutes.

    pip install 'glyphwire-server[serving-peers]' httpx     # Debian: tesseract-ocr-chi-sim for Tesseract's models

Run: python -m bench.serving_peers [--images DIR] [--rounds 2] [--peers mosec] [--ours=--engine-process=false] [--json]
"""

from __future__ import annotations

import asyncio
import json
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

from bench.senders import PythonSender, Sender, go_program, has_go
from bench.serving_children import (
    LINE_MODE,
    Child,
    Run,
    add_images,
    glyphwire_child,
    line_crops,
    line_plan,
    run_load,
)
from bench.tables import markdown
from server.load import Kind

OURS = "glyphwire"
_NEEDS = {"rapidocr": "rapidocr", "tesseract": "tesserocr", "mosec": "mosec"}
_COMMANDS = {
    "rapidocr": ["bench.peer_servers", "rapidocr", "{port}"],
    "tesseract": ["bench.peer_servers", "tesseract", "{port}"],
    "mosec": ["bench.mosec_server", "--address=127.0.0.1", "--port={port}", "--timeout=30000"],
}
_PATHS = {"mosec": "/inference"}
"""Of servers that are called by HTTP."""

_CORES = 2
_CONCURRENCIES = (1, 16)
_RUN_S = 2.5
_SMALL_MS = 0.05


_Runs = Mapping[int, Sequence[Run]]
"""Of one way, by concurrency."""


class SocketClient:
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
        return _recognition(" 200 " in status, text)

    async def close(self) -> None:
        """Close the connections."""
        for _, writer in self._free:
            writer.close()


class HttpxClient:
    """As SocketClient, as most would call such a server."""

    def __init__(self, target: str) -> None:
        import httpx

        self._client = httpx.AsyncClient(base_url=f"http://{target}", limits=httpx.Limits(max_connections=None))

    async def recognize(
        self, image: bytes, options: glyphwire.RecognizeOptions, *, timeout_s: float
    ) -> glyphwire.Recognition:
        """One call. options: not looked at."""
        del options
        response = await self._client.post("/inference", content=image, timeout=timeout_s)
        return _recognition(response.is_success, response.text)

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aclose()


def _recognition(is_read: bool, text: str) -> glyphwire.Recognition:
    if not is_read:
        raise glyphwire.OcrError(grpc.StatusCode.INTERNAL, glyphwire.ErrorReason.UNSPECIFIED, text)
    line = glyphwire.Line(text, 0.0, glyphwire.Polygon(()))
    return glyphwire.Recognition((line,), 0, 0, "", "", glyphwire.Timings())


@dataclass(frozen=True, slots=True)
class Way:
    """How one of the servers is called."""

    child: Child
    sender: Sender
    kind: Kind = "unary"


@dataclass(frozen=True, slots=True)
class Peer:
    """Medians of one way at one concurrency.

    cpu_ms, process_ms, caller_ms: processor time per line, of the server, of each of its processes that takes some, the
    one that was started first, and of whoever calls. idle: share of the cores.
    """

    way: str
    concurrency: int
    lines_per_s: float
    p50_ms: float
    p99_ms: float
    cpu_ms: float
    process_ms: tuple[float, ...]
    caller_ms: float
    idle: float
    rss_mib: float


def main() -> int:
    """Returns 0: who is faster is for people to judge."""
    flags = _flags()
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:_CORES])
    missing = [name for name in flags.peers if find_spec(_NEEDS[name]) is None]
    images = line_crops(flags)
    with ExitStack() as stack:
        children = {OURS: stack.enter_context(glyphwire_child())}
        for settings in flags.ours:
            children[f"{OURS} {settings}"] = stack.enter_context(glyphwire_child(*settings.split()))
        for name in flags.peers:
            if name not in missing:
                children[name] = stack.enter_context(_child(name, images[0]))
        runs = asyncio.run(_measure(flags, children, images))
    peers = [_peer(name, at_once, each) for name, by in runs.items() for at_once, each in by.items()]
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
        return cast(glyphwire.AsyncOcrClient, SocketClient(target))  # load calls nothing but recognize()
    return glyphwire.AsyncOcrClient(target, max_attempts=1)


def _ways(children: Mapping[str, Child]) -> dict[str, Way]:
    ways = {}
    for name, child in children.items():
        is_ours = name.startswith(OURS)
        ways[name] = Way(child, PythonSender(_client(name, child.target)))
        if is_ours:
            ways[f"{name}, a stream"] = Way(child, PythonSender(_client(name, child.target)), "stream")
        if has_go() and (is_ours or name in _PATHS):
            ways[f"{name}, from Go"] = Way(child, go_program(child.target, _PATHS.get(name, "")))
        if has_go() and is_ours:
            ways[f"{name}, a stream from Go"] = Way(child, go_program(child.target), "stream")
    if "mosec" in children and find_spec("httpx"):
        client = cast(glyphwire.AsyncOcrClient, HttpxClient(children["mosec"].target))
        ways["mosec, with httpx"] = Way(children["mosec"], PythonSender(client))
    return ways


async def _measure(flags: Namespace, children: Mapping[str, Child], images: Sequence[bytes]) -> Mapping[str, _Runs]:
    ways = _ways(children)
    runs: dict[str, dict[int, list[Run]]] = {name: defaultdict(list) for name in ways}
    async with AsyncExitStack() as stack:
        for way in ways.values():
            stack.push_async_callback(way.sender.close)
        for _ in range(flags.rounds):
            for at_once in _CONCURRENCIES:
                for name, way in ways.items():
                    plan = line_plan(way.kind, images, _RUN_S, at_once, warmup_s=0.5)
                    run = await run_load(way.child, way.sender, plan)
                    assert not run.report.images_failed, (name, run.report.failures)
                    runs[name][at_once].append(run)
    return runs


def _peer(name: str, at_once: int, runs: Sequence[Run]) -> Peer:
    reports = [run.report for run in runs]
    p50_ms, p99_ms = (median(r.latency_ms[share] for r in reports if r.latency_ms) for share in ("p50", "p99"))
    process_ms = map(median, zip(*(run.process_ms for run in runs), strict=True))
    return Peer(
        name,
        at_once,
        lines_per_s=median(report.images_per_s for report in reports),
        p50_ms=p50_ms,
        p99_ms=p99_ms,
        cpu_ms=median(run.cpu_ms for run in runs),
        process_ms=tuple(spent_ms for spent_ms in process_ms if spent_ms >= _SMALL_MS),
        caller_ms=median(1e3 * report.client_cpu_cores / report.images_per_s for report in reports),
        idle=median(run.idle for run in runs),
        rss_mib=max(run.rss_mib for run in runs),
    )


def _table(peers: Sequence[Peer]) -> str:
    ours = {peer.concurrency: peer.lines_per_s for peer in peers if peer.way == OURS}
    measured = ("lines per second", "of ours", "p50, ms", "p99, ms", "CPU, ms per line", "by process", "of the caller")
    header = ("server", "at once", *measured, "cores idle", "resident, MiB")
    rows = [
        (
            peer.way,
            peer.concurrency,
            f"{peer.lines_per_s:.1f}",
            f"{peer.lines_per_s / ours[peer.concurrency]:.2f} x",
            *(f"{value:.1f}" for value in (peer.p50_ms, peer.p99_ms, peer.cpu_ms)),
            " + ".join(f"{spent_ms:.2f}" for spent_ms in peer.process_ms),
            f"{peer.caller_ms:.2f}",
            f"{peer.idle:.0%}",
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
    parser.add_argument("--peers", nargs="*", choices=_NEEDS, default=[*_NEEDS], help="[all]")
    parser.add_argument(
        "--ours", action="append", default=[], metavar="FLAGS", help="one more server of ours, with flags of `serve`"
    )
    parser.add_argument("--json", action="store_true")
    add_images(parser)
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
