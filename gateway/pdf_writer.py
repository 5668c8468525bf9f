"""Searchable PDFs, written in a process of their own: PDFium reads files from strangers, and does so one at a time."""

from __future__ import annotations

import asyncio
import io
import multiprocessing
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass

import glyphwire

from gateway.problems import refused, unreadable
from ocr_core.errors import InputError
from ocr_core.image_limits import ImageLimits

_WRITE_S = 120.0


@dataclass(frozen=True, slots=True)
class PdfPart:
    """A page of one of the files. number: from 1. text: None for a page that stays as it is."""

    file: int
    number: int
    text: glyphwire.Recognition | None
    dpi: float


class PdfWriter:
    """Writes one PDF at a time. close() ends the process."""

    def __init__(self, limits: ImageLimits) -> None:
        self._limits = limits
        self._pool: ProcessPoolExecutor | None = None

    async def write(self, files: Sequence[bytes], parts: Sequence[PdfPart], password: str) -> bytes:
        """The pages, in their order. Raises ProblemError."""
        loop = asyncio.get_running_loop()
        self._pool = self._pool or ProcessPoolExecutor(1, multiprocessing.get_context("spawn"))
        try:
            async with asyncio.timeout(_WRITE_S):
                return await loop.run_in_executor(self._pool, _write, files, parts, password, self._limits)
        except InputError as error:
            raise unreadable(error) from None
        except BrokenProcessPool:
            self._pool = None
            raise refused(415, "DOCUMENT_UNREADABLE", "the document ends the process that writes it") from None
        except TimeoutError:
            self.close()
            raise refused(504, "DEADLINE_EXPIRED", f"writing the PDF took more than {_WRITE_S:.0f} s") from None

    def close(self) -> None:
        """Stop; the next PDF starts anew."""
        if self._pool:
            for process in list(self._pool._processes.values()):
                process.kill()
            self._pool.shutdown(wait=False, cancel_futures=True)
            self._pool = None


def _write(files: Sequence[bytes], parts: Sequence[PdfPart], password: str, limits: ImageLimits) -> bytes:
    """In the process."""
    from ocr_core.searchable_pdf import SearchablePdf

    sources = [io.BytesIO(content) for content in files]
    pdf = SearchablePdf(limits)
    for part in parts:
        pdf.add(sources[part.file], part.number, part.text, dpi=part.dpi, password=password)
    written = io.BytesIO()
    pdf.save(written)
    return written.getvalue()
