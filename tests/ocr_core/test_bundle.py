"""Tests of ocr_core.bundle."""

import hashlib
from dataclasses import asdict
from pathlib import Path

import pytest

from ocr_core.bundle import (
    LANGUAGE,
    InputFormat,
    Kind,
    ModelBundle,
    Origin,
    Registry,
    add_second_opinion,
    content_hash,
    is_name_and_version,
    place_bundle,
    read_bundle,
    read_second,
    write_manifest,
)
from ocr_core.errors import BundleInvalid, ModelNotFound

WEIGHTS = b"weights"


def make_bundle(models_dir: Path, name: str = "tiny", version: str = "1", **changes: object) -> ModelBundle:
    fields = {
        "name": name,
        "version": version,
        "kind": Kind.RECOGNIZER,
        "input": InputFormat(height=32, channels="RGB", mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5)),
        "characters": ("a", "b"),
        "origin": Origin(source="a test", file="tiny.onnx", sha256="0" * 64),
        "licence": "Apache-2.0",
        "weights_sha256": hashlib.sha256(WEIGHTS).hexdigest(),
    }
    bundle = ModelBundle.model_validate(fields | changes)
    folder = models_dir / name / version
    folder.mkdir(parents=True)
    (folder / "model.bin").write_bytes(WEIGHTS)
    (folder / "model.xml").write_text("<net/>")
    write_manifest(folder, bundle)
    return bundle


def test_reads_what_was_written(tmp_path: Path) -> None:
    """A bundle survives its trip through model.json, spaces and wide spaces in the charset included."""
    bundle = make_bundle(tmp_path, characters=("中", "\u3000", " ", "ffi"), blank_index=4)
    assert read_bundle(tmp_path / "tiny" / "1") == bundle


@pytest.mark.parametrize("temperature", [0.0, -1.0, 11.0, float("nan"), "hot"])
def test_a_temperature_out_of_range_is_refused(tmp_path: Path, temperature: object) -> None:
    """It divides log-odds: nothing near 0, nothing that leaves all at a half."""
    with pytest.raises(ValueError, match="temperature"):
        make_bundle(tmp_path, temperature=temperature)


def test_a_folder_dropped_in_is_found(tmp_path: Path) -> None:
    """The registry holds whatever lies below its folder; recipes are no bundles."""
    (tmp_path / "recipes").mkdir()
    (tmp_path / "recipes" / "x.toml").write_text("")
    make_bundle(tmp_path, "mine", "2026-11")
    assert [bundle.name for bundle in Registry(tmp_path).of_kind(Kind.RECOGNIZER)] == ["mine"]


def test_the_bare_name_means_the_newest_version(tmp_path: Path) -> None:
    """Versions are compared as numbers, not as text."""
    for version in ("2", "10", "9"):
        make_bundle(tmp_path, "tiny", version)
    registry = Registry(tmp_path)
    assert registry.find("tiny", Kind.RECOGNIZER).version == "10"
    assert registry.find("tiny/9", Kind.RECOGNIZER).version == "9"


@pytest.mark.parametrize("model", ["other", "tiny/2", "", "tiny/"])
def test_unknown_models_are_not_found(tmp_path: Path, model: str) -> None:
    """Neither a wrong name nor a wrong version finds anything; a trailing slash finds what the name does."""
    make_bundle(tmp_path)
    registry = Registry(tmp_path)
    if model == "tiny/":
        assert registry.find(model, Kind.RECOGNIZER).name == "tiny"
    else:
        with pytest.raises(ModelNotFound):
            registry.find(model, Kind.RECOGNIZER)


def test_a_model_of_another_kind_is_not_found(tmp_path: Path) -> None:
    """A recogniser cannot stand in for a detector."""
    make_bundle(tmp_path)
    with pytest.raises(ModelNotFound):
        Registry(tmp_path).find("tiny", Kind.DETECTOR)


def test_altered_weights_are_refused(tmp_path: Path) -> None:
    """The message names both hashes."""
    make_bundle(tmp_path)
    (tmp_path / "tiny" / "1" / "model.bin").write_bytes(b"other")
    with pytest.raises(BundleInvalid, match=hashlib.sha256(b"other").hexdigest()):
        read_bundle(tmp_path / "tiny" / "1")


@pytest.mark.parametrize("lost", ["model.bin", "model.json"])
def test_missing_parts_are_refused(tmp_path: Path, lost: str) -> None:
    """A half copied folder is no bundle."""
    make_bundle(tmp_path)
    (tmp_path / "tiny" / "1" / lost).unlink()
    with pytest.raises(BundleInvalid):
        read_bundle(tmp_path / "tiny" / "1")


def test_a_renamed_folder_is_refused(tmp_path: Path) -> None:
    """Folder and manifest must agree, or a request could name a model that calls itself something else."""
    make_bundle(tmp_path)
    (tmp_path / "tiny").rename(tmp_path / "big")
    with pytest.raises(BundleInvalid, match="tiny/1"):
        read_bundle(tmp_path / "big" / "1")


