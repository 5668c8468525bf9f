"""Tests of ocr_core.model_shelf, on bundles that need no engine."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from weakref import ref

import pytest

from ocr_core.bundle import Kind, ModelBundle
from ocr_core.errors import BundleInvalid, ModelIsDefault, ModelNotFound, ModelRejected
from ocr_core.model_agreement import ModelAgreement
from ocr_core.model_shelf import ModelShelf
from ocr_core.model_status import ModelState
from tests.ocr_core.test_bundle import make_bundle


class FakeRecognizer:
    """What a bundle is loaded into."""

    def __init__(self, bundle: ModelBundle, folder: Path) -> None:
        if (folder / "broken").exists():
            raise BundleInvalid("it reads nothing")
        self.characters = bundle.characters


def started(models_dir: Path, default: str = "tiny", **changes) -> ModelShelf:
    shelf = ModelShelf(models_dir, default, **({"make": FakeRecognizer} | changes))
    shelf.start()
    return shelf


def replace_bundle(models_dir: Path, version: str, **changes) -> None:
    """Another bundle in the folder of one that is there."""
    for file in (models_dir / "tiny" / version).iterdir():
        file.unlink()
    (models_dir / "tiny" / version).rmdir()
    make_bundle(models_dir, "tiny", version, **changes)


def version(shelf: ModelShelf, name: str) -> str:
    return shelf.lease(name).model.bundle.version


def states(shelf: ModelShelf) -> list[tuple[str, ModelState]]:
    return [(f"{status.name}/{status.version}", status.state) for status in shelf.statuses()]


def test_every_recogniser_is_loaded_at_the_start(tmp_path):
    """All versions can be named; the newest answers to the bare name, and to no name at all when it is the default."""
    for number in ("2", "10", "9"):
        make_bundle(tmp_path, "tiny", number)
    make_bundle(tmp_path, "other", "1")
    make_bundle(tmp_path, "lines", "1", kind=Kind.DETECTOR, characters=())
    shelf = started(tmp_path)
    assert [(info.name, info.version, info.is_default) for info in shelf.infos()] == [
        ("other", "1", False),
        ("tiny", "2", False),
        ("tiny", "9", False),
        ("tiny", "10", True),
    ]
    assert [version(shelf, name) for name in ("", "tiny", "tiny/9")] == ["10", "10", "9"]
    with pytest.raises(ModelNotFound):
        shelf.lease("lines")


def test_a_default_with_a_version_is_pinned(tmp_path):
    """It answers to the bare name too, however new the others are."""
    make_bundle(tmp_path, version="1")
    shelf = started(tmp_path, default="tiny/1")
    make_bundle(tmp_path, version="2")
    shelf.reload()
    assert [version(shelf, name) for name in ("", "tiny", "tiny/2")] == ["1", "1", "2"]
    shelf.set_default("tiny")
    assert version(shelf, "") == version(shelf, "tiny") == "2"


@pytest.mark.parametrize("default", ["nothing", "tiny/2", "lines"])
def test_without_its_default_nothing_starts(tmp_path, default):
    """A default that is missing, or no recogniser, is named."""
    make_bundle(tmp_path)
    make_bundle(tmp_path, "lines", kind=Kind.DETECTOR)
    with pytest.raises(ModelNotFound, match=default):
        started(tmp_path, default=default)


@pytest.mark.parametrize("name", ["tiny", "tiny/2"])
def test_a_new_version_takes_over(tmp_path, name):
    """What is new answers at once; the version that was there before stays until it is unloaded."""
    make_bundle(tmp_path, version="1")
    shelf = started(tmp_path)
    make_bundle(tmp_path, version="2")
    assert version(shelf, "tiny") == "1"
    shelf.load(name)
    assert version(shelf, "tiny") == "2"
    assert version(shelf, "tiny/1") == "1"
    shelf.unload("tiny/1")
    with pytest.raises(ModelNotFound):
        shelf.lease("tiny/1")


def test_an_image_keeps_what_it_began_with(tmp_path):
    """A lease taken before a change is of the old recogniser, one taken after it of the new, in one version as well."""
    make_bundle(tmp_path, characters=("a",))
    shelf = started(tmp_path)
    before = shelf.lease("tiny/1")
    replace_bundle(tmp_path, "1", characters=("b",))
    shelf.reload()
    after = shelf.lease("tiny/1")
    assert [lease.model.recognizer.characters for lease in (before, after)] == [("a",), ("b",)]
    assert before.model.serial != after.model.serial


def test_a_model_is_freed_when_its_last_image_is_read(tmp_path):
    """Unloaded models are listed, with their images, as long as they are in use, and then they are gone."""
    make_bundle(tmp_path, version="1")
    make_bundle(tmp_path, version="2")
    shelf = started(tmp_path)
    images = [shelf.lease("tiny/1") for _ in range(2)]
    old = ref(images[0].model.recognizer)
    shelf.unload("tiny/1")
    (status, _) = shelf.statuses()
    assert (status.version, status.state, status.images) == ("1", ModelState.UNLOADING, 2)
    images.pop()
    assert old() is not None
    images.pop()
    shelf.close()
    assert old() is None
    assert states(shelf) == [("tiny/2", ModelState.READY)]


def test_what_is_loaded_already_stays(tmp_path):
    """Loading a bundle that has not changed does nothing."""
    make_bundle(tmp_path)
    shelf = started(tmp_path)
    serial = shelf.lease("").model.serial
    shelf.load("tiny/1")
    shelf.reload()
    assert shelf.lease("").model.serial == serial


def break_check(models_dir: Path) -> None:
    make_bundle(models_dir, version="2")
    (models_dir / "tiny" / "2" / "broken").touch()


def break_weights(models_dir: Path) -> None:
    make_bundle(models_dir, version="2")
    (models_dir / "tiny" / "2" / "model.bin").write_bytes(b"half of it")


def break_graph(models_dir: Path) -> None:
    make_bundle(models_dir, version="2")
    (models_dir / "tiny" / "2" / "model.xml").unlink()


@pytest.mark.parametrize(
    ("break_bundle", "reason"),
    [(break_check, "it reads nothing"), (break_weights, "SHA-256"), (break_graph, "model.xml")],
)
def test_what_fails_leaves_the_old_one(tmp_path, break_bundle: Callable[[Path], None], reason):
    """A bundle that is broken or fails its check is refused with the reason, which is listed until it is repaired."""
    make_bundle(tmp_path, version="1")
    shelf = started(tmp_path)
    break_bundle(tmp_path)
    with pytest.raises(ModelRejected, match=reason):
        shelf.load("tiny/2")
    assert version(shelf, "tiny") == "1"
    assert states(shelf) == [("tiny/1", ModelState.READY), ("tiny/2", ModelState.FAILED)]
    assert reason in shelf.statuses()[1].reason
    replace_bundle(tmp_path, "2")
    shelf.load("tiny/2")
    assert states(shelf) == [("tiny/1", ModelState.READY), ("tiny/2", ModelState.READY)]


def test_a_change_that_fails_leaves_its_own_version(tmp_path):
    """A bundle that was overwritten by a broken one is used as it was."""
    make_bundle(tmp_path, characters=("a",))
    shelf = started(tmp_path)
    replace_bundle(tmp_path, "1", characters=("b",))
    (tmp_path / "tiny" / "1" / "broken").touch()
    shelf.reload()
    assert shelf.lease("").model.recognizer.characters == ("a",)
    assert states(shelf) == [("tiny/1", ModelState.FAILED), ("tiny/1", ModelState.READY)]


def test_reload_follows_the_folder(tmp_path):
    """What is new is loaded, what is gone is unloaded; what is broken hinders nothing."""
    make_bundle(tmp_path, "gone")
    make_bundle(tmp_path)
    shelf = started(tmp_path)
    (tmp_path / "gone").rename(tmp_path / "elsewhere")
    break_weights(tmp_path)
    make_bundle(tmp_path, version="3")
    shelf.reload()
    shelf.close()
    assert states(shelf) == [
        ("elsewhere/1", ModelState.FAILED),  # calls itself something else
        ("tiny/1", ModelState.READY),
        ("tiny/2", ModelState.FAILED),
        ("tiny/3", ModelState.READY),
    ]


def test_reload_keeps_the_default(tmp_path):
    """The folder of the last version that answers to requests without a name may vanish, the model does not."""
    make_bundle(tmp_path)
    make_bundle(tmp_path, "other")
    shelf = started(tmp_path)
    (tmp_path / "tiny").rename(tmp_path.parent / "away")
    shelf.reload()
    assert version(shelf, "") == "1"


def test_the_default_cannot_be_unloaded(tmp_path):
    """The last version of the default's name, or the version that the default names, is needed."""
    make_bundle(tmp_path, version="1")
    make_bundle(tmp_path, version="2")
    shelf = started(tmp_path)
    shelf.unload("tiny")
    assert version(shelf, "") == "1"
    with pytest.raises(ModelIsDefault, match="tiny"):
        shelf.unload("tiny/1")
    shelf.load("tiny/2")
    shelf.set_default("tiny/1")
    with pytest.raises(ModelIsDefault, match="tiny/1"):
        shelf.unload("tiny")
    assert version(shelf, "") == "1"


