"""PDFs as documents: a process renders the pages (pdf_renderer.py), this is the end that takes them."""

from __future__ import annotations

import importlib.util
import json
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Any, BinaryIO, cast

from ocr_core.document import MIN_DPI, DocumentLimits, DocumentOptions, FailedPage, Page, TextLayer
from ocr_core.errors import DocumentEncrypted, DocumentUnreadable, ImageTooLarge, InputError, PageUnreadable
from ocr_core.shared_pixels import SharedPixels
from ocr_core.types import Character, Line, PixelFormat, Point, Polygon, RawImage

_PROGRAM = "ocr_core.pdf_renderer"
_BYTES_PER_PIXEL = 3
_MAX_CRASHES = 3


class PdfDocument:
    """Implements Document. Each document has a process, which renders a page when it is asked for."""

    def __init__(self, file: BinaryIO, options: DocumentOptions, limits: DocumentLimits) -> None:
        self._file = file
        self._options = options
        self._limits = limits
        self._is_stopped = False
        self._renderer: _Renderer | None = None

    def prepare(self) -> None:
        """As Document: the process starts."""
        if _has_pdfium():
            self._start()

    def open(self) -> int:
        """As Document."""
        if not _has_pdfium():
            raise DocumentUnreadable("PDFs are not read here: install glyphwire-server[documents]", "document")
        return self._open(self._renderer or self._start())

    def pages(self, numbers: Sequence[int]) -> Iterator[Page | FailedPage]:
        """As Document. A page that ends the process is a FailedPage; the third of them is raised: PageUnreadable."""
        crashes = 0
        renderer = self._renderer or self._restarted()
        for number in numbers:
            page = renderer.page(number)
            if self._is_stopped:
                return
            if page is None:
                page = FailedPage(number, renderer.crash(number))
                crashes += 1
                if crashes == _MAX_CRASHES:
                    raise page.error
                renderer = self._restarted()
            # Its pixels would stay here until the next page is asked for.
            held = [page]
            del page
            yield held.pop()

    def stop(self) -> None:
        """As Document."""
        self._is_stopped = True
        if self._renderer:
            self._renderer.kill()

    def close(self) -> None:
        """As Document."""
        self.stop()
        if self._renderer:
            self._renderer.wait()

    def _start(self) -> _Renderer:
        """A new process. Raises DocumentUnreadable when the document has been given up."""
        self._renderer = renderer = _Renderer(self._file, self._options, self._limits)
        if self._is_stopped:
            # Whoever has stopped the document may have closed it as well, and then knows nothing of this process.
            renderer.kill()
            renderer.wait()
            raise _given_up()
        return renderer

    def _open(self, renderer: _Renderer) -> int:
        """Returns the number of pages. Raises as open() does."""
        if self._is_stopped:
            raise _given_up()
        return renderer.open()

    def _restarted(self) -> _Renderer:
        """A process that has opened the file. Raises as open() does."""
        renderer = self._start()
        self._open(renderer)
        return renderer


