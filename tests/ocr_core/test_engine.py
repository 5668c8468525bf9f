"""Tests of ocr_core.engine, on the models of this checkout."""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import cv2
import numpy as np
import openvino as ov
import pytest
from openvino import opset13 as ops

from ocr_core.bundle import SECOND, Kind, ModelBundle, Registry, read_second, write_manifest
from ocr_core.engine import Engine, Precision, _compiled, _fold_constants, largest_convolutions
from ocr_core.errors import BundleInvalid
from ocr_core.pipeline import DETECTOR, ORIENTATION
from ocr_core.pipeline_config import DEFAULT_MODEL

MODELS = Path(__file__).parents[2] / "models"
REGISTRY = Registry(MODELS)


def the_bundle(kind: Kind) -> ModelBundle:
    """That of the repository for which the pipeline asks."""
    names = {Kind.RECOGNIZER: DEFAULT_MODEL, Kind.DETECTOR: DETECTOR, Kind.ORIENTATION: ORIENTATION}
    return REGISTRY.find(names[kind], kind)


LINE_HEIGHT = the_bundle(Kind.RECOGNIZER).input.height


def engine_for(bundle: ModelBundle, **changes: object) -> Engine:
    engine = Engine(bundle, REGISTRY.folder(bundle), **({"streams": 1, "threads": 1} | changes))
    engine.load()
    return engine


