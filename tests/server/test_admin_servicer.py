"""AdminService in front of a real server whose models are fake."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

import grpc
import pytest
from glyphwire.v1 import admin_pb2, admin_pb2_grpc, ocr_pb2
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from tests.server.messages import failure, put_tokens, reached, request, texts
from tests.server.shelf_stages import ShelfStages, put_bundle

SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING


def bearer(name: str) -> tuple[tuple[str, str], ...]:
    """Metadata with the token of a client of the token file."""
    return (("authorization", f"Bearer {name}'s"),)


OPERATOR, SCANNER = bearer("operator"), bearer("scanner")


@dataclass
class Served:
    """A server, its stages, and calls of both services. models: its folder."""

    stages: ShelfStages
    running: object
    admin: admin_pb2_grpc.AdminServiceStub

    @property
    def models(self):
        return self.stages.models_dir

    async def read(self, text: str = "a", model: str = "") -> str:
        """What is read, signed, and the version that says it has read it."""
        answer = await self.running.stub.Recognize(request(text, model=model), metadata=SCANNER)
        return f"{' '.join(texts(answer.recognition))} {answer.recognition.model_version}"

    async def states(self) -> list[str]:
        """Of each version, the default in capitals."""
        answer = await self.admin.ListModelStates(admin_pb2.ListModelStatesRequest(), metadata=OPERATOR)
        return [state(status) for status in answer.models]

    async def health(self, name: str) -> int:
        """Of a model."""
        stub = health_pb2_grpc.HealthStub(self.running.channel)
        service = f"glyphwire.v1.OcrService/{name}"
        return (await stub.Check(health_pb2.HealthCheckRequest(service=service))).status


def state(status: admin_pb2.ModelStatus) -> str:
    """Version and state, in capitals for the default."""
    name = admin_pb2.ModelState.Name(status.state).removeprefix("MODEL_STATE_")
    return f"{status.version} {name if status.is_default else name.lower()}"


@pytest.fixture
def token_file(tmp_path):
    """An operator, who is an admin, and a scanner."""
    return put_tokens(tmp_path, operator="admin = true", scanner="")


@pytest.fixture
def stages(tmp_path) -> ShelfStages:
    """With version 1 of one model."""
    put_bundle(tmp_path / "models", "1", "¹")
    return ShelfStages(models_dir=tmp_path / "models")


@pytest.fixture
async def served(start_app, stages, token_file) -> Served:
    """A server with an operator's token."""
    running = await start_app(token_file=token_file)
    return Served(stages, running, admin_pb2_grpc.AdminServiceStub(running.channel))


async def test_a_new_version_is_loaded_and_the_old_one_unloaded(served):
    """Requests are read by the new version as soon as it is loaded; health and the list of models follow."""
    assert await served.read() == "a¹ 1"
    put_bundle(served.models, "2", "²")
    answer = await served.admin.LoadModel(admin_pb2.LoadModelRequest(model="tiny/2"), metadata=OPERATOR)
    assert [state(status) for status in answer.models] == ["1 ready", "2 READY"]
    assert [await served.read(model=model) for model in ("", "tiny", "tiny/1")] == ["a² 2", "a² 2", "a¹ 1"]
    assert await served.health("tiny/2") == SERVING
    await served.admin.UnloadModel(admin_pb2.UnloadModelRequest(model="tiny/1"), metadata=OPERATOR)
    assert await served.health("tiny/1") == NOT_SERVING
    assert await served.health("tiny") == SERVING
    listed = await served.running.stub.ListModels(ocr_pb2.ListModelsRequest(), metadata=SCANNER)
    assert [(model.version, model.is_default) for model in listed.models] == [("2", True)]


async def test_an_image_is_read_to_its_end_by_one_version(served):
    """An image that was begun before a change gets all its lines from the version it began with."""
    served.stages.read_gate.clear()
    reading = asyncio.ensure_future(served.read("a\nb\nc"))
    await reached(served.stages, 2)  # prepared, and the first line is being read
    put_bundle(served.models, "2", "²")
    await served.admin.LoadModel(admin_pb2.LoadModelRequest(model="tiny"), metadata=OPERATOR)
    answer = await served.admin.UnloadModel(admin_pb2.UnloadModelRequest(model="tiny/1"), metadata=OPERATOR)
    assert [(state(status), status.images) for status in answer.models] == [("1 unloading", 1), ("2 READY", 0)]
    after = asyncio.ensure_future(served.read("d"))
    served.stages.read_gate.set()
    assert await reading == "a¹ b¹ c¹ 1"
    assert await after == "d² 2"
    await asyncio.to_thread(served.stages.shelf.close)
    assert await served.states() == ["2 READY"]


async def test_reloads_under_load_mix_nothing(served):
    """While versions are replaced no call fails, and each image has the signs of the version that it names, alone."""
    signs, stop = {"1": "¹"}, asyncio.Event()

    async def read_until_stopped() -> list[tuple[str, str]]:
        seen = []
        while not stop.is_set():
            *lines, version = (await served.read("a\nb\nc")).split()
            seen.append((version, "".join(lines)))
        return seen

    readers = [asyncio.create_task(read_until_stopped()) for _ in range(4)]
    for number in range(2, 22):
        version, sign = str(number), chr(0xE000 + number)
        signs[version] = sign
        put_bundle(served.models, version, sign)
        await served.admin.ReloadModels(admin_pb2.ReloadModelsRequest(), metadata=OPERATOR)
        await served.admin.UnloadModel(admin_pb2.UnloadModelRequest(model=f"tiny/{number - 1}"), metadata=OPERATOR)
    stop.set()
    seen = [item for items in await asyncio.gather(*readers) for item in items]
    assert len({version for version, _ in seen}) > 1
    assert all(lines == f"a{signs[version]}b{signs[version]}c{signs[version]}" for version, lines in seen)


