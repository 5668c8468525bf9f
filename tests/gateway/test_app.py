"""The application as a whole."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from gateway.options import OcrOptions
from tests.gateway.conftest import GatewayClient


def references(described: Any) -> Iterator[str]:
    """All that point elsewhere in a description."""
    if isinstance(described, dict):
        if isinstance(described.get("$ref"), str):
            yield described["$ref"]
        for value in described.values():
            yield from references(value)
    elif isinstance(described, list):
        for value in described:
            yield from references(value)


async def test_the_description_is_whole(gateway: GatewayClient):
    """Every option and every kind of answer is in it, problems by their media type, and no reference leads nowhere."""
    described = (await gateway.get("/api/openapi.json")).json()
    paths, schemas = described["paths"], described["components"]["schemas"]
    assert {reference.rpartition("/")[2] for reference in references(described)} <= schemas.keys()
    for path in ("/api/ocr", "/api/jobs"):
        form = paths[path]["post"]["requestBody"]["content"]["multipart/form-data"]["schema"]["properties"]
        assert form.keys() == OcrOptions.model_fields.keys() | {"file"}
        assert all("description" in form[name] for name in OcrOptions.model_fields)
    assert paths["/api/ocr"]["post"]["responses"]["4XX"]["content"].keys() == {"application/problem+json"}
    assert "422" not in paths["/api/jobs/{job_id}/result"]["get"]["responses"]
    picture = paths["/api/jobs/{job_id}/pages/{number}/picture"]["get"]["responses"]["200"]["content"]
    assert picture == {"image/jpeg": {"schema": {"type": "string", "format": "binary"}}}
    assert {"Problem", "PageAnswer", "BatchAnswer", "JobAnswer", "StructureAnswer", "TableAnswer"} <= schemas.keys()


async def test_a_path_says_which_methods_it_has(gateway: GatewayClient):
    """A page's folder does not hide them: another method gets 405 with those that there are, an unknown path 404."""
    refused = await gateway.get("/api/ocr")
    assert (refused.status_code, refused.headers["allow"]) == (405, "POST")
    assert refused.json()["reason"] == "METHOD_NOT_ALLOWED"
    assert (await gateway.get("/api/nothing")).status_code == 404
    assert (await gateway.get("/")).headers["content-type"].startswith("text/html")
