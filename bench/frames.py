"""How many raw frames of 1 MB reach the pipeline, and what a token costs.

The server is gRPC with a method that stops where the pipeline would begin: message converted, image loaded. It has one
processor, the client the others. With the C library's allocator as it is, and as the server sets it. Besides: processor
time of the check of a token, without gRPC.

Run: python -m bench.frames [--frames 3000] [--json]
Exit status 1: with the allocator as the server sets it, a frame takes more than 1 ms of a processor, which makes fewer
than 1000 per second, or a token costs 10 us or more.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import resource
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
from glyphwire.v1 import ocr_pb2, ocr_pb2_grpc

from bench.tables import markdown
from ocr_core.image import load_image
from ocr_core.image_limits import ImageLimits
from server import convert
from server.allocator import keep_large_blocks
from server.authentication import Authentication
from server.interceptors import CallFrame
from server.metrics import Metrics
from server.tokens import Tokens

_SERVE = "--serve"
_KEEP = "--keep-large-blocks"
_WIDTH, _HEIGHT = 640, 546
_CONCURRENCY = 4
_KEPT = "large blocks kept"
_MOST_CPU_MS = 1.0
_MOST_TOKEN_US = 10.0
_TOKEN_CALLS = 20_000


@dataclass(frozen=True, slots=True)
class Row:
    """Of the server: processor time and page faults per frame, memory at the end."""

    allocator: str
    kind: str
    frames_per_s: float
    cpu_ms: float
    page_faults: float
    resident_mb: float


def main() -> int:
    """Returns 1 when a target is missed."""
    flags = _flags()
    if flags.serve:
        asyncio.run(_serve(flags.keep_large_blocks))
        return 0
    rows = [row for keep in (False, True) for row in _measure(keep, flags.frames)]
    token_us = asyncio.run(_token_us())
    if flags.json:
        print(json.dumps({"rows": [asdict(row) for row in rows], "token_us": token_us}))
    else:
        print(_table(rows))
        print(f"\nA token: {token_us:.1f} us a call.")
    slow = any(row.cpu_ms > _MOST_CPU_MS for row in rows if row.allocator == _KEPT)
    return int(slow or token_us >= _MOST_TOKEN_US)


class _LoadOnly(ocr_pb2_grpc.OcrServiceServicer):
    """Stops where the pipeline would begin. ListModels tells what the server has used."""

    async def Recognize(  # noqa: N802 - named by the contract
        self, request: ocr_pb2.RecognizeRequest, context: object
    ) -> ocr_pb2.RecognizeResponse:
        del context
        load_image(convert.image(request.image), ImageLimits())
        return ocr_pb2.RecognizeResponse()

    async def StreamRecognize(  # noqa: N802 - named by the contract
        self, request_iterator: AsyncIterator[ocr_pb2.StreamRecognizeRequest], context: object
    ) -> AsyncIterator[ocr_pb2.StreamRecognizeResponse]:
        del context
        async for request in request_iterator:
            if request.WhichOneof("message") == "frame":
                load_image(convert.image(request.frame.image), ImageLimits())
                yield ocr_pb2.StreamRecognizeResponse(frame_id=request.frame.frame_id)

    async def ListModels(  # noqa: N802 - named by the contract
        self, request: ocr_pb2.ListModelsRequest, context: object
    ) -> ocr_pb2.ListModelsResponse:
        del request, context
        return ocr_pb2.ListModelsResponse(models=[ocr_pb2.Model(name=json.dumps(_figures()))])


def _figures() -> tuple[float, float, float]:
    """Page faults, processor time in seconds and resident memory in MB of this process."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return used.ru_minflt, used.ru_utime + used.ru_stime, pages * resource.getpagesize() / 1e6


async def _serve(keep: bool) -> None:
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    if keep:
        assert keep_large_blocks()
    server = grpc.aio.server()
    ocr_pb2_grpc.add_OcrServiceServicer_to_server(_LoadOnly(), server)  # type: ignore[abstract]  # no batches are sent
    print(server.add_insecure_port("127.0.0.1:0"), flush=True)
    await server.start()
    await server.wait_for_termination()


def _measure(keep: bool, frames: int) -> list[Row]:
    command = [sys.executable, "-m", "bench.frames", _SERVE, *([_KEEP] if keep else [])]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout
            port = int(server.stdout.readline())
            os.sched_setaffinity(0, os.sched_getaffinity(0) - {min(os.sched_getaffinity(0))} or {0})
            return asyncio.run(_load(port, frames, _KEPT if keep else "as it is"))
        finally:
            server.terminate()


async def _load(port: int, frames: int, allocator: str) -> list[Row]:
    rows = []
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        stub = ocr_pb2_grpc.OcrServiceStub(channel)
        for kind, send in (("unary", _send_unary), ("stream", _send_stream)):
            await send(channel, 100)
            before, started = await _used(stub), time.perf_counter()
            await send(channel, frames)
            seconds, after = time.perf_counter() - started, await _used(stub)
            faults, cpu_s = ((after[i] - before[i]) / frames for i in (0, 1))
            rows.append(Row(allocator, kind, frames / seconds, 1e3 * cpu_s, faults, after[2]))
    return rows


async def _used(stub: ocr_pb2_grpc.OcrServiceAsyncStub) -> Sequence[float]:
    (model,) = (await stub.ListModels(ocr_pb2.ListModelsRequest())).models
    figures: list[float] = json.loads(model.name)
    return figures


async def _send_unary(channel: grpc.aio.Channel, frames: int) -> None:
    """Messages are made beforehand: the client shall not be what is measured."""
    message = ocr_pb2.RecognizeRequest(image=_image()).SerializeToString()
    call: Any = channel.unary_unary("/glyphwire.v1.OcrService/Recognize")

    async def send(count: int) -> None:
        for _ in range(count):
            await call(message)

    await asyncio.gather(*(send(frames // _CONCURRENCY) for _ in range(_CONCURRENCY)))


async def _send_stream(channel: grpc.aio.Channel, frames: int) -> None:
    frame = ocr_pb2.StreamRecognizeRequest(frame=ocr_pb2.Frame(frame_id=1, image=_image())).SerializeToString()
    call: Any = channel.stream_stream("/glyphwire.v1.OcrService/StreamRecognize")

    async def messages() -> AsyncIterator[bytes]:
        for _ in range(frames):
            yield frame

    assert len([answer async for answer in call(messages())]) == frames


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
    header = ("allocator", "call", "frames per second", "server's CPU, ms", "page faults", "resident, MB")
    return markdown(header, map(_cells, rows))


def _cells(row: Row) -> Sequence[str]:
    figures = (f"{row.frames_per_s:.0f}", f"{row.cpu_ms:.2f}", f"{row.page_faults:.1f}", f"{row.resident_mb:.0f}")
    return row.allocator, row.kind, *figures


def _flags() -> Namespace:
    parser = ArgumentParser("python -m bench.frames", description=__doc__, formatter_class=RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=int, default=3000, metavar="N", help="[3000]")
    parser.add_argument("--json", action="store_true")
    parser.add_argument(_SERVE, action="store_true", help="be the server, for a run of this command")
    parser.add_argument(_KEEP, action="store_true", help="set the server's allocator")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
