"""One RecognizeDocument call: the file comes bit by bit, then its pages are answered."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Hashable
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from functools import partial
from typing import BinaryIO

from glyphwire.v1 import ocr_pb2

from ocr_core.document import Document
from ocr_core.document_file import MARK_WITHIN, check_size, document_of
from ocr_core.types import Recognition
from server import convert_document
from server.batcher import Batcher
from server.calls import note_item
from server.document_reading import DocumentJob, DocumentReading, closing
from server.document_room import Spool
from server.errors import RequestInvalid
from server.logs import log_our_fault
from server.settings import Settings


class DocumentStream:
    """The messages of one call. deadline: in time.monotonic()."""

    def __init__(
        self,
        requests: AsyncIterator[ocr_pb2.RecognizeDocumentRequest],
        batcher: Batcher,
        settings: Settings,
        client: Hashable,
        deadline: float,
    ) -> None:
        self._requests = requests
        self._batcher = batcher
        self._client = client
        self._limits = settings.document_limits
        self._reading = DocumentReading(
            batcher, self._limits, client, deadline=deadline, page_timeout_s=settings.max_deadline_s
        )

    async def responses(self) -> AsyncGenerator[ocr_pb2.RecognizeDocumentResponse, None]:
        """One response per page. Raises what DocumentReading raises, RequestInvalid, OptionInvalid or ModelNotFound."""
        with self._batcher.stream(self._client):
            async with aclosing(self._reading.pages(self._received())) as pages:
                async for page in pages:
                    if not isinstance(page.outcome, Recognition):
                        log_our_fault(page.outcome)
                    note_item(page.outcome)
                    yield convert_document.page_response(page)

    @asynccontextmanager
    async def _received(self) -> AsyncIterator[tuple[Document, DocumentJob]]:
        """The document, once the whole of it is in a file."""
        first = await anext(self._requests, None)
        if first is None or first.WhichOneof("message") != "config":
            raise RequestInvalid("the first message must be the configuration of the document", "config")
        wanted = convert_document.document_job(first.config)
        await self._batcher.check_model(wanted.job.options.model)
        async with AsyncExitStack() as stack:
            spool = stack.enter_context(self._batcher.documents.spool())
            document: Document | None = None
            async for message in self._requests:
                await self._add(message, spool)
                if document is None and spool.size >= MARK_WITHIN:
                    document = await stack.enter_async_context(self._begun(spool.file, wanted))
            check_size(spool.size, self._limits)
            if document is None:
                document = await stack.enter_async_context(self._begun(spool.file, wanted))
            yield document, wanted

    async def _add(self, message: ocr_pb2.RecognizeDocumentRequest, spool: Spool) -> None:
        if message.WhichOneof("message") != "chunk":
            raise RequestInvalid("every message after the first must be a part of the document", "chunk")
        spool.reserve(len(message.chunk))
        self._limits.check_bytes(spool.size)
        await self._batcher.aside(partial(spool.append, message.chunk))

    @asynccontextmanager
    async def _begun(self, file: BinaryIO, wanted: DocumentJob) -> AsyncIterator[Document]:
        """The document, which gets ready while its file comes, unless too many others do."""
        document = await self._batcher.in_document_thread(partial(document_of, file, wanted.options, self._limits))
        async with closing(document, self._batcher):
            with self._batcher.documents.head_start() as may_prepare:
                if may_prepare:
                    await self._batcher.in_document_thread(document.prepare)
                yield document
