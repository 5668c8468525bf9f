"""Servers that stop where the pipeline would begin, with the image loaded: for bench.frames.

Each has one processor, and says its port on standard output. The whole server logs each call, as it does by default.

Run: python -m bench.load_only {handler,handler-kept,threads,engine}
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Hashable, Sequence
from typing import NamedTuple, cast

import grpc.aio
from glyphwire.v1 import ocr_pb2, ocr_pb2_grpc

from ocr_core.frame_change import FrameSketch, sketch
from ocr_core.image import load_image
from ocr_core.image_limits import ImageLimits
from ocr_core.pipeline_config import PipelineConfig
from ocr_core.rules.options import RuleOptions
from ocr_core.stages import AnyStages, ModelChanges
from ocr_core.types import ModelInfo, RawImage, Recognition, RecognizeOptions, Timings
from server import convert
from server.allocator import keep_large_blocks, share_arenas, trim_often
from server.app import App
from server.engine_link import ENGINE_FLAG, ServerEnd
from server.engine_process import EngineHost, serve
from server.logs import configure_logs
from server.metrics import Metrics
from server.remote_stages import RemoteStages
from server.settings import Settings

HANDLERS = {"handler": False, "handler-kept": True}
"""gRPC with a method that loads the image, nothing else of ours. Whether with the allocator as the server sets it."""

WHOLE = {"threads": False, "engine": True}
"""The server with all that it has around its pipeline. Whether that is in the engine process."""


class LoadedImage(NamedTuple):
    """An image on which no line is found."""

    width: int
    height: int
    crops: tuple[()] = ()


class LoadOnly:
    """Stages that load images."""

    shelf = cast(ModelChanges, None)  # for admin calls, of which there are none

    def start(self) -> None:
        """There are no models."""

    def close(self) -> None:
        """As start()."""

    def prepare(self, image: bytes | RawImage, options: RecognizeOptions) -> LoadedImage:
        """Load it. Raises InputError."""
        del options
        height, width, _ = load_image(image, ImageLimits()).shape
        return LoadedImage(width, height)

    def assemble(self, prepared: LoadedImage, lines: Sequence[object], options: RecognizeOptions) -> Recognition:
        """Without lines."""
        del lines, options
        return Recognition((), prepared.width, prepared.height, "none", "1", Timings())

    def models(self) -> tuple[ModelInfo, ...]:
        """None."""
        return ()

    def sketch(self, image: bytes | RawImage, options: RecognizeOptions) -> FrameSketch:
        """As Pipeline's."""
        del options
        return sketch(load_image(image, ImageLimits()))

    def batch_key(self, crop: object, options: RecognizeOptions) -> Hashable:
        """One for all lines, of which there are none."""

    def read_lines(self, crops: Sequence[object], options: Sequence[RecognizeOptions]) -> list[object]:
        """As many readings."""
        del options
        return [*crops]

    def rules(self, options: RuleOptions) -> None:
        """None."""
        del options


class _Handler(ocr_pb2_grpc.OcrServiceServicer):
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


def main() -> None:
    """Serve until SIGTERM; as an engine, until the server has gone."""
    kind = sys.argv[1]
    if kind.startswith(ENGINE_FLAG):
        _keep_memory()
        serve(EngineHost(_stages), ServerEnd(int(kind.removeprefix(f"{ENGINE_FLAG}="))))
        return
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    asyncio.run(_serve_handler(HANDLERS[kind]) if kind in HANDLERS else _serve_whole(WHOLE[kind]))


def _stages(config: PipelineConfig) -> AnyStages:
    del config
    return LoadOnly()


def _keep_memory() -> None:
    """As the server does."""
    assert keep_large_blocks()
    share_arenas()
    trim_often()


async def _serve_handler(keep: bool) -> None:
    if keep:
        assert keep_large_blocks()
    server = grpc.aio.server()
    ocr_pb2_grpc.add_OcrServiceServicer_to_server(_Handler(), server)  # type: ignore[abstract]  # no batches are sent
    print(server.add_insecure_port("127.0.0.1:0"), flush=True)
    await server.start()
    await server.wait_for_termination()


async def _serve_whole(has_engine: bool) -> None:
    _keep_memory()
    metrics = Metrics()
    settings = Settings(listen=("127.0.0.1:0",))
    configure_logs(settings)
    command = (sys.executable, "-m", "bench.load_only")
    app = App(settings, RemoteStages(settings, command, metrics) if has_engine else LoadOnly(), metrics)
    (address,) = await app.listen()
    await app.start()
    print(str(address).rpartition(":")[2], flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    main()
