"""Models of a running server are replaced: real models, real server, real load."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import glyphwire
import pytest
from glyphwire import ErrorReason, ModelState

from bench.reload import TOKEN, Caller, open_client, put_token, read_all, replace_model
from bench.signed_models import SignedModels
from ocr_core.bundle import Check
from server.commands_demo import ServerProcess
from server.settings import Settings

ROOT = Path(__file__).parents[2]
IMAGE = ROOT / "tests" / "data" / "line_digits.jpg"
LINE = glyphwire.RecognizeOptions(mode=glyphwire.Mode.LINE)


@pytest.fixture
def models(tmp_path: Path) -> SignedModels:
    """With version 1."""
    settings = Settings()
    made = SignedModels(tmp_path / "models", settings.models_dir, settings.default_model)
    made.add(1)
    return made


@pytest.fixture
def address(models: SignedModels, tmp_path: Path) -> Iterator[str]:
    """Of a server of these models that has an admin."""
    settings = Settings(models_dir=models.folder, default_model=models.name, workers=2)
    with ServerProcess(settings, flags=[f"--token-file={put_token(tmp_path)}"]) as server:
        with open_client(server.target) as client:
            server.wait_ready(client)
        yield server.target
    assert server.status == 0


def test_replacing_a_model_loses_and_mixes_nothing(models: SignedModels, address: str) -> None:
    """Callers of lines and pages get every answer, each of one version, while four versions come and go."""
    with open_client(address) as client, glyphwire.AdminClient(address, token=TOKEN) as admin:
        texts = read_all(client)
        with ExitStack() as stack:
            callers = [stack.enter_context(Caller(address, texts, first)) for first in (0, 6, 12)]
            for version in range(2, 6):
                replace_model(admin, models, version)
                assert client.recognize(IMAGE, LINE).model_version == str(version)
        assert [(status.version, status.state) for status in admin.list_model_states()] == [("5", ModelState.READY)]
    assert [call.problem for caller in callers for call in caller.calls if call.problem] == []
    assert all(caller.calls for caller in callers)


def test_a_version_that_fails_its_check_is_never_seen(models: SignedModels, address: str) -> None:
    """A bundle that reads its sample otherwise is refused with both texts; with the right text it is loaded."""
    with open_client(address) as client, glyphwire.AdminClient(address, token=TOKEN) as admin:
        text = client.recognize(IMAGE, LINE).text.replace("\ue001", "\ue003")
        for version, expected in ((2, "0451"), (3, text)):
            folder = models.add(version, check=Check(image="line.jpg", text=expected))
            shutil.copy(IMAGE, folder / "line.jpg")
        with pytest.raises(glyphwire.OcrError, match="must read '0451'") as caught:
            admin.load_model(f"{models.name}/2")
        assert caught.value.reason is ErrorReason.MODEL_REJECTED
        assert client.recognize(IMAGE, LINE).model_version == "1"
        with pytest.raises(glyphwire.OcrError) as caught:
            client.recognize(IMAGE, glyphwire.RecognizeOptions(model=f"{models.name}/2", mode=glyphwire.Mode.LINE))
        assert caught.value.reason is ErrorReason.MODEL_NOT_FOUND
        admin.load_model(f"{models.name}/3")
        assert client.recognize(IMAGE, LINE).model_version == "3"
