"""INT8: computing in it after calibration, or storing weights in it."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterable, Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Literal

import numpy as np
import openvino as ov  # type: ignore[import-untyped]

from ocr_core.bundle import ModelBundle, read_bundle
from ocr_core.decode import Decoder
from ocr_core.page_scores import normalise
from training.batches import LabelledLine
from training.compress.errors import CompressionFailed
from training.compress.graph import compiled, network_input, read_graph, store_half, write_derived

Compute = Literal["dense", "convolutions", "all", "none"]
Weights = Literal["float32", "float16", "int8"]

_TYPES = ("Convolution", "GroupConvolution", "MatMul", "LSTMSequence", "GRUSequence")
_INT8_TYPES: dict[Compute, tuple[str, ...]] = {
    "dense": _TYPES[:1],
    "convolutions": _TYPES[:2],
    "all": _TYPES,
    "none": (),
}

_RANKING_LINES = 48
"""Of the validation lines those that each layer is tried on, to find out which hurt most."""

_KEEP_INT8 = {"Concat", "MaxPool", "Reshape", "Squeeze", "Transpose", "Unsqueeze"}
"""Operations that emit INT8 when they are given INT8."""


@dataclass(frozen=True, slots=True)
class QuantizeSettings:
    """compute: layers that compute in INT8; dense: convolutions across channels. weights: how the others' are stored.

    max_drop: share of the validation lines by which fewer may be read right. half_range: weights use 7 of 8 bits, so
    that no sum of two products overflows 16 bits, as it may without VNNI.
    """

    compute: Compute = "dense"
    weights: Weights = "float32"
    max_drop: float = 0.005
    half_range: bool = False


@dataclass(frozen=True, slots=True)
class Quantized:
    """int8_layers: how many compute in it. float_layers: those that were to do so as well, but would hurt."""

    int8_layers: int
    float_layers: tuple[str, ...]
    calibration_lines: int
    validation_lines: int


def quantize(
    source: Path,
    models_dir: Path,
    model: str,
    lines: Sequence[LabelledLine],
    settings: QuantizeSettings,
) -> tuple[Path, Quantized]:
    """Make a bundle `model` ("name/version") of the one in `source`. Returns its folder.

    lines: every other one calibrates, the rest validates: what is read in them in INT8 is compared with their labels,
    where these are empty with what is read in float. Layers that lose too much stay in float.
    """
    bundle, graph = read_bundle(source), read_graph(source)
    calibration, validation = lines[::2], lines[1::2]
    if settings.compute != "none":
        if not validation:
            raise CompressionFailed("INT8 needs lines to calibrate and validate with, two at least")
        graph = _in_int8(graph, bundle, calibration, validation, settings)
    if settings.weights == "int8":
        graph = _with_int8_weights(graph)
    if settings.weights != "float32":
        store_half(graph)
    made_by = f"INT8 {settings.compute}, weights {settings.weights}, NNCF {_nncf().__version__}"
    folder = write_derived(graph, source, models_dir, model, made_by, output=bundle.output)
    wanted = [node for node in graph.get_ordered_ops() if node.get_type_name() in _INT8_TYPES[settings.compute]]
    in_float = tuple(node.get_friendly_name() for node in wanted if not _computes_in_int8(node))
    counts = (len(calibration), len(validation)) if wanted else (0, 0)
    return folder, Quantized(len(wanted) - len(in_float), in_float, *counts)


def _in_int8(
    graph: ov.Model,
    bundle: ModelBundle,
    calibration: Sequence[LabelledLine],
    validation: Sequence[LabelledLine],
    settings: QuantizeSettings,
) -> ov.Model:
    nncf = _nncf()
    judge = _Judge(bundle, graph, validation)
    with redirect_stdout(sys.stderr):
        return nncf.quantize_with_accuracy_control(
            graph,
            calibration_dataset=nncf.Dataset(calibration, lambda line: network_input(line.image, bundle)),
            validation_dataset=nncf.Dataset(range(len(validation))),
            validation_fn=judge,
            max_drop=settings.max_drop,
            preset=nncf.QuantizationPreset.MIXED,
            target_device=nncf.TargetDevice.CPU,
            subset_size=len(calibration),
            ignored_scope=nncf.IgnoredScope(
                types=[kind for kind in _TYPES if kind not in _INT8_TYPES[settings.compute]], validate=False
            ),
            advanced_accuracy_restorer_parameters=nncf.AdvancedAccuracyRestorerParameters(
                ranking_subset_size=_RANKING_LINES
            ),
            advanced_quantization_parameters=nncf.AdvancedQuantizationParameters(
                overflow_fix=nncf.OverflowFix.ENABLE if settings.half_range else nncf.OverflowFix.DISABLE
            ),
        )


class _Judge:
    """Share of lines that a compiled graph reads right, and whether it reads each."""

    def __init__(self, bundle: ModelBundle, graph: ov.Model, lines: Sequence[LabelledLine]) -> None:
        self._bundle = bundle
        self._decoder = Decoder(bundle.charset)
        self._inputs = [network_input(line.image, bundle) for line in lines]
        in_float = compiled(graph)
        self._labels = [normalise(line.text or self._read(in_float, index)) for index, line in enumerate(lines)]

    def __call__(self, network: ov.CompiledModel, indices: Iterable[int]) -> tuple[float, list[float]]:
        read = [float(normalise(self._read(network, index)) == self._labels[index]) for index in indices]
        return float(np.mean(read)), read

    def _read(self, network: ov.CompiledModel, index: int) -> str:
        scores = network(self._inputs[index])[0]
        (hypothesis,) = self._decoder.best_path(scores, kind=self._bundle.output)[0]
        return hypothesis.text


def _with_int8_weights(graph: ov.Model) -> ov.Model:
    """Matrices stay float, for float16: held to AVX2, OpenVINO 2026.4 emits nothing for INT8 ones when widths vary."""
    nncf = _nncf()
    matrices = nncf.IgnoredScope(types=["MatMul"], validate=False)
    with redirect_stdout(sys.stderr):
        return nncf.compress_weights(graph, mode=nncf.CompressWeightsMode.INT8_ASYM, ignored_scope=matrices)


def _computes_in_int8(node: ov.Node) -> bool:
    """Whether what goes into a layer is quantised."""
    before = node.input_value(0).get_node()
    while before.get_type_name() in _KEEP_INT8:
        before = before.input_value(0).get_node()
    return bool(before.get_type_name() == "FakeQuantize")


def _nncf() -> ModuleType:
    """The library, which takes seconds to import, without its reports to a telemetry service."""
    sys.modules["openvino_telemetry"] = None  # type: ignore[assignment] # where it cannot be imported nothing is reported
    nncf = import_module("nncf")
    nncf.set_log_level(logging.ERROR)
    return nncf
