"""Graphs of bundles: read as OpenVINO models, written as bundles that derive from others."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt
import openvino as ov  # type: ignore[import-untyped]
from openvino import opset13 as ops
from pydantic import ValidationError

from ocr_core.bundle import (
    GRAPH,
    LANGUAGE,
    SECOND,
    WEIGHTS,
    ModelBundle,
    file_sha256,
    place_bundle,
    read_bundle,
    write_manifest,
)
from ocr_core.engine import core
from ocr_core.errors import BundleInvalid
from ocr_core.language_dir import LanguageDir
from ocr_core.preprocess import make_batch, whole_image
from ocr_core.recognizer import load_recognizer
from ocr_core.types import Image
from training.compress.errors import CompressionFailed

Tensor = npt.NDArray[np.float32]


def read_graph(folder: Path) -> ov.Model:
    """The graph of a bundle, without the preprocessing that the engine puts in front."""
    return core().read_model(folder / GRAPH)


def compiled(graph: ov.Model) -> ov.CompiledModel:
    """The graph, ready to compute in float32 also where the processor has bfloat16."""
    return core().compile_model(graph, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})


def network_input(image: Image, bundle: ModelBundle) -> Tensor:
    """A line as the bare graph wants it. image: RGB, uint8 [h, w, 3]. Returns float32 [1, 3, height, width]."""
    wanted = bundle.input
    batch = make_batch([whole_image(image)], wanted)
    normalised = (batch / 255 - np.array(wanted.mean)) / np.array(wanted.std)
    return np.ascontiguousarray(normalised.transpose(0, 3, 1, 2), np.float32)


def write_derived(
    graph: ov.Model,
    source: Path,
    models_dir: Path,
    model: str,
    made_by: str,
    *,
    output: Literal["probs", "logits"],
) -> Path:
    """Write a graph as bundle `model` ("name/version") that is otherwise like the one in `source`.

    made_by: what was done, for the origin. output: what it emits now. Returns its folder. Raises CompressionFailed
    when the name is none or would replace the source, or when the line of its check is read wrongly now.
    """
    original = read_bundle(source)
    name, _, version = model.partition("/")
    if models_dir.resolve() / name / version == source.resolve():
        raise CompressionFailed(f"{model} would replace what it is made from")
    with tempfile.TemporaryDirectory(prefix="glyphwire-") as scratch:
        draft = Path(scratch)
        ov.save_model(graph, draft / GRAPH, compress_to_fp16=False)
        changes = {
            "name": name,
            "version": version,
            "output": output,
            "origin": original.origin.model_copy(update={"source": f"{original.origin.source}; {made_by}"}),
            "weights_sha256": file_sha256(draft / WEIGHTS),
        }
        try:
            bundle = ModelBundle.model_validate(dict(original) | changes)
        except ValidationError as error:
            raise CompressionFailed(f"{model!r} is no NAME/VERSION: {error}") from error
        if bundle.check:
            shutil.copy(source / bundle.check.image, draft)
        if bundle.second_opinion is not None:
            shutil.copytree(source / SECOND, draft / SECOND)
        if bundle.judge is not None:
            shutil.copy(source / LANGUAGE, draft)
        write_manifest(draft, bundle)
        if bundle.check:
            _must_serve(bundle, draft)
        return place_bundle(draft, models_dir)


def _must_serve(bundle: ModelBundle, folder: Path) -> None:
    """Who serves reads the check of a bundle first: one that fails would keep a server from starting."""
    language = LanguageDir(folder)
    try:
        load_recognizer(bundle, folder, language, workers=1, precision="auto", backend="compiled")
    except BundleInvalid as error:
        name = f"{bundle.name}/{bundle.version}"
        raise CompressionFailed(f"too much is lost, {name} would not be served: {error}") from error


def is_stored_half(graph: ov.Model) -> bool:
    """Whether some of what it has is stored as float16."""
    return any(
        node.get_type_name() == "Constant" and node.get_element_type() == ov.Type.f16 for node in graph.get_ops()
    )


def store_half(graph: ov.Model) -> None:
    """Store kernels and matrices that are left in float32 as float16; they are widened when the graph is compiled.

    ov.save_model does the same, but leaves graphs alone that have narrow constants already.
    """
    for node in graph.get_ops():
        if node.get_type_name() == "Constant" and node.get_element_type() == ov.Type.f32 and _is_worth_halving(node):
            half = ops.convert(ops.constant(node.data.astype(np.float16)), "f32")
            for reader in node.output(0).get_target_inputs():
                reader.replace_source_output(half.output(0))
    graph.validate_nodes_and_infer_types()


def _is_worth_halving(node: ov.Node) -> bool:
    """Scales and biases run along one axis: they take little room, and small scales would lose digits."""
    axes = sum(length > 1 for length in node.data.shape)
    return axes > 1 and bool(np.abs(node.data).max() <= np.finfo(np.float16).max)


def constant(output: ov.Output) -> Tensor | None:
    """The value behind an output when it is a float constant, stored as float16 perhaps; else None."""
    node = output.get_node()
    if node.get_type_name() == "Convert":
        node = node.input_value(0).get_node()
    if node.get_type_name() != "Constant" or not np.issubdtype(node.data.dtype, np.floating):
        return None
    return np.asarray(node.data, np.float32)
