"""AdminClient against a real server whose models are fake."""

from __future__ import annotations

import asyncio

import glyphwire
import grpc
import pytest
from glyphwire import ModelState
from glyphwire.v1 import admin_pb2

from tests.server.messages import put_tokens
from tests.server.shelf_stages import ShelfStages, put_bundle


@pytest.fixture
def stages(tmp_path) -> ShelfStages:
    """With version 1 of one model."""
    put_bundle(tmp_path / "models", "1", "¹")
    return ShelfStages(models_dir=tmp_path / "models")


@pytest.fixture
async def target(start_app, tmp_path) -> str:
    """Of a server with an admin and another client."""
    path = put_tokens(tmp_path, operator="admin = true", scanner="")
    return (await start_app(token_file=path)).target


async def states(target: str, method: str, *arguments: str) -> list[tuple[str, ModelState, bool]]:
    """What a call returns, in short."""

    def call() -> tuple[glyphwire.ModelStatus, ...]:
        with glyphwire.AdminClient(target, token="operator's") as client:
            return getattr(client, method)(*arguments)

    return [(status.version, status.state, status.is_default) for status in await asyncio.to_thread(call)]


async def test_every_call_returns_what_there_is_after_it(target, stages):
    """Models are loaded, chosen, unloaded and listed."""
    one, two = ("1", ModelState.READY), ("2", ModelState.READY)
    assert await states(target, "list_model_states") == [(*one, True)]
    put_bundle(stages.models_dir, "2", "²")
    assert await states(target, "load_model", "tiny") == [(*one, False), (*two, True)]
    assert await states(target, "set_default_model", "tiny/1") == [(*one, True), (*two, False)]
    await states(target, "unload_model", "tiny/2")
    await asyncio.to_thread(stages.shelf.close)
    assert await states(target, "list_model_states") == [(*one, True)]
    put_bundle(stages.models_dir, "2", "²", broken=True)
    assert await states(target, "reload_models") == [(*one, True), ("2", ModelState.FAILED, False)]


async def test_failures_have_their_reason(target):
    """A model that is not there is NOT_FOUND, a token of somebody else is refused."""

    def load(token: str) -> glyphwire.OcrError:
        with glyphwire.AdminClient(target, token=token) as client, pytest.raises(glyphwire.OcrError) as caught:
            client.load_model("other")
        return caught.value

    missing, refused = await asyncio.to_thread(load, "operator's"), await asyncio.to_thread(load, "scanner's")
    assert (missing.reason, missing.field) == (glyphwire.ErrorReason.MODEL_NOT_FOUND, "model")
    assert (refused.code, refused.reason) == (
        grpc.StatusCode.PERMISSION_DENIED,
        glyphwire.ErrorReason.CALL_FORBIDDEN,
    )


def test_a_token_does_not_cross_a_network_in_plain_text():
    """Without TLS it is sent to this machine alone."""
    with pytest.raises(ValueError, match="plain text"):
        glyphwire.AdminClient("ocr.example:50051", token="secret")


def test_states_are_those_of_the_contract():
    """ModelState has the names and numbers of the contract's enum."""
    names = {f"MODEL_STATE_{state.name}": state.value for state in ModelState}
    assert names == dict(admin_pb2.ModelState.items())


def test_states_of_a_newer_server_are_unspecified():
    """A state that this client does not know is UNSPECIFIED."""
    (status,) = glyphwire._responses.model_statuses([admin_pb2.ModelStatus(name="tiny", state=99)])
    assert status.state is ModelState.UNSPECIFIED
