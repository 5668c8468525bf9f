"""Tests of ocr_core.engine, on the models of this checkout."""

import os
import shutil
import time
from pathlib import Path

import numpy as np
import openvino as ov
import pytest

from ocr_core.bundle import Kind, ModelBundle, Registry, write_manifest
from ocr_core.engine import Engine
from ocr_core.errors import BundleInvalid
from ocr_core.pipeline import DEFAULT_MODEL, DETECTOR, ORIENTATION

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
