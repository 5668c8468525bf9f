"""A document -> its pages, read through the queue of all images, one page being rendered while others are read."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Hashable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, replace
from functools import partial

from ocr_core.document import Document, DocumentLimits, DocumentOptions, FailedPage, Page, PageSource
from ocr_core.page_ranges import page_numbers
from ocr_core.types import Recognition, RecognizeOptions, Timings
from server.admission import draining
from server.batcher import Answer, Batcher
from server.errors import DeadlineExpired, Draining
from server.request import Job

READ_AHEAD = 2
"""Pages that are rendered and not yet answered."""

_EARLY_S = 0.01
"""By how much a timer may be early."""


@dataclass(frozen=True, slots=True)
class DocumentJob:
    """How to read a document. job: of each page; lacks its image."""

    job: Job
    options: DocumentOptions


@asynccontextmanager
async def closing(document: Document, batcher: Batcher) -> AsyncIterator[Document]:
    """Gives up what the document is doing, and closes it."""
    try:
        yield document
    finally:
        document.stop()
        # Whoever is cancelled again meanwhile does not wait, but the process is waited for all the same.
        await asyncio.shield(batcher.in_document_thread(document.close))


@dataclass(frozen=True, slots=True)
class ReadPage:
    """What came of a page. Fields are those of the contract, RecognizeDocumentResponse; source: None with an error."""

    page_number: int
    page_count: int
    pages_done: int
    pages_selected: int
    dpi: float
    source: PageSource | None
    outcome: Recognition | Exception


Source = AbstractAsyncContextManager[tuple[Document, DocumentJob]]
"""Where a document comes from: entered, it waits for the whole file; left, it closes the document."""

_Pending = tuple[Page | FailedPage, Answer | Recognition | Exception]


class DocumentReading:
    """One document and what becomes of its pages.

    deadline: of the whole, in time.monotonic(); page_timeout_s: of a page, from when it is rendered.
    """

    def __init__(
        self, batcher: Batcher, limits: DocumentLimits, client: Hashable, *, deadline: float, page_timeout_s: float
    ) -> None:
        self._batcher = batcher
        self._limits = limits
        self._client = client
        self._deadline = deadline
        self._page_timeout_s = page_timeout_s
        # The first page has the workers to itself: somebody waits for it, and for those after it later.
        self._room = asyncio.Semaphore(1)
        self._pending: asyncio.Queue[_Pending | None] = asyncio.Queue()
        self._page_count = 0
        self._selected = 0

    async def pages(self, source: Source) -> AsyncGenerator[ReadPage, None]:
        """The pages that are asked for, in their order, each as soon as it is read.

        Raises InputError for what is wrong with the document as a whole, QueueFull, and Draining once the pages that
        had been rendered are read. Closing the generator gives everything up at once.
        """
        renderer = asyncio.create_task(self._render_ahead(source))

        def stop_rendering(_: asyncio.Future[None]) -> None:
            renderer.cancel()

        self._batcher.draining.add_done_callback(stop_rendering)
        done = 0
        try:
            while pending := await self._pending.get():
                done += 1
                yield await self._completed(*pending, done)
                for _ in range(READ_AHEAD if done == 1 else 1):
                    self._room.release()
            await renderer
        finally:
            self._batcher.draining.remove_done_callback(stop_rendering)
            renderer.cancel()
            while not self._pending.empty():
                if (pending := self._pending.get_nowait()) and isinstance(pending[1], asyncio.Future):
                    pending[1].cancel()
            await asyncio.gather(renderer, return_exceptions=True)

    async def _render_ahead(self, source: Source) -> None:
        """Render each page as soon as there is room for it."""
        try:
            async with source as (document, wanted), self._batcher.documents.document(self._client):
                try:
                    await self._take_pages(document, wanted)
                finally:
                    document.stop()
        except asyncio.CancelledError:
            if self._batcher.draining.done():
                raise draining() from None
            raise
        finally:
            self._pending.put_nowait(None)

    async def _take_pages(self, document: Document, wanted: DocumentJob) -> None:
        self._page_count = await self._batcher.in_document_thread(document.open)
        numbers = page_numbers(wanted.options.pages, self._page_count)
        self._selected = len(numbers)
        self._limits.check_pages(self._selected)
        pages = document.pages(numbers)
        await self._room.acquire()
        while await self._take_page(pages, wanted.job):
            await self._room.acquire()

    async def _take_page(self, pages: Iterator[Page | FailedPage], job: Job) -> bool:
        """Render the next page and put it into the queue, which alone holds its pixels then. False: there is none."""
        page = await self._batcher.in_document_thread(partial(next, pages, None))
        if page is None:
            return False
        prepared = asyncio.Event()
        started = await self._start(page, job, prepared.set)
        self._pending.put_nowait((page.without_pixels() if isinstance(page, Page) else page, started))
        if isinstance(started, asyncio.Future):
            # Pixels of one page at a time: the next one is rendered while the lines of this one are read.
            del page
            started.add_done_callback(lambda _: prepared.set())
            await prepared.wait()
        return True

    async def _start(
        self, page: Page | FailedPage, job: Job, prepared: Callable[[], None]
    ) -> Answer | Recognition | Exception:
        """Put the page into the queue, unless there is nothing to read. prepared: as submit_in_turn() has it."""
        if isinstance(page, FailedPage):
            return page.error
        try:
            if page.image is None:
                return await self._batcher.in_document_thread(partial(self._text_layer, page, job.options))
            deadline = min(self._deadline, time.monotonic() + self._page_timeout_s)
            return await self._batcher.submit_in_turn(replace(job, image=page.image), deadline, self._client, prepared)
        except Draining:
            raise
        except Exception as error:  # noqa: BLE001 - sent as the page's outcome; the others are read
            return error

    def _text_layer(self, page: Page, options: RecognizeOptions) -> Recognition:
        """What was there to be taken."""
        # Here and not above, as in document_of(): beside an engine process nothing else needs NumPy and OpenCV.
        from ocr_core.layout.page import structure_of
        from ocr_core.rules.rules import ruled

        rules = self._batcher.rules(options.rules)
        found = ruled(rules, page.lines, include_characters=options.include_characters)
        structure = structure_of(found.lines) if options.include_structure else None
        timings = Timings(load_image_ms=page.load_ms, total_ms=page.load_ms)
        return Recognition(found.lines, page.width, page.height, "", "", timings, structure, fields=found.fields)

    async def _completed(
        self, page: Page | FailedPage, source: Answer | Recognition | Exception, done: int
    ) -> ReadPage:
        outcome: Recognition | Exception
        try:
            outcome = await source if isinstance(source, asyncio.Future) else source
        except Exception as error:  # noqa: BLE001 - sent as the page's outcome; the others are read
            outcome = error
        if isinstance(outcome, DeadlineExpired) and self._deadline - time.monotonic() < _EARLY_S:
            # No page ran out of its own time: that of the whole document is over.
            raise outcome
        found = None if isinstance(outcome, Exception) or isinstance(page, FailedPage) else page
        if found and found.image is not None and isinstance(outcome, Recognition):
            spent = Timings(load_image_ms=found.load_ms, total_ms=found.load_ms)
            outcome = replace(outcome, timings=outcome.timings + spent)
        return ReadPage(
            page_number=page.number,
            page_count=self._page_count,
            pages_done=done,
            pages_selected=self._selected,
            dpi=found.dpi if found else 0.0,
            source=found.source if found else None,
            outcome=outcome,
        )
