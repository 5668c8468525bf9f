"""`glyphwire recognize`: files in, text out."""

from __future__ import annotations

import asyncio
import sys
from argparse import ArgumentParser, Namespace
from collections import deque
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import glyphwire
from rich.console import Console
from rich.progress import Progress

from ocr_core.errors import InputError, OcrError
from server.connections import add_connection
from server.readers import LOCAL_SETTINGS, Reader, add_options, open_reader
from server.reports import FORMATS, TSV_HEADER, Recognition, report, timings_row
from server.settings import add_flags, load_settings

SUFFIXES = {".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff", ".gif"}
STDIN = "-"

_IN_FLIGHT = 8
_FAILURES = (OcrError, glyphwire.OcrError, OSError)


def add_arguments(parser: ArgumentParser) -> None:
    """Flags of the command."""
    parser.add_argument(
        "paths", nargs="+", metavar="PATH", help="image files, folders of images, or - for standard input"
    )
    parser.add_argument("--format", choices=FORMATS, default="text", help="[text]")
    parser.add_argument("--timings", action="store_true", help="print where the time went on standard error")
    add_connection(parser, "send the images there; default: read them in this process")
    add_options(parser)
    add_flags(parser, LOCAL_SETTINGS)
    parser.set_defaults(run=run)


def run(flags: Namespace) -> int:
    """Read every file; returns 1 when one of them could not be read."""
    return asyncio.run(_recognize(flags, find_images(flags.paths)))


def find_images(paths: Sequence[str]) -> list[str]:
    """Files as they are given, and the images in and below folders, sorted. Raises InputError for an empty folder."""
    found: list[str] = []
    for path in paths:
        if path != STDIN and Path(path).is_dir():
            below = sorted(str(file) for file in Path(path).rglob("*") if file.suffix.lower() in SUFFIXES)
            if not below:
                raise InputError(f"no images in {path}")
            found += below
        else:
            found.append(path)
    return found


async def _recognize(flags: Namespace, paths: list[str]) -> int:
    if flags.format == "tsv":
        print(TSV_HEADER)
    failed = 0
    async with open_reader(flags, load_settings(flags)) as reader:
        with _progress(len(paths)) as progress:
            bar = progress.add_task("reading", total=len(paths))
            async for path, outcome in _read_all(reader, paths):
                failed += isinstance(outcome, Exception)
                _print_outcome(flags, path, outcome, titled=len(paths) > 1)
                progress.advance(bar)
    return 1 if failed else 0


def _progress(count: int) -> Progress:
    """On standard error, when there is something to wait for and somebody to see it."""
    return Progress(
        console=Console(stderr=True),
        transient=True,
        disable=count < 2 or not sys.stderr.isatty(),
        # In one terminal the rows go above the bar; in a pipe they must not go to the bar's terminal.
        redirect_stdout=sys.stdout.isatty(),
    )


async def _read_all(reader: Reader, paths: Sequence[str]) -> AsyncIterator[tuple[str, Recognition | Exception]]:
    """Outcomes in the order of the paths, several files in flight."""
    running: deque[tuple[str, asyncio.Task[Recognition | Exception]]] = deque()
    for path in paths:
        running.append((path, asyncio.create_task(_read(reader, path))))
        if len(running) == _IN_FLIGHT:
            done, task = running.popleft()
            yield done, await task
    for done, task in running:
        yield done, await task


async def _read(reader: Reader, path: str) -> Recognition | Exception:
    try:
        content = sys.stdin.buffer.read() if path == STDIN else Path(path).read_bytes()  # noqa: ASYNC240 - small files
        return await reader.recognize(content)
    except _FAILURES as error:
        return error


def _print_outcome(flags: Namespace, path: str, outcome: Recognition | Exception, *, titled: bool) -> None:
    if isinstance(outcome, Exception):
        print(f"{path}: {outcome}", file=sys.stderr)
        return
    for row in report(flags.format, path, outcome, titled=titled):
        print(row, flush=True)
    if flags.timings:
        print(f"{path}: {timings_row(outcome)}", file=sys.stderr)
