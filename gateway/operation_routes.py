"""Models, health, metrics, and the description of the interface."""

from __future__ import annotations

from fastapi import APIRouter, Response
from fastapi.openapi.docs import get_swagger_ui_html
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from gateway.answers import ModelAnswer, model_answer
from gateway.dependencies import Caller, Shared
from gateway.problems import RESPONSES

OPENAPI_PATH = "/api/openapi.json"
DOCS_ASSETS_PATH = "/api/docs/assets"

router = APIRouter(tags=["operations"])


@router.get("/api/models", responses=RESPONSES)
async def models(gateway: Shared, caller: Caller) -> list[ModelAnswer]:
    """The models that requests can name."""
    del caller
    return [model_answer(model) for model in await gateway.client.list_models()]


@router.get("/api/health")
async def health() -> dict[str, str]:
    """Whether the gateway runs."""
    return {"status": "ok"}


@router.get("/api/ready", responses=RESPONSES)
async def ready(gateway: Shared) -> dict[str, str]:
    """Whether the service behind the gateway can read."""
    await gateway.client.wait_ready(timeout_s=1.0)
    return {"status": "ok"}


@router.get("/metrics", response_class=Response)
async def metrics(gateway: Shared) -> Response:
    """For Prometheus."""
    gateway.jobs.show()
    return Response(generate_latest(gateway.metrics.registry), media_type=CONTENT_TYPE_LATEST)


@router.get("/api/docs", include_in_schema=False)
async def docs() -> Response:
    """Swagger UI, from our own files."""
    page = get_swagger_ui_html(
        openapi_url=OPENAPI_PATH,
        title="Glyphwire",
        swagger_js_url=f"{DOCS_ASSETS_PATH}/swagger-ui-bundle.js",
        swagger_css_url=f"{DOCS_ASSETS_PATH}/swagger-ui.css",
        swagger_favicon_url="/icon.svg",
    )
    # The page starts itself by a script of its own.
    page.headers["content-security-policy"] = "default-src 'self' 'unsafe-inline'; img-src 'self' data:"
    return page