@pytest.mark.parametrize(
    "changes",
    [
        {"characters": ()},
        {"blank_index": 3},
        {"input": {"height": 0, "channels": "RGB", "mean": (0, 0, 0), "std": (1, 1, 1)}},
    ],
)
def test_a_recogniser_needs_charset_blank_and_height(tmp_path: Path, changes: dict[str, object]) -> None:
    """What cannot be decoded is refused at start, not at the first request."""
    make_bundle(tmp_path, **changes)
    with pytest.raises(BundleInvalid):
        read_bundle(tmp_path / "tiny" / "1")


@pytest.mark.parametrize("text", ["", "{}", '{"name": 1}', "[]"])
def test_broken_manifests_are_refused(tmp_path: Path, text: str) -> None:
    """Malformed JSON and missing fields name the folder."""
    make_bundle(tmp_path)
    (tmp_path / "tiny" / "1" / "model.json").write_text(text)
    with pytest.raises(BundleInvalid, match="tiny"):
        read_bundle(tmp_path / "tiny" / "1")


def test_padding_is_the_value_normalised_to_zero() -> None:
    """Padding comes in the order that the network wants, as the mean does."""
    mean = (0.485, 0.456, 0.406)
    assert InputFormat(height=0, channels="BGR", mean=mean, std=mean).padding == (124, 116, 104)
    assert InputFormat(height=0, channels="RGB", mean=mean, std=mean).padding == (124, 116, 104)


def test_info_is_what_callers_are_told(tmp_path: Path) -> None:
    """ModelInfo carries name, version, sizes, origin and licence."""
    assert asdict(make_bundle(tmp_path).info(is_default=True)) == {
        "name": "tiny",
        "version": "1",
        "is_default": True,
        "charset_size": 2,
        "input_height": 32,
        "origin": "a test",
        "licence": "Apache-2.0",
    }


@pytest.fixture
def both(tmp_path: Path) -> Path:
    """A bundle with another one in it."""
    make_bundle(tmp_path, "first")
    make_bundle(tmp_path, "other", characters=("c",))
    add_second_opinion(tmp_path / "first" / "1", tmp_path / "other" / "1", 0.9)
    return tmp_path / "first" / "1"


def test_a_second_opinion_is_part_of_the_bundle(both: Path, tmp_path: Path) -> None:
    """It goes where the bundle goes, needs the other bundle no longer, and changes what the content is."""
    make_bundle(tmp_path / "alone", "first")
    moved = place_bundle(both, tmp_path / "elsewhere")
    assert read_bundle(moved).second_opinion == 0.9
    assert read_second(moved).characters == ("c",)
    assert content_hash(moved) == content_hash(both)
    assert content_hash(moved) != content_hash(tmp_path / "alone" / "first" / "1")
    assert [bundle.name for bundle in Registry(tmp_path / "elsewhere").of_kind(Kind.RECOGNIZER)] == ["first"]


def test_an_altered_second_opinion_is_refused(both: Path) -> None:
    """Its weights are checked as those of the bundle are; without it the bundle is not whole."""
    (both / "second" / "model.bin").write_bytes(b"others")
    with pytest.raises(BundleInvalid, match="second"):
        read_bundle(both)
    (both / "second" / "model.json").unlink()
    with pytest.raises(BundleInvalid, match="second"):
        read_bundle(both)


def test_an_altered_character_model_is_refused(both: Path, tmp_path: Path) -> None:
    """The judge's file is copied and checked, and is part of the content."""
    before = content_hash(both)
    (tmp_path / "text.lm").write_bytes(b"a model")
    add_second_opinion(both, tmp_path / "other" / "1", 0.9, tmp_path / "text.lm")
    assert read_bundle(both).judge is not None
    assert content_hash(both) != before
    (both / LANGUAGE).write_bytes(b"another")
    with pytest.raises(BundleInvalid, match=LANGUAGE):
        read_bundle(both)
    (both / LANGUAGE).unlink()
    with pytest.raises(BundleInvalid, match=LANGUAGE):
        read_bundle(both)
    with pytest.raises(BundleInvalid, match="nowhere"):
        add_second_opinion(both, tmp_path / "other" / "1", 0.9, tmp_path / "nowhere.lm")


def test_second_opinions_have_none_of_their_own(both: Path, tmp_path: Path) -> None:
    """A bundle with a second opinion cannot be another's."""
    make_bundle(tmp_path, "third")
    with pytest.raises(BundleInvalid, match="of its own"):
        add_second_opinion(tmp_path / "third" / "1", both, 0.9)


@pytest.mark.parametrize(
    ("text", "is_one"), [("a-1.b/2.0", True), ("name", False), ("/a/2", False), ("A/1", False), ("a/1/2", False)]
)
def test_what_a_bundle_may_be_called(text: str, is_one: bool) -> None:
    """A name in small letters, a slash, a version."""
    assert is_name_and_version(text) == is_one