@pytest.mark.parametrize(
    ("kind", "image_size", "shape"),
    [
        (Kind.RECOGNIZER, None, (2, LINE_HEIGHT, 256, 3)),
        (Kind.RECOGNIZER, (LINE_HEIGHT, 320), (1, LINE_HEIGHT, 320, 3)),
        (Kind.DETECTOR, (320, 320), (1, 320, 320, 3)),
        (Kind.ORIENTATION, None, (1, 48, 192, 3)),
    ],
)
def test_emits_what_the_bare_model_emits(
    kind: Kind, image_size: tuple[int, int] | None, shape: tuple[int, ...]
) -> None:
    """Normalisation in the graph changes nothing, and no channel changes its place."""
    bundle = the_bundle(kind)
    batch = np.random.default_rng(7).integers(0, 256, shape, np.uint8)
    normalised = (batch / 255 - bundle.input.mean) / bundle.input.std
    bare = ov.Core().compile_model(
        REGISTRY.folder(bundle) / "model.xml", "CPU", {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": 1}
    )
    expected = bare(np.ascontiguousarray(normalised.transpose(0, 3, 1, 2), np.float32))[0]
    with engine_for(bundle, image_size=image_size).infer(batch) as output:
        assert output.shape == expected.shape
        assert np.abs(output - expected).max() < 1e-3


def test_a_softmax_is_left_to_the_decoder() -> None:
    """Without it the engine says that it emits logits, and they are those of the probabilities."""
    bundle = the_bundle(Kind.RECOGNIZER)
    batch = np.random.default_rng(7).integers(0, 256, (1, LINE_HEIGHT, 256, 3), np.uint8)
    whole, bare = engine_for(bundle), engine_for(bundle, keep_softmax=False)
    assert (whole.output, bare.output) == (bundle.output, "logits")
    with whole.infer(batch) as probs, bare.infer(batch) as logits:
        powers = np.exp(logits - logits.max(axis=2, keepdims=True))
        assert np.abs(powers / powers.sum(axis=2, keepdims=True) - probs).max() < 1e-4


def executed(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> list[ov.Node]:
    """Load the engine. Returns what the processor executes for its model."""
    kept: list[ov.CompiledModel] = []

    def compiled_and_kept(model: ov.Model, config: Mapping[str, object], count: int) -> list[ov.CompiledModel]:
        kept.extend(_compiled(model, config, count))
        return kept

    monkeypatch.setattr("ocr_core.engine._compiled", compiled_and_kept)
    engine.load()
    nodes: list[ov.Node] = kept[0].get_runtime_model().get_ordered_ops()
    return nodes


def rt_info(node: ov.Node, name: str) -> str:
    return str(node.get_rt_info()[name].astype(str))


@pytest.mark.parametrize("is_second", [False, True])
def test_convolutions_take_in_their_activations(is_second: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """No bias is added apart in the recognisers here, though they were exported with shapes left to compute."""
    bundle = the_bundle(Kind.RECOGNIZER)
    folder = REGISTRY.folder(bundle)
    if is_second:
        bundle, folder = read_second(folder), folder / SECOND
    nodes = executed(Engine(bundle, folder, streams=1, threads=1), monkeypatch)
    apart = [node.get_friendly_name() for node in nodes if rt_info(node, "layerType") == "Eltwise"]
    assert apart
    assert not any(name.endswith("/Conv") for name in apart)


def test_weights_in_int8_stay_so() -> None:
    """They are not folded into the float32 that they stand for."""
    images = ops.parameter([1, 3, 8, 8], np.float32)
    kernel = ops.convert(ops.constant(np.ones((4, 3, 3, 3), np.int8)), "f32")
    scaled = ops.multiply(kernel, ops.constant(np.full((4, 1, 1, 1), 0.5, np.float32)))
    model = ov.Model([ops.convolution(images, scaled, [1, 1], [1, 1], [1, 1], [1, 1])], [images])
    _fold_constants(model)
    assert ov.Type.i8 in {node.get_element_type() for node in model.get_ops() if node.get_type_name() == "Constant"}


def test_a_detector_enlarges_its_map_pixel_by_pixel(monkeypatch: pytest.MonkeyPatch) -> None:
    """No transposed convolution is left: they would be computed in float32 whatever the precision."""
    bundle = the_bundle(Kind.DETECTOR)
    engine = Engine(bundle, REGISTRY.folder(bundle), streams=1, threads=1, image_size=(320, 320))
    kinds = {rt_info(node, "layerType") for node in executed(engine, monkeypatch)}
    assert "DepthToSpace" in kinds
    assert "Deconvolution" not in kinds


@pytest.mark.parametrize("precision", ["f32", "auto"])
def test_a_detectors_largest_convolutions_are_in_int8(precision: Precision, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the processor has bfloat16 and nobody asked for float32."""
    bundle = the_bundle(Kind.DETECTOR)
    engine = Engine(bundle, REGISTRY.folder(bundle), streams=1, threads=1, precision=precision, image_size=(512, 736))
    nodes = executed(engine, monkeypatch)
    count = sum(
        rt_info(node, "primitiveType").endswith("I8") for node in nodes if rt_info(node, "layerType") == "Convolution"
    )
    can = "BF16" in ov.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    assert count == (len(bundle.int8_inputs) if can and precision == "auto" else 0)


def test_a_detector_in_few_bits_finds_the_same() -> None:
    """Text is where it is in float32, but for one pixel in twenty."""
    bundle = the_bundle(Kind.DETECTOR)
    page = cv2.imread(str(MODELS.parent / "tests" / "data" / "page_small.jpg"))[:512, :736]
    batch = np.full((1, 512, 736, 3), bundle.input.padding, np.uint8)
    batch[0, : page.shape[0], : page.shape[1]] = page
    exact, fast = (engine_for(bundle, image_size=(512, 736), precision=precision) for precision in ("f32", "auto"))
    with exact.infer(batch) as expected, fast.infer(batch) as found:
        text = expected > 0.3
        assert text.any()
        assert ((found > 0.3) != text).sum() < 0.05 * text.sum()


def test_every_caller_gets_the_same() -> None:
    """Whoever infers at the same time has a model of its own, which emits the same to the bit."""
    bundle = the_bundle(Kind.RECOGNIZER)
    batch = np.random.default_rng(7).integers(0, 256, (2, LINE_HEIGHT, 320, 3), np.uint8)
    engine = engine_for(bundle, streams=3, keep_softmax=False)
    with engine.infer(batch) as one, engine.infer(batch) as other, engine.infer(batch) as third:
        assert not np.shares_memory(one, other)
        assert np.array_equal(one, other)
        assert np.array_equal(one, third)


def test_a_request_is_free_again_after_an_error() -> None:
    """Whatever happens to one caller inside the block, the next one is served."""
    bundle = the_bundle(Kind.ORIENTATION)
    engine = engine_for(bundle)
    batch = np.zeros((1, 48, 192, 3), np.uint8)
    with pytest.raises(ZeroDivisionError), engine.infer(batch):
        raise ZeroDivisionError
    with engine.infer(batch) as output:
        assert output.shape == (1, 2)


def test_a_caller_infers_in_its_own_thread() -> None:
    """Several callers have requests of their own, and none of them waits for a thread of the engine."""
    bundle = the_bundle(Kind.RECOGNIZER)
    engine = engine_for(bundle, streams=2, threads=2)
    batch = np.zeros((1, LINE_HEIGHT, 640, 3), np.uint8)
    with engine.infer(batch), engine.infer(batch):
        pass
    process_s, thread_s = time.process_time(), time.thread_time()
    for _ in range(5):
        with engine.infer(batch):
            pass
    assert time.thread_time() - thread_s > 0.8 * (time.process_time() - process_s)


def test_a_graph_that_openvino_refuses_is_the_bundles_fault(tmp_path: Path) -> None:
    """The message names the folder."""
    bundle = the_bundle(Kind.ORIENTATION)
    (tmp_path / "model.xml").write_text("<net/>")
    write_manifest(tmp_path, bundle)
    with pytest.raises(BundleInvalid, match=str(tmp_path)):
        Engine(bundle, tmp_path, streams=1, threads=1).load()


def test_files_of_a_loaded_model_may_be_overwritten(tmp_path: Path) -> None:
    """Who replaces weights in place does not change what is read, and may shorten the file."""
    bundle = the_bundle(Kind.ORIENTATION)
    folder = shutil.copytree(REGISTRY.folder(bundle), tmp_path / "1")
    engine = Engine(bundle, folder, streams=1, threads=1)
    engine.load()
    batch = np.random.default_rng(7).integers(0, 256, (1, 48, 192, 3), np.uint8)
    with engine.infer(batch) as output:
        before = output.copy()
    weights = folder / "model.bin"
    with weights.open("r+b") as file:
        file.write(bytes(weights.stat().st_size))
    os.truncate(weights, 1)
    with engine.infer(batch) as output:
        assert (output == before).all()


def test_the_converter_is_not_loaded():
    """Loading the engine loads no converter, and leaves it for those who want it."""
    script = "import sys, ocr_core.engine; print('openvino.tools.ovc' in sys.modules); import openvino.tools.ovc"
    printed = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True).stdout
    assert printed.strip() == "False"


def test_a_model_has_no_more_convolutions_than_it_has() -> None:
    """Asking for more is an error as OpenVINO's own, which makes a bundle invalid."""
    images = ops.parameter([1, 3, 8, 8], np.float32)
    kernel = ops.constant(np.ones((4, 3, 3, 3), np.float32))
    model = ov.Model([ops.convolution(images, kernel, [1, 1], [1, 1], [1, 1], [1, 1])], [images])
    assert len(largest_convolutions(model, 1)) == 1
    with pytest.raises(RuntimeError, match="1 convolutions, not 2"):
        largest_convolutions(model, 2)
