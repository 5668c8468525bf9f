"""ONNX files: those of others as bundles, and whether ONNX Runtime computes what it should with one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import onnx
import onnxruntime as ort  # type: ignore[import-untyped]

from ocr_core.bundle import (
    WEIGHTS,
    InputFormat,
    Kind,
    ModelBundle,
    Origin,
    file_sha256,
    place_bundle,
    write_manifest,
)
from ocr_core.engine import convert_onnx, onnx_characters
from ocr_core.errors import BundleInvalid
from training.compress.errors import CompressionFailed
from training.compress.graph import Tensor

_TOLERANCE = 1e-3
"""Of probabilities: two runtimes add in different orders."""

_HEIGHT = 48
"""Of lines, where a file leaves it open: that of all recognisers from PP-OCRv3 on."""


def difference(path: Path, compute: Callable[[Tensor], Tensor], inputs: Sequence[Tensor]) -> float:
    """The greatest difference between what ONNX Runtime computes with a file and what `compute` does.

    inputs: float32 [line, 3, height, width] each; outputs: probabilities, float32 [line, time, class]. Raises
    CompressionFailed when it is greater than rounding explains.
    """
    session = ort.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    (name,) = (entry.name for entry in session.get_inputs())
    greatest = max(float(np.abs(session.run(None, {name: batch})[0] - compute(batch)).max()) for batch in inputs)
    if greatest > _TOLERANCE:
        raise CompressionFailed(f"ONNX Runtime makes other probabilities of {path}, by {greatest:.3g}")
    return greatest


def bundle_of(path: Path, models_dir: Path, name: str) -> Path:
    """Make a bundle `name`/1 of a PaddleOCR recogniser whose ONNX file names its characters. Returns its folder.

    Raises CompressionFailed when it does not name them, or not as many as it has classes.
    """
    model = onnx.load(str(path), load_external_data=False)
    try:
        listed = onnx_characters(path)
    except BundleInvalid as error:
        raise CompressionFailed(
            f"{path} does not name its characters; make a bundle of it by a recipe in models/recipes"
        ) from error
    classes, height = _size(model.graph.output[0], axis=2), _size(model.graph.input[0], axis=2)
    # The list never has the space, which is the last class of those that know it.
    characters = (*listed.rstrip("\n").split("\n"), " ")[: classes - 1]
    if len(characters) != classes - 1:
        raise CompressionFailed(f"{path} names {len(characters)} characters and has {classes} classes")
    with TemporaryDirectory(prefix="glyphwire-") as scratch:
        draft = Path(scratch)
        convert_onnx(path, draft)
        bundle = ModelBundle(
            name=name,
            version="1",
            kind=Kind.RECOGNIZER,
            input=InputFormat(height=height or _HEIGHT, channels="BGR", mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5)),
            characters=characters,
            origin=Origin(source="PaddleOCR", file=path.name, sha256=file_sha256(path)),
            licence="Apache-2.0",
            weights_sha256=file_sha256(draft / WEIGHTS),
        )
        write_manifest(draft, bundle)
        return place_bundle(draft, models_dir)


def _size(value: onnx.ValueInfoProto, axis: int) -> int:
    return int(value.type.tensor_type.shape.dim[axis].dim_value)