async def test_a_bundle_that_fails_changes_nothing(served):
    """The caller gets FAILED_PRECONDITION with the reason, the old version goes on, and the list says what is wrong."""
    put_bundle(served.models, "2", "²", broken=True)
    failed = await failure(served.admin.LoadModel(admin_pb2.LoadModelRequest(model="tiny"), metadata=OPERATOR))
    assert (failed.code, failed.info.reason) == (
        grpc.StatusCode.FAILED_PRECONDITION,
        "ERROR_REASON_MODEL_REJECTED",
    )
    assert "it reads nothing" in failed.message
    assert await served.read() == "a¹ 1"
    assert await served.states() == ["1 READY", "2 failed"]
    put_bundle(served.models, "2", "²")
    await served.admin.ReloadModels(admin_pb2.ReloadModelsRequest(), metadata=OPERATOR)
    assert await served.read() == "a² 2"


async def test_the_default_is_chosen(served):
    """A version that is the default answers to no name and to the bare name, and cannot be unloaded."""
    put_bundle(served.models, "2", "²")
    await served.admin.ReloadModels(admin_pb2.ReloadModelsRequest(), metadata=OPERATOR)
    answer = await served.admin.SetDefaultModel(admin_pb2.SetDefaultModelRequest(model="tiny/1"), metadata=OPERATOR)
    assert [state(status) for status in answer.models] == ["1 READY", "2 ready"]
    assert [await served.read(model=model) for model in ("", "tiny", "tiny/2")] == ["a¹ 1", "a¹ 1", "a² 2"]
    failed = await failure(served.admin.UnloadModel(admin_pb2.UnloadModelRequest(model="tiny/1"), metadata=OPERATOR))
    assert (failed.code, failed.info.reason) == (
        grpc.StatusCode.FAILED_PRECONDITION,
        "ERROR_REASON_MODEL_IS_DEFAULT",
    )


@pytest.mark.parametrize(
    ("model", "code", "reason"),
    [
        ("", grpc.StatusCode.INVALID_ARGUMENT, "ERROR_REASON_REQUEST_INVALID"),
        ("tiny/9", grpc.StatusCode.NOT_FOUND, "ERROR_REASON_MODEL_NOT_FOUND"),
        ("../tiny/1", grpc.StatusCode.NOT_FOUND, "ERROR_REASON_MODEL_NOT_FOUND"),
    ],
)
async def test_models_must_be_known(served, model, code, reason):
    """A missing or unknown name is the caller's fault, in every call that names one."""
    for call in (
        served.admin.LoadModel(admin_pb2.LoadModelRequest(model=model), metadata=OPERATOR),
        served.admin.UnloadModel(admin_pb2.UnloadModelRequest(model=model), metadata=OPERATOR),
        served.admin.SetDefaultModel(admin_pb2.SetDefaultModelRequest(model=model), metadata=OPERATOR),
    ):
        failed = await failure(call)
        assert (failed.code, failed.info.reason, failed.info.metadata["field"]) == (code, reason, "model")
    assert await served.states() == ["1 READY"]


@pytest.mark.parametrize(
    ("metadata", "code"),
    [
        ((), grpc.StatusCode.UNAUTHENTICATED),
        (bearer("nobody"), grpc.StatusCode.UNAUTHENTICATED),
        (SCANNER, grpc.StatusCode.PERMISSION_DENIED),
    ],
)
async def test_every_call_needs_an_admins_token(served, metadata, code):
    """Without a token, with an unknown one and with that of somebody else nothing is answered or changed."""
    put_bundle(served.models, "2", "²")
    for call in (
        served.admin.LoadModel(admin_pb2.LoadModelRequest(model="tiny/2"), metadata=metadata),
        served.admin.UnloadModel(admin_pb2.UnloadModelRequest(model="tiny/1"), metadata=metadata),
        served.admin.ReloadModels(admin_pb2.ReloadModelsRequest(), metadata=metadata),
        served.admin.SetDefaultModel(admin_pb2.SetDefaultModelRequest(model="tiny/1"), metadata=metadata),
        served.admin.ListModelStates(admin_pb2.ListModelStatesRequest(), metadata=metadata),
    ):
        assert (await failure(call)).code is code
    assert await served.states() == ["1 READY"]


@pytest.mark.parametrize("has_tokens", [True, False])
async def test_without_an_admins_token_there_is_no_service(start_app, tmp_path, has_tokens):
    """Servers without tokens, or with those of readers alone, do not have it; nor does reflection name it."""
    running = await start_app(token_file=put_tokens(tmp_path, scanner="") if has_tokens else None)
    admin = admin_pb2_grpc.AdminServiceStub(running.channel)
    failed = await failure(admin.ListModelStates(admin_pb2.ListModelStatesRequest(), metadata=SCANNER))
    assert failed.code is grpc.StatusCode.UNIMPLEMENTED
    reflection = reflection_pb2_grpc.ServerReflectionStub(running.channel)
    asked = iter([reflection_pb2.ServerReflectionRequest(list_services="")])
    answer = await reflection.ServerReflectionInfo(asked, metadata=SCANNER).read()
    names = {service.name for service in answer.list_services_response.service}
    assert "glyphwire.v1.OcrService" in names
    assert "glyphwire.v1.AdminService" not in names
