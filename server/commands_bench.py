"""`glyphwire bench`: load on a server, and what it makes of it."""

from __future__ import annotations

import asyncio
import json
import math
import time
from argparse import ArgumentParser, ArgumentTypeError, Namespace
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import asdict
from pathlib import Path
from typing import get_args

import glyphwire

from server.commands_demo import SAMPLE
from server.commands_recognition import find_images
from server.connections import add_connection, connect
from server.load import Image, Kind, Load, Plan
from server.load_report import LoadReport, Usage, summarize, table, usage
from server.readers import add_options, client_options
from server.reports import table_console
from server.settings import Settings

_READY_S = 10.0
_PLAN = ("rate", "concurrency", "streams", "batch_size", "deadline_s", "warmup_s", "max_pending", "seed")


def add_arguments(parser: ArgumentParser) -> None:
    """Flags of the command."""
    parser.add_argument("paths", nargs="*", metavar="PATH", help=f"image files or folders, sent in turn [{SAMPLE}]")
    (listen,) = Settings.model_fields["listen"].default
    add_connection(parser, f"load is put on it [{listen}]", listen)
    parser.add_argument("--kind", choices=get_args(Kind), default="unary", help="what a request is [unary]")
    whole, positive = _number(int, 1), _number(float, 0, above=True)
    loop = parser.add_mutually_exclusive_group()
    loop.add_argument(
        "--concurrency", type=whole, default=1, metavar="N", help="closed loop: requests unanswered at once [1]"
    )
    loop.add_argument("--rate", type=positive, metavar="R", help="open loop: requests a second, at random times")
    for name, default, sentence in (
        ("connections", 1, "connections to the server"),
        ("streams", 1, "streams, each with its own concurrency, or its share of the rate"),
        ("batch-size", 8, "images in a batch"),
        ("max-pending", 1000, "open loop: unanswered calls beyond which requests are held back"),
    ):
        parser.add_argument(f"--{name}", type=whole, default=default, metavar="N", help=f"{sentence} [{default}]")
    parser.add_argument("--duration", type=positive, default=10.0, metavar="S", help="seconds that are measured [10]")
    parser.add_argument("--warmup", type=_number(float, 0), default=2.0, metavar="S", help="seconds before them [2]")
    parser.add_argument(
        "--deadline-ms", type=positive, metavar="MS", help="deadline of each call; what is read within it is goodput"
    )
    parser.add_argument("--payload", choices=("encoded", "raw"), default="encoded", help="files, or pixels [encoded]")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="of the random times [0]")
    parser.add_argument("--server-pid", type=int, metavar="PID", help="process of this machine to measure besides")
    parser.add_argument("--json", action="store_true", help="print JSON")
    add_options(parser)
    parser.set_defaults(run=run)


def run(flags: Namespace) -> int:
    """Returns 1 when no image was read."""
    plan = _plan(flags)
    report = asyncio.run(_measure(flags, plan))
    if flags.json:
        print(json.dumps({"plan": {name: getattr(plan, name) for name in _PLAN}} | asdict(report)))
    else:
        table_console().print(table(report))
    return 0 if report.images_read else 1


def _plan(flags: Namespace) -> Plan:
    return Plan(
        kind=flags.kind,
        images=_images(flags),
        options=client_options(flags),
        duration_s=flags.duration,
        warmup_s=flags.warmup,
        rate=flags.rate,
        concurrency=flags.concurrency,
        streams=flags.streams,
        batch_size=flags.batch_size,
        deadline_s=flags.deadline_ms / 1e3 if flags.deadline_ms else None,
        max_pending=flags.max_pending,
        seed=flags.seed,
    )


def _images(flags: Namespace) -> list[Image]:
    contents = [Path(path).read_bytes() for path in find_images(flags.paths or [str(SAMPLE)])]
    if flags.payload == "encoded":
        return list(contents)
    # Here and not above: only this needs the decoders of image files.
    from ocr_core.image import load_image
    from ocr_core.image_limits import ImageLimits

    return [glyphwire.RawImage.from_array(load_image(content, ImageLimits()).data) for content in contents]


async def _measure(flags: Namespace, plan: Plan) -> LoadReport:
    async with AsyncExitStack() as stack:
        clients = [
            await stack.enter_async_context(connect(glyphwire.AsyncOcrClient, flags, max_attempts=1))
            for _ in range(flags.connections)
        ]
        for client in clients:
            await client.wait_ready(_READY_S)
        load = Load(clients, plan)
        running = asyncio.create_task(load.run())
        await asyncio.sleep(plan.warmup_s)
        cpu_s, before = time.process_time(), _server_usage(flags)
        tally = await running
        return summarize(plan, tally, time.process_time() - cpu_s, before, _server_usage(flags))


def _server_usage(flags: Namespace) -> Usage | None:
    return None if flags.server_pid is None else usage(flags.server_pid)


def _number(kind: Callable[[str], float], least: float, *, above: bool = False) -> Callable[[str], float]:
    """A type of argument: a finite number from `least`, or above it."""

    def parse(text: str) -> float:
        value = kind(text)
        if not math.isfinite(value) or value < least or (above and value == least):
            raise ArgumentTypeError(f"{text} is not {'above' if above else 'at least'} {least}")
        return value

    return parse
