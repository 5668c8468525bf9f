"""What the routes share while the application runs, and who calls them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Annotated

import glyphwire
from fastapi import Depends
from starlette.requests import HTTPConnection, Request

from gateway.access import Access
from gateway.frame import GatewayMetrics
from gateway.jobs import Jobs
from gateway.pdf_writer import PdfWriter
from gateway.pictures import Pictures
from gateway.reading import Reader
from server.settings import Settings


class Gateway:
    """Construct in a running event loop; client: of the service, ready to use."""

    def __init__(
        self, settings: Settings, client: glyphwire.AsyncOcrClient, metrics: GatewayMetrics, access: Access
    ) -> None:
        self.settings = settings
        self.client = client
        self.metrics = metrics
        self.access = access
        self.reader = Reader(client, settings.http_timeout_s, settings.http_document_timeout_s)
        self.pdfs = PdfWriter(settings.image_limits)
        self.pictures = Pictures(settings.document_limits)
        self.jobs = Jobs(self.reader, metrics, settings.http_max_jobs, settings.http_job_kept_s)

    def close(self) -> None:
        """End what goes on in the background."""
        self.jobs.close()
        self.pdfs.close()


def gateway_of(connection: HTTPConnection) -> Gateway:
    """Of the application that answers."""
    gateway: Gateway = connection.app.state.gateway
    return gateway


async def _shared(request: Request) -> Gateway:
    # A function that is not async would be run in a thread: a fifth of what the gateway costs.
    return gateway_of(request)


async def _caller(request: Request) -> AsyncIterator[str]:
    async with gateway_of(request).access.call(request) as name:
        yield name


Shared = Annotated[Gateway, Depends(_shared)]
Caller = Annotated[str, Depends(_caller)]
"""Name of the caller, who is counted as long as the request lasts; "" for nobody."""
