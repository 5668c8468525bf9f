"""The ASGI application: routes, and what they share."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any

import glyphwire
from fastapi import Depends, FastAPI, Request, Response, WebSocket
from fastapi.exceptions import RequestValidationError
from fastapi.middleware.cors import CORSMiddleware
from fastapi.openapi.docs import get_swagger_ui_html
from fastapi.responses import JSONResponse
from fastapi.staticfiles import StaticFiles
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.exceptions import HTTPException
from swagger_ui_bundle import swagger_ui_path

from gateway import problems
from gateway.access import Access, token_subprotocol
from gateway.answers import (
    BatchAnswer,
    FailedAnswer,
    ModelAnswer,
    PageAnswer,
    batch_answer,
    dumped,
    model_answer,
    page_answer,
)
from gateway.formats import formatted
from gateway.frame import Frame, GatewayMetrics
from gateway.job_routes import job_router
from gateway.jobs import Jobs
from gateway.live import serve_live
from gateway.options import OcrOptions, OutputFormat
from gateway.problems import Problem, ProblemError
from gateway.reading import Reader
from gateway.uploads import read_submission
from server.settings import Settings

_WEB = Path(__file__).parent / "web"

_FAILURES: dict[int | str, dict[str, Any]] = {
    status: {"model": Problem, "content": {problems.MEDIA_TYPE: {}}} for status in (400, 401, 413, 415, 429, 503, 504)
}
_FILES = {"type": "array", "items": {"type": "string", "format": "binary"}}


class Gateway:
    """What the routes share while the application runs."""

    def __init__(self, settings: Settings, client: glyphwire.AsyncOcrClient, metrics: GatewayMetrics) -> None:
        self.settings = settings
        self.client = client
        self.metrics = metrics
        self.access = Access(settings)
        self.reader = Reader(client, settings.http_timeout_s, settings.http_document_timeout_s)
        self.jobs = Jobs(self.reader, metrics, settings.http_max_jobs, settings.http_job_kept_s)


def create_app(settings: Settings, connect: Callable[[], glyphwire.AsyncOcrClient]) -> FastAPI:
    """connect: makes the client of the service, in the running loop."""
    metrics = GatewayMetrics()

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with connect() as client:
            app.state.gateway = Gateway(settings, client, metrics)
            try:
                yield
            finally:
                app.state.gateway.jobs.close()

    app = FastAPI(
        title="Glyphwire",
        summary="Text in images and documents, with confidences and places.",
        version=version("glyphwire-server"),
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        openapi_url="/api/openapi.json",
    )
    _add_ocr(app)
    _add_operations(app)
    app.include_router(job_router(gateway_of, caller_of))
    app.add_api_websocket_route("/api/live", _live)
    app.mount("/api/docs/assets", StaticFiles(directory=swagger_ui_path))
    app.mount("/", StaticFiles(directory=_WEB, html=True))
    app.add_exception_handler(ProblemError, problems.on_problem)
    app.add_exception_handler(glyphwire.OcrError, problems.on_ocr_error)
    app.add_exception_handler(RequestValidationError, problems.on_invalid)
    app.add_exception_handler(HTTPException, problems.on_http_error)
    app.add_exception_handler(Exception, problems.on_our_fault)
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


def gateway_of(request: Request) -> Gateway:
    """Dependency: what the routes share."""
    gateway: Gateway = request.app.state.gateway
    return gateway


async def caller_of(request: Request) -> AsyncIterator[str]:
    """Dependency: the name of the caller, counted as long as the request lasts."""
    async with gateway_of(request).access.call(request) as name:
        yield name


def _add_ocr(app: FastAPI) -> None:
    async def ocr(request: Request, gateway: Annotated[Gateway, Depends(gateway_of)]) -> Response:
        """Read one or several images, or the pages of a document.

        One image is answered with a PageAnswer; several, or the pages of a document, with a BatchAnswer. Files come as
        parts of a form, in Base64 as `image` or `images` of a JSON object, or one as the whole body; options as
        fields beside them, or in the query.
        """
        arrived = time.perf_counter()
        submission = await read_submission(request, gateway.settings.max_batch_items)
        options = submission.options(OcrOptions)
        pages = await gateway.reader.read(submission.uploads, options)
        if options.format is not OutputFormat.JSON:
            return formatted(pages, options.format)
        seconds = time.perf_counter() - arrived
        if submission.is_batch or len(pages) > 1:
            return _json(batch_answer(pages, seconds, plain=options.plain))
        answer = page_answer(pages[0], plain=options.plain)
        return problems.answer(answer.error) if isinstance(answer, FailedAnswer) else _json(answer)

    for path in ("/api/ocr", "/ocr"):
        app.add_api_route(
            path,
            ocr,
            methods=["POST"],
            tags=["ocr"],
            dependencies=[Depends(caller_of)],
            responses=_FAILURES | {200: {"model": PageAnswer | BatchAnswer}},
            openapi_extra={"requestBody": _body()},
            include_in_schema=path == "/api/ocr",
        )


def _body() -> dict[str, Any]:
    options = OcrOptions.model_json_schema(ref_template="#/components/schemas/{model}")
    fields = options["properties"]
    for name, inner in options.get("$defs", {}).items():
        fields = _inlined(fields, name, inner)
    as_form = {"type": "object", "properties": {"file": _FILES, **fields}}
    text = {"type": "string", "format": "byte"}
    as_json = {
        "type": "object",
        "properties": {"image": text, "images": {"type": "array", "items": text}, **fields},
    }
    raw = {"schema": {"type": "string", "format": "binary"}}
    return {
        "required": True,
        "content": {
            "multipart/form-data": {"schema": as_form},
            "application/json": {"schema": as_json},
            "image/*": raw,
            "application/pdf": raw,
        },
    }


def _inlined(value: Any, name: str, inner: Any) -> Any:  # noqa: ANN401 - any JSON
    """A schema without references to one of its parts."""
    if isinstance(value, dict):
        if value.get("$ref") == f"#/components/schemas/{name}":
            return {**inner, **{key: _inlined(item, name, inner) for key, item in value.items() if key != "$ref"}}
        return {key: _inlined(item, name, inner) for key, item in value.items()}
    return [_inlined(item, name, inner) for item in value] if isinstance(value, list) else value


def _add_operations(app: FastAPI) -> None:
    @app.get("/api/models", tags=["models"], dependencies=[Depends(caller_of)], responses={503: _FAILURES[503]})
    async def models(gateway: Annotated[Gateway, Depends(gateway_of)]) -> list[ModelAnswer]:
        """The models that requests can name."""
        return [model_answer(model) for model in await gateway.client.list_models()]

    @app.get("/api/health", tags=["operations"])
    async def health() -> dict[str, str]:
        """Whether the gateway runs."""
        return {"status": "ok"}

    @app.get("/api/ready", tags=["operations"], responses={503: _FAILURES[503]})
    async def ready(gateway: Annotated[Gateway, Depends(gateway_of)]) -> dict[str, str]:
        """Whether the service behind the gateway can read."""
        await gateway.client.wait_ready(timeout_s=1.0)
        return {"status": "ok"}

    @app.get("/metrics", tags=["operations"], response_class=Response)
    async def metrics(gateway: Annotated[Gateway, Depends(gateway_of)]) -> Response:
        """For Prometheus."""
        gateway.jobs.show()
        return Response(generate_latest(gateway.metrics.registry), media_type=CONTENT_TYPE_LATEST)

    @app.get("/api/docs", include_in_schema=False)
    async def docs() -> Response:
        page = get_swagger_ui_html(
            openapi_url="/api/openapi.json",
            title="Glyphwire",
            swagger_js_url="/api/docs/assets/swagger-ui-bundle.js",
            swagger_css_url="/api/docs/assets/swagger-ui.css",
            swagger_favicon_url="/icon.svg",
        )
        # The page starts itself by a script of its own.
        page.headers["content-security-policy"] = "default-src 'self' 'unsafe-inline'; img-src 'self' data:"
        return page


async def _live(socket: WebSocket) -> None:
    gateway: Gateway = socket.app.state.gateway
    async with AsyncExitStack() as stack:
        try:
            if not _is_same_origin(socket, gateway.settings.http_cors_origins):
                raise problems.refused(403, "CALL_FORBIDDEN", "the page comes from elsewhere")
            await stack.enter_async_context(gateway.access.call(socket))
        except ProblemError as error:
            await socket.send_denial_response(JSONResponse(dumped(error.problem), error.problem.status))
            return
        await socket.accept(token_subprotocol(socket))
        with gateway.metrics.live.track_inprogress():
            await serve_live(socket, gateway.client, gateway.settings.max_image_bytes)


def _is_same_origin(socket: WebSocket, others: tuple[str, ...]) -> bool:
    """Browsers let any page open a WebSocket; they say from where."""
    origin = socket.headers.get("origin")
    if origin is None or origin in others or "*" in others:
        return True
    return origin.partition("://")[2] == socket.headers.get("host")


def _json(answer: PageAnswer | BatchAnswer | FailedAnswer) -> Response:
    return Response(answer.model_dump_json(exclude_none=True), media_type="application/json")
