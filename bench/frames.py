"""How many raw frames of 1 MB reach the pipeline, and what a token costs.

Servers that stop where the pipeline would begin, message converted and image loaded (bench/load_only.py): gRPC with a
method that does this, with the C library's allocator as it is and as the server sets it; and the whole server, with all
of its processes. Each has one processor, the client the others. Besides: processor time of the check of a token,
without gRPC.

Run: python -m bench.frames [--frames 3000] [--json]
Exit status 1: with the allocator as the server sets it, a frame takes more than 1 ms of a processor, which makes fewer
than 1000 per second, or a token costs 10 us or more.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import subprocess
import sys
import tempfile
import time
from argparse import ArgumentParser, Namespace, RawDescriptionHelpFormatter
from collections.abc import AsyncIterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import grpc
import grpc.aio
import numpy as np
from glyphwire.v1 import ocr_pb2

from bench.tables import markdown
from server.authentication import Authentication
from server.interceptors import CallFrame
from server.load_report import usages
from server.metrics import Metrics
from server.tokens import Tokens

_AS_IT_IS = "handler"
_SERVERS = {
    _AS_IT_IS: "gRPC alone, allocator as it is",
    "handler-kept": "gRPC alone, large blocks kept",
    "threads": "whole server with threads",
    "engine": "whole server with its engine process",
}
_WIDTH, _HEIGHT = 640, 546
_CONCURRENCY = 4
_MOST_CPU_MS = 1.0
_MOST_TOKEN_US = 10.0
_TOKEN_CALLS = 20_000


@dataclass(frozen=True, slots=True)
class Row:
    """Of all processes of a server: processor time and page faults per frame, memory at the end."""

    server: str
    kind: str
    frames_per_s: float
    cpu_ms: float
    page_faults: float
    resident_mb: float


def main() -> int:
    """Returns 1 when a target is missed."""
    flags = _flags()
    rows = [row for server in _SERVERS for row in _measure(server, flags.frames)]
    token_us = asyncio.run(_token_us())
    if flags.json:
        print(json.dumps({"rows": [asdict(row) for row in rows], "token_us": token_us}))
    else:
        print(_table(rows))
        print(f"\nA token: {token_us:.1f} us a call.")
    slow = any(row.cpu_ms > _MOST_CPU_MS for row in rows if row.server != _SERVERS[_AS_IT_IS])
    return int(slow or token_us >= _MOST_TOKEN_US)


def _measure(server: str, frames: int) -> list[Row]:
    with subprocess.Popen(
        [sys.executable, "-m", "bench.load_only", server], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as child:
        try:
            assert child.stdout
            port = int(child.stdout.readline())
            os.sched_setaffinity(0, os.sched_getaffinity(0) - {min(os.sched_getaffinity(0))} or {0})
            return asyncio.run(_load(child.pid, port, frames, _SERVERS[server]))
        finally:
            child.terminate()


async def _load(pid: int, port: int, frames: int, server: str) -> list[Row]:
    rows = []
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        for kind, send in (("unary", _send_unary), ("stream", _send_stream)):
            await send(channel, 100)
            before, started = _taken(pid), time.perf_counter()
            await send(channel, frames)
            seconds, after = time.perf_counter() - started, _taken(pid)
            cpu_s, faults = ((after[i] - before[i]) / frames for i in (0, 1))
            rows.append(Row(server, kind, frames / seconds, 1e3 * cpu_s, faults, after[2]))
    return rows


def _taken(pid: int) -> tuple[float, int, float]:
    """CPU seconds, page faults and resident memory in MB of a process and those that it has started."""
    by_pid = usages(pid)
    # See proc_pid_stat(5): behind the name, which may have blanks, minflt is the eighth.
    rows = (Path(f"/proc/{each}/stat").read_text(encoding="ascii").rpartition(") ")[2].split() for each in by_pid)
    taken = by_pid.values()
    return sum(each.cpu_s for each in taken), sum(int(row[7]) for row in rows), sum(e.rss_bytes for e in taken) / 1e6


async def _send_unary(channel: grpc.aio.Channel, frames: int) -> None:
    """Messages are made beforehand: the client shall not be what is measured."""
    message = ocr_pb2.RecognizeRequest(image=_image()).SerializeToString()
    call: Any = channel.unary_unary("/glyphwire.v1.OcrService/Recognize")

    async def send(count: int) -> None:
        for _ in range(count):
            await call(message)

    await asyncio.gather(*(send(frames // _CONCURRENCY) for _ in range(_CONCURRENCY)))


async def _send_stream(channel: grpc.aio.Channel, frames: int) -> None:
    config = ocr_pb2.StreamRecognizeRequest(config=ocr_pb2.StreamConfig()).SerializeToString()
    frame = ocr_pb2.StreamRecognizeRequest(frame=ocr_pb2.Frame(frame_id=1, image=_image())).SerializeToString()
    call: Any = channel.stream_stream("/glyphwire.v1.OcrService/StreamRecognize")

    async def messages() -> AsyncIterator[bytes]:
        yield config
        for _ in range(frames):
            yield frame

    answers = [ocr_pb2.StreamRecognizeResponse.FromString(answer) async for answer in call(messages())]
    assert len(answers) == frames
    assert not any(answer.HasField("error") for answer in answers)


def _image() -> ocr_pb2.Image:
    """Noise, BGR as from a camera."""
    pixels = np.random.default_rng(0).integers(0, 256, (_HEIGHT, _WIDTH, 3), np.uint8).tobytes()
    raw = ocr_pb2.RawImage(pixels=pixels, width=_WIDTH, height=_HEIGHT, pixel_format=ocr_pb2.PIXEL_FORMAT_BGR24)
    return ocr_pb2.Image(raw=raw)


async def _token_us() -> float:
    """Processor time that Authentication adds to a call, the least of five rounds."""
    with tempfile.NamedTemporaryFile("w", suffix=".toml") as file:
        limits = "max_calls = 8\nmax_streams = 2\ncalls_per_second = 1e9"
        file.write(f'[client]\nsha256 = "{hashlib.sha256(b"secret").hexdigest()}"\n{limits}\n')
        file.flush()
        return await _cost_of_tokens_us(Tokens(Path(file.name)))


async def _cost_of_tokens_us(tokens: Tokens) -> float:
    authentication = Authentication(tokens, CallFrame(Metrics(), None))

    async def behaviour(request: object, context: object) -> None:
        del request, context

    async def found(details: object) -> Any:  # noqa: ANN401 - generic in the stubs alone
        del details
        return grpc.unary_unary_rpc_method_handler(behaviour)

    metadata = (("user-agent", "bench"), ("authorization", "Bearer secret"))
    details: Any = SimpleNamespace(method="/glyphwire.v1.OcrService/Recognize", invocation_metadata=metadata)

    async def bare() -> None:
        await (await found(details)).unary_unary(None, None)

    async def checked() -> None:
        handler: Any = await authentication.intercept_service(found, details)
        await handler.unary_unary(None, None)

    async def cost_us(call: Any) -> float:  # noqa: ANN401 - one of the two above
        started = time.process_time()
        for _ in range(_TOKEN_CALLS):
            await call()
        return 1e6 * (time.process_time() - started) / _TOKEN_CALLS

    return min([await cost_us(checked) - await cost_us(bare) for _ in range(5)])


def _table(rows: Sequence[Row]) -> str:
    header = ("server", "call", "frames per second", "CPU, ms", "page faults", "resident, MB")
    return markdown(header, map(_cells, rows))


def _cells(row: Row) -> Sequence[str]:
    figures = (f"{row.frames_per_s:.0f}", f"{row.cpu_ms:.2f}", f"{row.page_faults:.1f}", f"{row.resident_mb:.0f}")
    return row.server, row.kind, *figures


def _flags() -> Namespace:
    parser = ArgumentParser("python -m bench.frames", description=__doc__, formatter_class=RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=int, default=3000, metavar="N", help="[3000]")
    parser.add_argument("--json", action="store_true")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
