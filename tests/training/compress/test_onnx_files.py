"""Tests of training.compress.onnx_files."""

from pathlib import Path

import pytest

pytest.importorskip("onnx", reason="needs the extra `training`")

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from ocr_core.bundle import read_bundle
from training.compress.errors import CompressionFailed
from training.compress.graph import compiled, read_graph
from training.compress.onnx_files import bundle_of, difference

INPUTS = [np.random.default_rng(1).random((2, 3, 48, width), np.float32) for width in (32, 64)]


def onnx_file(
    path: Path, *, characters: str | None = "a\nb\n", classes: int = 4, scale: float = 1.0, height: int | str = 48
) -> Path:
    """A column's mean brightness times a factor for each class, and softmax."""
    factors = scale * np.arange(classes, dtype=np.float32)[None]
    nodes = [
        helper.make_node("ReduceMean", ["x", "axes"], ["means"], keepdims=0),
        helper.make_node("Unsqueeze", ["means", "last"], ["columns"]),
        helper.make_node("MatMul", ["columns", "factors"], ["scores"]),
        helper.make_node("Softmax", ["scores"], ["probs"], axis=2),
    ]
    constants = {"axes": np.int64([1, 2]), "last": np.int64([2]), "factors": factors}
    graph = helper.make_graph(
        nodes,
        "columns",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["line", 3, height, "width"])],
        [helper.make_tensor_value_info("probs", TensorProto.FLOAT, ["line", "time", classes])],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    if characters is not None:
        helper.set_model_props(model, {"character": characters})
    onnx.save(model, str(path))
    return path


@pytest.mark.parametrize(("classes", "characters"), [(3, ("a", "b")), (4, ("a", "b", " "))])
def test_characters_come_from_the_file(tmp_path: Path, classes: int, characters: tuple[str, ...]) -> None:
    """A class more than characters and blank is the space, which the file does not list."""
    folder = bundle_of(onnx_file(tmp_path / "m.onnx", classes=classes), tmp_path / "models", "teacher")
    bundle = read_bundle(folder)
    assert (bundle.characters, bundle.input.height) == (characters, 48)


def test_a_height_that_is_left_open_is_the_usual_one(tmp_path: Path) -> None:
    """Files of RapidOCR take lines of any height, and read those of 48 rows."""
    folder = bundle_of(onnx_file(tmp_path / "m.onnx", height="height"), tmp_path / "models", "teacher")
    assert read_bundle(folder).input.height == 48


@pytest.mark.parametrize(
    ("characters", "classes", "reason"), [(None, 3, "does not name"), ("a\nb", 9, "3 characters and has 9 classes")]
)
def test_files_that_do_not_name_their_characters_are_refused(
    tmp_path: Path, characters: str | None, classes: int, reason: str
) -> None:
    """There is no guessing of charsets."""
    with pytest.raises(CompressionFailed, match=reason):
        bundle_of(onnx_file(tmp_path / "m.onnx", characters=characters, classes=classes), tmp_path, "teacher")


def test_a_file_computes_what_its_bundle_computes(tmp_path: Path) -> None:
    """ONNX Runtime and OpenVINO agree on one network, and two networks are told apart."""
    path = onnx_file(tmp_path / "m.onnx")
    network = compiled(read_graph(bundle_of(path, tmp_path / "models", "teacher")))
    assert difference(path, lambda batch: network(batch)[0], INPUTS) < 1e-5
    with pytest.raises(CompressionFailed, match=r"other probabilities of .*, by 0\.\d"):
        difference(onnx_file(tmp_path / "other.onnx", scale=3), lambda batch: network(batch)[0], INPUTS)
