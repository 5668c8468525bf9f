"""Uploads -> answers, through the client of the service."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import BinaryIO

import glyphwire
from glyphwire import DocumentPage, PageSource, Recognition

from gateway.options import OcrOptions
from gateway.uploads import Upload


@dataclass(frozen=True, slots=True)
class ReadPage:
    """One page of one file. upload: which of the request's files, from 0, and file its name.

    number, count: of the page in its file, from 1. dpi: 0 when nobody knows.
    """

    upload: int
    file: str | None
    number: int
    count: int
    dpi: float
    source: PageSource | None
    seconds: float
    outcome: Recognition | glyphwire.OcrError


class Reader:
    """Reads files. timeout_s: for an image; document_timeout_s: for a document."""

    def __init__(self, client: glyphwire.AsyncOcrClient, timeout_s: float, document_timeout_s: float) -> None:
        self._client = client
        self._timeout_s = timeout_s
        self._document_timeout_s = document_timeout_s

    async def read(self, uploads: Sequence[Upload], options: OcrOptions) -> list[ReadPage]:
        """All pages of all files, in their order; what is wrong with one file is the outcome of a page."""
        read = await asyncio.gather(
            *(self._read_file(upload, options, position) for position, upload in enumerate(uploads))
        )
        return [page for pages in read for page in pages]

    async def document(
        self, name: str | None, content: bytes | BinaryIO, options: OcrOptions, position: int = 0
    ) -> AsyncIterator[tuple[ReadPage, DocumentPage]]:
        """Pages of a document as they are read. position: of the upload in its request. Raises glyphwire.OcrError.

        content: a file is closed when it has been sent.
        """
        pages = self._client.recognize_document(
            content,
            options.recognize_options(),
            document_options=options.document_options(),
            timeout_s=self._document_timeout_s,
        )
        started = time.perf_counter()
        async for page in pages:
            seconds, started = time.perf_counter() - started, time.perf_counter()
            yield (
                ReadPage(
                    position,
                    name,
                    page.page_number,
                    page.page_count,
                    page.dpi,
                    page.source,
                    seconds,
                    page.outcome,
                ),
                page,
            )

    async def _read_file(self, upload: Upload, options: OcrOptions, position: int) -> list[ReadPage]:
        started = time.perf_counter()
        try:
            if upload.has_pages:
                found = self.document(upload.name, upload.content, options, position)
                return [page async for page, _ in found]
            outcome: Recognition | glyphwire.OcrError = await self._client.recognize(
                upload.content, options.recognize_options(), timeout_s=self._timeout_s
            )
        except glyphwire.OcrError as error:
            outcome = error
        return [ReadPage(position, upload.name, 1, 1, 0.0, PageSource.OCR, time.perf_counter() - started, outcome)]
