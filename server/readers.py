"""Who reads an image for the command line: the pipeline in this process, or a server."""

from __future__ import annotations

import asyncio
from argparse import ArgumentParser, Namespace
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Protocol

import glyphwire

from ocr_core.types import DecodeOptions, Decoder, Mode, RecognizeOptions
from server.reports import Recognition
from server.settings import Settings

LOCAL_SETTINGS = ("models_dir", "default_model", "decoder_backend", "workers", "max_batch_size", "precision")
"""Settings of the pipeline, for commands that read in this process."""

_NO_DEADLINE_S = 86_400.0
_DECODE = DecodeOptions()


class Reader(Protocol):
    """Reads images, several at a time."""

    async def recognize(self, image_bytes: bytes) -> Recognition:
        """Read one image. Raises ocr_core.errors.OcrError or glyphwire.OcrError."""


def add_options(parser: ArgumentParser) -> None:
    """Give a parser the flags of RecognizeOptions."""
    group = parser.add_argument_group("recognition")
    group.add_argument("--model", default="", metavar="NAME", help="name or name/version [the default model]")
    group.add_argument("--mode", choices=[mode.value for mode in Mode], default=Mode.PAGE.value, help="[page]")
    decoders = {decoder.value.replace("_", "-"): decoder for decoder in Decoder}
    group.add_argument("--decoder", choices=decoders, default="best-path", help="[best-path]")
    group.add_argument(
        "--beam-width", type=int, default=_DECODE.beam_width, metavar="N", help=f"[{_DECODE.beam_width}]"
    )
    group.add_argument("--alternatives", type=int, default=0, metavar="N", help="further readings of each line [0]")
    group.add_argument("--characters", action="store_true", help="confidence and position of each character (JSON)")
    group.add_argument("--min-confidence", type=float, default=0.0, metavar="P", help="leave out lines below it [0]")


def core_options(flags: Namespace) -> RecognizeOptions:
    """Options for the pipeline in this process. Raises OptionInvalid."""
    return RecognizeOptions(
        model=flags.model,
        mode=Mode(flags.mode),
        decode=DecodeOptions(
            decoder=Decoder(flags.decoder.replace("-", "_")),
            beam_width=flags.beam_width,
            alternatives=flags.alternatives,
        ),
        include_characters=flags.characters,
        min_confidence=flags.min_confidence,
    )


def client_options(flags: Namespace) -> glyphwire.RecognizeOptions:
    """Options for a server, which checks them."""
    return glyphwire.RecognizeOptions(
        model=flags.model,
        mode=glyphwire.Mode(flags.mode),
        decoder=glyphwire.Decoder(flags.decoder.replace("-", "_")),
        beam_width=flags.beam_width,
        alternatives=flags.alternatives,
        include_characters=flags.characters,
        min_confidence=flags.min_confidence,
    )


@asynccontextmanager
async def open_reader(flags: Namespace, settings: Settings) -> AsyncIterator[Reader]:
    """The server of --server, else the pipeline in this process. Raises OcrError when that cannot start."""
    if flags.server:
        async with glyphwire.AsyncOcrClient(flags.server) as client:
            yield _RemoteReader(client, client_options(flags))
    else:
        async with _local_reader(core_options(flags), settings) as reader:
            yield reader


class _RemoteReader:
    def __init__(self, client: glyphwire.AsyncOcrClient, options: glyphwire.RecognizeOptions) -> None:
        self._client = client
        self._options = options

    async def recognize(self, image_bytes: bytes) -> glyphwire.Recognition:
        return await self._client.recognize(image_bytes, self._options)


@asynccontextmanager
async def _local_reader(options: RecognizeOptions, settings: Settings) -> AsyncIterator[Reader]:
    # Here and not above: a client of a server does not wait for the engine to be imported.
    from server.app import build_pipeline
    from server.batcher import Batcher
    from server.work_queue import Job

    class LocalReader:
        async def recognize(self, image_bytes: bytes) -> Recognition:
            deadline = asyncio.get_running_loop().time() + _NO_DEADLINE_S
            return await batcher.submit(Job(image_bytes, options), deadline)

    batcher = Batcher(build_pipeline(settings), settings)
    try:
        await batcher.start()
        yield LocalReader()
    finally:
        batcher.close()
