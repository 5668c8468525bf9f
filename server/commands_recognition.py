"""`glyphwire recognize`: files in, text out."""

from __future__ import annotations

import asyncio
import shutil
import sys
from argparse import ArgumentParser, Namespace
from collections import deque
from collections.abc import AsyncGenerator, Iterator, Sequence, Set
from contextlib import aclosing, contextmanager, nullcontext
from pathlib import Path
from tempfile import TemporaryFile
from typing import BinaryIO

import glyphwire
from rich.console import Console
from rich.progress import Progress

from ocr_core.document_file import MARK_WITHIN, is_paged
from ocr_core.errors import InputError, OcrError
from server.connections import add_connection
from server.errors import SettingsInvalid
from server.page_writers import MARKUP, PAGED, PageWriter, Result, add_output, page_writer
from server.readers import LOCAL_SETTINGS, Reader, add_document_options, add_options, open_reader
from server.reports import STRUCTURE_FORMATS, timings_row
from server.settings import add_flags, load_settings

SUFFIXES = {".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff", ".gif", ".avif", ".heic", ".heif"}
STDIN = "-"

_IN_FLIGHT = 8
_FAILURES = (OcrError, glyphwire.OcrError, OSError)


def add_arguments(parser: ArgumentParser) -> None:
    """Flags of the command."""
    parser.add_argument(
        "paths", nargs="+", metavar="PATH", help="images, PDFs, folders of them, or - for standard input"
    )
    add_output(parser)
    parser.add_argument("--timings", action="store_true", help="print where the time went on standard error")
    add_connection(parser, "send the images there; default: read them in this process")
    add_options(parser)
    add_document_options(parser)
    add_flags(parser, LOCAL_SETTINGS)
    parser.set_defaults(run=run)


def run(flags: Namespace) -> int:
    """Read every file; returns 1 when one of them could not be read."""
    flags.characters |= flags.format in PAGED
    flags.structure |= flags.format in {*STRUCTURE_FORMATS, *MARKUP}
    paths = find_images(flags.paths, SUFFIXES | {".pdf"})
    _check_output(flags, paths)
    return asyncio.run(_recognize(flags, paths))


def find_images(paths: Sequence[str], suffixes: Set[str] = SUFFIXES) -> list[str]:
    """Files as they are given, and the images in and below folders, sorted. Raises InputError for an empty folder."""
    found: list[str] = []
    for path in paths:
        if path != STDIN and Path(path).is_dir():
            below = sorted(str(file) for file in Path(path).rglob("*") if file.suffix.lower() in suffixes)
            if not below:
                raise InputError(f"no images in {path}")
            found += below
        else:
            found.append(path)
    return found


def _check_output(flags: Namespace, paths: Sequence[str]) -> None:
    """A PDF is written when all is read, everything else as it is read. Raises SettingsInvalid."""
    if flags.output is None or flags.format == "pdf" or not flags.output.is_file():
        return
    for path in paths:
        if Path(path).exists() and flags.output.samefile(path):
            raise SettingsInvalid(f"--output {flags.output} is one of the files to read, and would be emptied before")


async def _recognize(flags: Namespace, paths: list[str]) -> int:
    settings, failed = load_settings(flags), 0
    with page_writer(flags, settings, titled=len(paths) > 1) as writer:
        async with open_reader(flags, settings) as reader:
            with _progress() as progress:
                bar = _Bar(progress, len(paths))
                as_pages = flags.format in PAGED or bool(flags.pages)
                async with aclosing(_read_all(reader, paths, as_pages=as_pages)) as results:
                    async for result in results:
                        failed += isinstance(result.outcome, Exception)
                        _write(flags, writer, result)
                        bar.advance(result)
    return 1 if failed else 0


def _progress() -> Progress:
    """On standard error, when somebody is there to see it."""
    return Progress(
        console=Console(stderr=True),
        transient=True,
        disable=not sys.stderr.isatty(),
        # In one terminal the rows go above the bar; in a pipe they must not go to the bar's terminal.
        redirect_stdout=sys.stdout.isatty(),
    )


class _Bar:
    """Files, and the pages of the document that is being read. Hidden while there is one image to wait for."""

    def __init__(self, progress: Progress, count: int) -> None:
        self._progress = progress
        self._files = progress.add_task("reading", total=count, visible=count > 1)
        self._pages = progress.add_task("pages", visible=False)

    def advance(self, result: Result) -> None:
        page = result.page
        if page:
            self._progress.update(
                self._pages, completed=page.pages_done, total=page.pages_selected, visible=page.pages_selected > 1
            )
        if page is None or page.pages_done == page.pages_selected:
            self._progress.advance(self._files)


async def _read_all(reader: Reader, paths: Sequence[str], *, as_pages: bool) -> AsyncGenerator[Result, None]:
    """Results in the order of the paths: several images in flight, documents one by one.

    as_pages: every image is a document.
    """
    running: deque[asyncio.Task[Result]] = deque()
    for path in paths:
        if as_pages or _is_piped(path) or _is_document(path):
            while running:
                yield await running.popleft()
            async with aclosing(_read_pages(reader, path, as_pages=as_pages)) as results:
                async for result in results:
                    yield result
            continue
        running.append(asyncio.create_task(_read(reader, path)))
        if len(running) == _IN_FLIGHT:
            yield await running.popleft()
    for task in running:
        yield await task


def _is_piped(path: str) -> bool:
    """Whether it can be read only once: a look at its first bytes would lose them."""
    return path == STDIN or (Path(path).exists() and not Path(path).is_file())


def _is_document(path: str) -> bool:
    """By its first bytes, as far as they can be read."""
    try:
        with Path(path).open("rb") as file:
            return is_paged(file.read(MARK_WITHIN))
    except OSError:
        return False


async def _read(reader: Reader, path: str) -> Result:
    try:
        return Result(path, await reader.recognize(Path(path).read_bytes()))  # noqa: ASYNC240 - small files
    except _FAILURES as error:
        return Result(path, error)


async def _read_pages(reader: Reader, path: str, *, as_pages: bool) -> AsyncGenerator[Result, None]:
    try:
        with _opened(path) as file:
            if not as_pages and not is_paged(file.read(MARK_WITHIN)):
                file.seek(0)
                yield Result(path, await reader.recognize(file.read()))
                return
            async with aclosing(reader.recognize_document(file)) as pages:
                async for page in pages:
                    yield Result(path, page.outcome, page, file)
    except _FAILURES as error:
        yield Result(path, error)


@contextmanager
def _opened(path: str) -> Iterator[BinaryIO]:
    """A file of the disk, for pipes too: other processes read it, and it is read more than once."""
    with nullcontext(sys.stdin.buffer) if path == STDIN else Path(path).open("rb") as given:
        if not _is_piped(path):
            yield given
            return
        with TemporaryFile() as file:
            shutil.copyfileobj(given, file)
            file.seek(0)
            yield file


def _write(flags: Namespace, writer: PageWriter, result: Result) -> None:
    if isinstance(result.outcome, Exception):
        print(f"{result.source}: {result.outcome}", file=sys.stderr)
        writer.add(result, None)
        return
    writer.add(result, result.outcome)
    if flags.timings:
        print(f"{result.source}: {timings_row(result.outcome)}", file=sys.stderr)