def test_unknown_models_change_nothing(tmp_path):
    """Neither loading, unloading nor choosing what there is not does anything, nor does a path out of the folder."""
    make_bundle(tmp_path / "models")
    make_bundle(tmp_path, "outside")
    shelf = started(tmp_path / "models")
    for change in (shelf.load, shelf.unload, shelf.set_default):
        for name in ("nothing", "tiny/2", "../outside/1", "tiny/"):
            with pytest.raises(ModelNotFound) as caught:
                change(name)
            assert caught.value.field == "model"
    assert states(shelf) == [("tiny/1", ModelState.READY)]


def test_only_recognisers_are_loaded_at_run_time(tmp_path):
    """A detector is refused by name, and left alone by reload."""
    make_bundle(tmp_path)
    shelf = started(tmp_path)
    make_bundle(tmp_path, "lines", kind=Kind.DETECTOR)
    with pytest.raises(ModelRejected, match="lines/1"):
        shelf.load("lines")
    shelf.reload()
    assert states(shelf) == [("tiny/1", ModelState.READY)]


def test_a_model_is_listed_while_it_is_loaded(tmp_path):
    """Others see that it is on its way, and are answered by what there is."""
    make_bundle(tmp_path, version="1")
    entered, leave = threading.Event(), threading.Event()

    def slow(bundle, folder):
        if bundle.version == "2":
            entered.set()
            assert leave.wait(30)
        return FakeRecognizer(bundle, folder)

    shelf = started(tmp_path, make=slow)
    make_bundle(tmp_path, version="2")
    loading = threading.Thread(target=shelf.load, args=("tiny/2",))
    loading.start()
    assert entered.wait(30)
    assert states(shelf) == [("tiny/1", ModelState.READY), ("tiny/2", ModelState.LOADING)]
    assert version(shelf, "tiny") == "1"
    leave.set()
    loading.join()
    assert version(shelf, "tiny") == "2"


