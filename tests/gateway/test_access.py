"""Tokens, limits, other origins, and what every answer has."""

from __future__ import annotations

import pytest

from server.cli import main
from tests.gateway.conftest import GatewayClient
from tests.pdf_files import text_pdf
from tests.server.messages import put_tokens


def bearer(name: str) -> dict[str, str]:
    """The header of a caller."""
    return {"authorization": f"Bearer {name}'s token"}


async def test_callers_need_a_token(start_gateway, token_file):
    """Without one, or with an unknown one, nothing is read; health and the page are for everybody."""
    gateway = await start_gateway(http_token_file=token_file)
    for headers in ({}, bearer("eve"), {"authorization": "Basic abc"}):
        response = await gateway.post("/api/ocr", content=b"one", headers=headers)
        assert (response.status_code, response.json()["reason"]) == (401, "TOKEN_INVALID")
        assert response.headers["www-authenticate"] == "Bearer"
    assert (await gateway.post("/api/ocr", content=b"one", headers=bearer("bob"))).status_code == 200
    assert (await gateway.get("/api/health")).status_code == 200
    assert (await gateway.get("/")).status_code == 200


def test_a_token_file_that_cannot_be_read_is_told_at_once(capsys, tmp_path):
    """As with a server: before anything is served, with status 2 and no traceback."""
    assert main(["gateway", "--http-token-file", str(tmp_path / "nowhere.toml")]) == 2
    assert capsys.readouterr().err.startswith("glyphwire: the token file cannot be read: ")


class TestAServerThatRefusesTheGateway:
    """It wants a token, which the gateway has not."""

    @pytest.fixture
    async def running(self, start_app, tmp_path):
        """The server behind the gateway."""
        return await start_app(token_file=put_tokens(tmp_path, other=""))

    @pytest.mark.parametrize("is_document", [False, True])
    async def test_callers_are_not_asked_for_a_token(self, gateway: GatewayClient, is_document):
        """Theirs would not help: it is the gateway that has to get one."""
        content = text_pdf("A line that is long enough") if is_document else b"one"
        response = await gateway.post("/api/ocr", content=content)
        assert (response.status_code, response.json()["reason"]) == (502, "SERVER_UNAUTHENTICATED")
        assert "www-authenticate" not in response.headers


async def test_tokens_have_limits(start_gateway, token_file):
    """Too many calls of one token are refused, with the time to wait; others go on."""
    gateway = await start_gateway(http_token_file=token_file)
    assert (await gateway.get("/api/models", headers=bearer("ann"))).status_code == 200
    response = await gateway.get("/api/models", headers=bearer("ann"))
    assert (response.status_code, response.json()["reason"]) == (429, "CLIENT_LIMIT")
    assert int(response.headers["retry-after"]) > 1000
    assert (await gateway.get("/api/models", headers=bearer("bob"))).status_code == 200


async def test_addresses_have_a_rate(start_gateway):
    """So many calls per minute, then they have to wait."""
    gateway = await start_gateway(http_calls_per_minute=2)
    codes = [(await gateway.get("/api/models")).status_code for _ in range(3)]
    assert codes == [200, 200, 429]


async def test_jobs_belong_to_their_caller(start_gateway, token_file):
    """Who knows the id of somebody else's job finds none."""
    gateway = await start_gateway(http_token_file=token_file)
    response = await gateway.post("/api/jobs", content=b"%PDF-", headers=bearer("bob"))
    path = response.headers["location"]
    assert (await gateway.get(path, headers=bearer("ann"))).json()["reason"] == "JOB_NOT_FOUND"
    assert (await gateway.get(path, headers=bearer("bob"))).status_code == 200


async def test_other_origins_are_off(start_gateway):
    """Pages from elsewhere may call only where that was asked for."""
    preflight = {"origin": "https://a.example", "access-control-request-method": "POST"}
    closed, opened = await start_gateway(), await start_gateway(http_cors_origins="https://a.example")
    assert "access-control-allow-origin" not in (await closed.options("/api/ocr", headers=preflight)).headers
    allowed = await opened.options("/api/ocr", headers=preflight)
    assert allowed.headers["access-control-allow-origin"] == "https://a.example"


async def test_answers_have_an_id_and_safe_headers(gateway: GatewayClient):
    """The caller's own request id comes back; browsers run nothing from elsewhere."""
    response = await gateway.get("/api/health", headers={"x-request-id": "mine"})
    assert response.headers["x-request-id"] == "mine"
    assert response.headers["content-security-policy"].startswith("default-src 'self'")
    assert len((await gateway.get("/api/health")).headers["x-request-id"]) == 32


async def test_operations(gateway: GatewayClient):
    """Models, health, metrics and the description of the interface."""
    assert [model["name"] for model in (await gateway.get("/api/models")).json()] == ["fake", "other"]
    assert (await gateway.get("/api/ready")).json() == {"status": "ok"}
    await gateway.post("/api/ocr", content=b"one")
    assert 'glyphwire_http_requests_total{route="/api/ocr",status="200"} 1.0' in (await gateway.get("/metrics")).text
    described = (await gateway.get("/api/openapi.json")).json()
    body = described["paths"]["/api/ocr"]["post"]["requestBody"]["content"]
    assert {"multipart/form-data", "application/json", "application/pdf"} <= body.keys()
    assert body["multipart/form-data"]["schema"]["properties"]["mode"]["enum"] == ["line", "page"]
    assert "swagger-ui-bundle.js" in (await gateway.get("/api/docs")).text
    assert (await gateway.get("/api/docs/assets/swagger-ui-bundle.js")).status_code == 200
    await gateway.server.app.stop()
    assert (await gateway.get("/api/ready")).status_code in {503, 504}
