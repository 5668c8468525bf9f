"""One RecognizeDocument call: the file comes bit by bit, then its pages are answered."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Hashable
from contextlib import aclosing, asynccontextmanager
from functools import partial
from typing import BinaryIO

from glyphwire.v1 import ocr_pb2

from ocr_core.types import Recognition
from server import convert_document
from server.batcher import Batcher
from server.calls import note_item
from server.document_reading import DocumentJob, DocumentReading
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
    async def _received(self) -> AsyncIterator[tuple[BinaryIO, DocumentJob]]:
        """The whole document, in a file."""
        first = await anext(self._requests, None)
        if first is None or first.WhichOneof("message") != "config":
            raise RequestInvalid("the first message must be the configuration of the document", "config")
        wanted = convert_document.document_job(first.config)
        await self._batcher.check_model(wanted.job.options.model)
        with self._batcher.documents.spool() as spool:
            async for message in self._requests:
                if message.WhichOneof("message") != "chunk":
                    raise RequestInvalid("every message after the first must be a part of the document", "chunk")
                spool.reserve(len(message.chunk))
                self._limits.check_bytes(spool.size)
                await self._batcher.aside(partial(spool.file.write, message.chunk))
            yield spool.file, wanted
