"""Program that takes the pages out of one PDF: python -m ocr_core.pdf_renderer, started by pdf_document.py.

A process of its own, as PDFium may not be called by two threads, and a hostile file may make it crash, loop or fill the
memory: the worst that can happen here is that the process ends. Nothing is imported but PDFium, to be quick.

In and out go lines of JSON. In: the `Opening`. Out: {"page_count": 3}, or {"error": "encrypted", "message": "..."}.
In: {"page": 3}, and at the socket `Opening.memory` a descriptor of memory. Out: a `PageHeader`, once the memory has the
pixels, unless there is an error or lines. And so on.
"""

from __future__ import annotations

import ctypes
import json
import math
import mmap
import os
import resource
import signal
import socket
import sys
from typing import BinaryIO, NotRequired, TypedDict

import pypdfium2 as pdfium
import pypdfium2.raw as pdfium_c

from ocr_core.text_layer import TextLine, real_lines

_POINTS_PER_INCH = 72
_BYTES_PER_PIXEL = 3

_KEPT_BYTES = 4 * 2**20
"""PDFium keeps a copy of all that it has read of a file, so the file is opened anew after about so much of it."""


class Opening(TypedDict):
    """What to open and how. file, memory: descriptors, of the document and of a socket.

    Limits are those of DocumentLimits, min_dpi that of DocumentOptions.
    """

    file: int
    memory: int
    password: str
    dpi: int
    min_dpi: int
    text_layer: bool
    max_pixels: int
    max_side: int
    max_cpu_s: float
    max_memory_bytes: int


class PageHeader(TypedDict):
    """What became of a page. stride: bytes per row of RGB. lines: in place of pixels. error: of two kinds."""

    width: NotRequired[int]
    height: NotRequired[int]
    stride: NotRequired[int]
    dpi: NotRequired[float]
    lines: NotRequired[list[TextLine]]
    error: NotRequired[str]
    message: NotRequired[str]


def main() -> None:
    """Serve one document until the other end is closed."""
    commands, answers = sys.stdin.buffer, sys.stdout.buffer
    opening: Opening = json.loads(commands.readline())
    content = open(opening["file"], "rb")  # noqa: SIM115 - as long as the process
    memories = socket.socket(fileno=opening["memory"])
    try:
        pdf = _open(content, opening)
    except pdfium.PdfiumError as error:
        is_locked = pdfium_c.FPDF_GetLastError() in {pdfium_c.FPDF_ERR_PASSWORD, pdfium_c.FPDF_ERR_SECURITY}
        _write(answers, {"error": "encrypted" if is_locked else "damaged", "message": str(error)})
        return
    _write(answers, {"page_count": len(pdf)})
    at_once = max(1, _KEPT_BYTES * len(pdf) // os.fstat(opening["file"]).st_size)
    for done, row in enumerate(commands, 1):
        _, (memory,), _, _ = socket.recv_fds(memories, 1, 1)
        _answer(pdf, json.loads(row)["page"], opening, memory, answers)
        os.close(memory)
        if done % at_once == 0:
            pdf.close()
            pdf = _open(content, opening)


def _open(content: BinaryIO, opening: Opening) -> pdfium.PdfDocument:
    """content: the file, read piece by piece: what is mapped of one would count as memory, a megabyte at a time."""
    limit = opening["max_memory_bytes"]
    resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
    signal.signal(signal.SIGPROF, signal.SIG_DFL)
    signal.setitimer(signal.ITIMER_PROF, opening["max_cpu_s"])
    pdf = pdfium.PdfDocument(content, opening["password"] or None)
    pdf.init_forms()
    return pdf


def _answer(pdf: pdfium.PdfDocument, number: int, opening: Opening, memory: int, answers: BinaryIO) -> None:
    """One page. memory: for its pixels. Its time begins; when it is up, the process ends by SIGPROF."""
    signal.setitimer(signal.ITIMER_PROF, opening["max_cpu_s"])
    try:
        page = _load(pdf, number - 1)
        header = _drawn(page, opening, memory)
    except pdfium.PdfiumError as error:
        _write(answers, PageHeader(error="damaged", message=str(error)))
        return
    # With it goes what PDFium has made of its images, before the reader is waited for.
    page.close()
    signal.setitimer(signal.ITIMER_PROF, 0)
    _write(answers, header)


def _load(pdf: pdfium.PdfDocument, index: int) -> pdfium.PdfPage:
    """The page, with what was filled into its forms as part of its content."""
    page = pdf[index]
    if not pdf.formenv or not pdfium_c.FPDFPage_GetAnnotCount(page):
        return page
    page.flatten()
    page.close()
    return pdf[index]


def _drawn(page: pdfium.PdfPage, opening: Opening, memory: int) -> PageHeader:
    """What became of the page; its pixels, if it has any, are in the memory."""
    inches = [side / _POINTS_PER_INCH for side in page.get_size()]
    dpi = min(opening["dpi"], opening["max_side"] / max(inches), math.sqrt(opening["max_pixels"] / math.prod(inches)))
    if dpi < opening["min_dpi"]:
        size = (
            f"the page has {inches[0]:.4g} x {inches[1]:.4g} inches, too many pixels even at {opening['min_dpi']} dpi"
        )
        return PageHeader(error="too large", message=size)
    width, height = (max(1, int(side * dpi)) for side in inches)
    header = PageHeader(width=width, height=height, dpi=dpi)
    if opening["text_layer"] and (lines := real_lines(page, width, height)) is not None:
        header["lines"] = lines
    else:
        header["stride"] = _render(page, width, height, memory)
    return header


def _render(page: pdfium.PdfPage, width: int, height: int, memory: int) -> int:
    """The page on white, RGB. Returns the bytes of a row."""
    stride = width * _BYTES_PER_PIXEL
    pixels = (ctypes.c_ubyte * (stride * height)).from_buffer(mmap.mmap(memory, stride * height))
    bitmap = pdfium.PdfBitmap.new_native(
        width, height, pdfium_c.FPDFBitmap_BGR, rev_byteorder=True, buffer=pixels, stride=stride
    )
    bitmap.fill_rect((255, 255, 255, 255), 0, 0, width, height)
    flags = pdfium_c.FPDF_ANNOT | pdfium_c.FPDF_REVERSE_BYTE_ORDER
    pdfium_c.FPDF_RenderPageBitmap(bitmap, page, 0, 0, width, height, 0, flags)
    bitmap.close()
    return stride


def _write(answers: BinaryIO, message: object) -> None:
    answers.write(json.dumps(message).encode() + b"\n")
    answers.flush()


if __name__ == "__main__":
    main()