def test_leases_are_whole_however_often_models_change(tmp_path):
    """While versions come and go, whoever asks for the name gets one of them, and never none."""
    make_bundle(tmp_path, version="1")
    shelf = started(tmp_path)
    stop, failures, seen = threading.Event(), [], set()

    def ask():
        while not stop.is_set():
            try:
                seen.add(version(shelf, "tiny"))
            except ModelNotFound as error:
                failures.append(error)

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for number in range(2, 32):
        make_bundle(tmp_path, version=str(number))
        shelf.load(f"tiny/{number}")
        shelf.unload(f"tiny/{number - 1}")
    stop.set()
    for thread in threads:
        thread.join()
    shelf.close()
    assert not failures
    assert len(seen) > 1
    assert states(shelf) == [("tiny/31", ModelState.READY)]


def test_processes_that_agree_have_the_same_models(tmp_path):
    """What one shelf loads, unloads and prefers, another one does when it follows, and a later one when it starts."""
    make_bundle(tmp_path / "models", version="1")
    agreement = ModelAgreement(tmp_path / "agreement.json")
    one, other = (started(tmp_path / "models", agreement=agreement) for _ in range(2))
    make_bundle(tmp_path / "models", version="2")
    make_bundle(tmp_path / "models", version="3")
    one.load("tiny/2")
    one.set_default("tiny/2")
    one.unload("tiny/1")
    other.follow()
    other.close()
    later = started(tmp_path / "models", agreement=agreement)
    for shelf in (one, other, later):
        assert states(shelf) == [("tiny/2", ModelState.READY)]
        assert version(shelf, "") == "2"


def test_a_change_does_not_undo_those_of_others(tmp_path):
    """A shelf that has not heard of a change yet does it before its own."""
    make_bundle(tmp_path / "models", version="1")
    agreement = ModelAgreement(tmp_path / "agreement.json")
    one, other = (started(tmp_path / "models", agreement=agreement) for _ in range(2))
    make_bundle(tmp_path / "models", version="2")
    one.load("tiny/2")
    make_bundle(tmp_path / "models", "more")
    other.load("more")
    one.follow()
    for shelf in (one, other):
        assert [name for name, _ in states(shelf)] == ["more/1", "tiny/1", "tiny/2"]


def test_a_process_that_cannot_follow_keeps_what_it_has(tmp_path):
    """Where a wanted bundle fails the old version still answers, and the reason is listed."""
    make_bundle(tmp_path / "models", version="1")
    agreement = ModelAgreement(tmp_path / "agreement.json")
    one, other = (started(tmp_path / "models", agreement=agreement) for _ in range(2))
    make_bundle(tmp_path / "models", version="2")
    one.load("tiny/2")
    one.set_default("tiny/2")
    one.unload("tiny/1")
    (tmp_path / "models" / "tiny" / "2" / "broken").touch()
    other.follow()
    assert version(other, "") == "1"
    assert states(other) == [("tiny/1", ModelState.READY), ("tiny/2", ModelState.FAILED)]


@pytest.mark.parametrize(
    "change",
    [
        lambda shelf: shelf.load("tiny/3"),
        lambda shelf: shelf.unload("tiny/1"),
        lambda shelf: shelf.set_default("tiny/1"),
        lambda shelf: shelf.reload(),
    ],
    ids=["load", "unload", "default", "reload"],
)
def test_a_change_that_cannot_be_agreed_on_is_none(tmp_path, change: Callable[[ModelShelf], None]):
    """Where its file cannot be written, on a full disk, say, the change fails, and all is and stays as it was."""
    for number in ("1", "2"):
        make_bundle(tmp_path / "models", version=number)
    shelf = started(tmp_path / "models", agreement=ModelAgreement(tmp_path / "agreement.json"))
    before = shelf.statuses()
    make_bundle(tmp_path / "models", version="3")
    (tmp_path / "agreement.json.draft").mkdir()
    with pytest.raises(IsADirectoryError):
        change(shelf)
    shelf.close()
    assert shelf.statuses() == before
