"""The ASGI application, put together."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from importlib.metadata import version
from pathlib import Path

import glyphwire
from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from fastapi.middleware.cors import CORSMiddleware
from fastapi.staticfiles import StaticFiles
from starlette.exceptions import HTTPException
from swagger_ui_bundle import swagger_ui_path

from gateway import job_routes, live, ocr_routes, operation_routes
from gateway.access import Access
from gateway.dependencies import Gateway
from gateway.frame import Frame, GatewayMetrics
from gateway.problems import ProblemError, on_error
from server.settings import Settings

_WEB = Path(__file__).parent / "web"


def create_app(settings: Settings, connect: Callable[[], glyphwire.AsyncOcrClient]) -> FastAPI:
    """connect: makes the client of the service, in the running loop. Raises SettingsInvalid for a bad token file."""
    metrics, access = GatewayMetrics(), Access(settings)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with connect() as client:
            app.state.gateway = Gateway(settings, client, metrics, access)
            yield
            app.state.gateway.close()

    app = FastAPI(
        title="Glyphwire",
        summary="Text in images and documents, with confidences and places.",
        version=version("glyphwire-server"),
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        openapi_url=operation_routes.OPENAPI_PATH,
    )
    for module in (ocr_routes, job_routes, live, operation_routes):
        app.include_router(module.router)
    app.mount(operation_routes.DOCS_ASSETS_PATH, StaticFiles(directory=swagger_ui_path))
    # Mounted at "/" they would take every path, also one of a route that has another method.
    app.router.default = StaticFiles(directory=_WEB, html=True)
    for kind in (ProblemError, glyphwire.OcrError, RequestValidationError, HTTPException, Exception):
        app.add_exception_handler(kind, on_error)
    if settings.http_cors_origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=settings.http_cors_origins,
            allow_methods=["*"],
            allow_headers=["authorization", "content-type", "x-request-id"],
            expose_headers=["x-request-id", "retry-after"],
        )
    app.add_middleware(Frame, metrics=metrics, max_body_bytes=settings.http_max_body_bytes)
    return app