class _Renderer:
    """The process, and what goes to it and comes from it."""

    def __init__(self, file: BinaryIO, options: DocumentOptions, limits: DocumentLimits) -> None:
        self._file = file
        self._options = options
        self._limits = limits
        self._max_pixels = min(limits.image.max_pixels, limits.image.max_bytes // _BYTES_PER_PIXEL)
        self._memories, theirs = socket.socketpair()
        self._their_memories = theirs.fileno()
        try:
            with theirs:
                self._process = subprocess.Popen(  # noqa: S603 - a program of ours
                    [sys.executable, "-m", _PROGRAM],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.DEVNULL,
                    pass_fds=[file.fileno(), self._their_memories],
                )
        except BaseException:
            # Whoever has given the document up meanwhile has closed its file.
            self._memories.close()
            raise
        # Pipes were asked for, which the type checker does not see.
        self._commands = cast(BinaryIO, self._process.stdin)
        self._answers = cast(BinaryIO, self._process.stdout)

    def open(self) -> int:
        """Returns the number of pages. Raises DocumentUnreadable or DocumentEncrypted."""
        self._tell(
            {
                "file": self._file.fileno(),
                "memory": self._their_memories,
                "password": self._options.password,
                "dpi": self._options.dpi,
                "min_dpi": MIN_DPI,
                "text_layer": self._options.text_layer is TextLayer.AUTO,
                "max_pixels": self._max_pixels,
                "max_side": self._limits.image.max_side,
                "max_cpu_s": self._limits.max_page_cpu_s,
                "max_memory_bytes": self._limits.max_memory_bytes,
            }
        )
        answer = self._hear()
        if answer is None or "error" in answer:
            raise _opening_error(answer, self._options)
        if answer["page_count"] < 1:
            raise DocumentUnreadable("the PDF has no pages", "document")
        return int(answer["page_count"])

    def page(self, number: int) -> Page | FailedPage | None:
        """One page; None when the process has ended in its place."""
        started = time.perf_counter()
        pixels = SharedPixels.allocated(self._max_pixels * _BYTES_PER_PIXEL)
        with suppress(OSError):  # as in _tell()
            socket.send_fds(self._memories, [b"m"], [pixels.descriptor])
        self._tell({"page": number})
        header = self._hear()
        if header is None:
            return None
        if "error" in header:
            kind = ImageTooLarge if header["error"] == "too large" else PageUnreadable
            return FailedPage(number, kind(f"page {number}: {header['message']}", "document"))
        width, height, dpi = header["width"], header["height"], header["dpi"]
        if "lines" in header:
            lines = tuple(map(_line, header["lines"]))
            return Page(number, dpi, None, _since(started), width, height, lines)
        taken = pixels.start(header["stride"] * height)
        raw = RawImage(taken, width, height, PixelFormat.RGB24, header["stride"])
        return Page(number, dpi, raw, _since(started))

    def crash(self, number: int) -> PageUnreadable:
        """Why the process has ended while it was at a page."""
        if self.wait() == -signal.SIGPROF:
            why = f"rendering it takes more than {self._limits.max_page_cpu_s:g} s of processor time"
        else:
            mebibytes = self._limits.max_memory_bytes // 2**20
            why = f"it is damaged, or rendering it takes more than {mebibytes} MiB"
        return PageUnreadable(f"page {number}: {why}", "document")

    def kill(self) -> None:
        """From any thread: end the process, which ends whatever waits for it."""
        self._process.kill()

    def wait(self) -> int:
        """Until the process, which has ended or is about to, is gone. Returns its status."""
        self._memories.close()
        with suppress(BrokenPipeError):  # of what it has not read
            self._commands.close()
        with self._process as process:
            return process.wait()

    def _tell(self, message: dict[str, Any]) -> None:
        with suppress(BrokenPipeError):  # it has ended, as its answer, or the lack of one, will tell
            self._commands.write(json.dumps(message).encode() + b"\n")
            self._commands.flush()

    def _hear(self) -> dict[str, Any] | None:
        """The next line, which is not believed to be more than JSON; None when the process has ended."""
        row = self._answers.readline()
        return json.loads(row) if row.endswith(b"\n") else None


def _given_up() -> DocumentUnreadable:
    return DocumentUnreadable("the document was given up while it was opened", "document")


def _has_pdfium() -> bool:
    return importlib.util.find_spec("pypdfium2") is not None


def _opening_error(answer: dict[str, Any] | None, options: DocumentOptions) -> InputError:
    if answer is None:
        return DocumentUnreadable("the PDF is damaged, or opening it takes too much time or memory", "document")
    if answer["error"] == "encrypted":
        why = "it does not open with this password" if options.password else "it needs a password"
        return DocumentEncrypted(f"the PDF is encrypted: {why}", "config.password")
    return DocumentUnreadable(f"the PDF is damaged or cut short: {answer['message']}", "document")


def _line(read: dict[str, Any]) -> Line:
    """A line of the text layer. The text is certain, there are no timesteps."""
    ends = zip(read["text"], read["ends"], strict=True)
    return Line(
        text=read["text"],
        confidence=1.0,
        polygon=Polygon(tuple(Point(x, y) for x, y in read["polygon"])),
        characters=tuple(Character(text, 1.0, 0, start, end, 0, 0) for text, (start, end) in ends),
    )


def _since(started: float) -> float:
    return 1e3 * (time.perf_counter() - started)
