"""Answers that are no JSON: the output formats of the command line, as responses."""

from __future__ import annotations

from collections.abc import Sequence
from types import ModuleType

import glyphwire
from fastapi import Response
from glyphwire import PageSource

from gateway.options import OutputFormat
from gateway.pdf_writer import PdfPart, PdfWriter
from gateway.problems import ProblemError, problem_of
from gateway.reading import ReadPage
from gateway.uploads import Upload
from ocr_core import alto, hocr
from ocr_core.page_output import OutputPage
from server.reports import HTML_HEADER, TSV_HEADER, report

_MEDIA_TYPES = {
    OutputFormat.TEXT: "text/plain; charset=utf-8",
    OutputFormat.TSV: "text/tab-separated-values; charset=utf-8",
    OutputFormat.MARKDOWN: "text/markdown; charset=utf-8",
    OutputFormat.HTML: "text/html; charset=utf-8",
    OutputFormat.HOCR: "text/html; charset=utf-8",
    OutputFormat.ALTO: "application/alto+xml; charset=utf-8",
}
_MARKUP = {OutputFormat.HOCR: hocr, OutputFormat.ALTO: alto}

_Read = tuple[ReadPage, glyphwire.Recognition]


async def formatted(
    pages: Sequence[ReadPage], form: OutputFormat, uploads: Sequence[Upload], pdfs: PdfWriter, password: str
) -> Response:
    """All pages in one file. uploads: whose pages they are, for a PDF; password: of encrypted ones.

    Raises ProblemError when one could not be read: the formats have no place for that.
    """
    read = [(page, _text(page)) for page in pages]
    if form is OutputFormat.PDF:
        files = [upload.content for upload in uploads]
        parts = [
            PdfPart(page.upload, page.number, text if page.source is PageSource.OCR else None, page.dpi)
            for page, text in read
        ]
        return Response(await pdfs.write(files, parts, password), media_type="application/pdf")
    text = _marked_up(read, _MARKUP[form]) if form in _MARKUP else _rows(read, form)
    return Response(text, media_type=_MEDIA_TYPES[form])


def _text(page: ReadPage) -> glyphwire.Recognition:
    if isinstance(page.outcome, glyphwire.OcrError):
        raise ProblemError(problem_of(page.outcome))
    return page.outcome


def _rows(read: Sequence[_Read], form: OutputFormat) -> str:
    rows = _header(read, form)
    for page, text in read:
        source = page.file or "image"
        name = source if page.count == 1 else f"{source}#page={page.number}"
        rows += report(form.value, name, text, titled=len(read) > 1)
    return "\n".join(rows) + "\n"


def _header(read: Sequence[_Read], form: OutputFormat) -> list[str]:
    if form is OutputFormat.HTML:
        return [HTML_HEADER]
    is_table_of_lines = form is OutputFormat.TSV and not any(text.structure for _, text in read)
    return [TSV_HEADER] if is_table_of_lines else []


def _marked_up(read: Sequence[_Read], markup: ModuleType) -> str:
    outputs = [
        OutputPage(page.file or "image", page.number, position, page.dpi, text)
        for position, (page, text) in enumerate(read, 1)
    ]
    return f"{markup.HEAD}{''.join(map(markup.page, outputs))}{markup.TAIL}"
