"""The PP-OCRv2 recogniser as a network."""

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the extra `training`")

from ocr_core.bundle import Kind, Registry
from ocr_core.engine import Engine
from training.batches import LabelledLine, Labeller, make_line_batch
from training.day_one import read_day_one
from training.network import fuse
from training.start import DAY_ONE, ORIGINALS, TEACHER_BUNDLES


def test_it_computes_what_the_bundle_does() -> None:
    """Weights read from the original file give the probabilities that the bundle made of it gives, fused or not."""
    if not (TEACHER_BUNDLES.exists() and ORIGINALS.exists()):
        pytest.skip("`make training` has not made the bundle")
    registry = Registry(TEACHER_BUNDLES)
    bundle = registry.find(DAY_ONE, Kind.RECOGNIZER)
    path = ORIGINALS / bundle.origin.file
    engine = Engine(bundle, registry.folder(bundle), streams=1, threads=1)
    engine.load()
    pixels = np.random.default_rng(5).integers(0, 256, (32, 100, 3), np.uint8)
    lines = [LabelledLine(pixels, "a"), LabelledLine(np.full((40, 300, 3), 200, np.uint8), "b")]
    batch = make_line_batch(lines, Labeller(bundle.charset), bundle.input)
    mean, std = (torch.tensor(values).view(3, 1, 1) for values in (bundle.input.mean, bundle.input.std))
    raw = ((batch.images * std + mean) * 255).round().byte().permute(0, 2, 3, 1).contiguous()
    network = read_day_one(path)
    with torch.no_grad(), engine.infer(raw.numpy()) as probs:
        for one in (network, fuse(network)):
            np.testing.assert_allclose(one(batch.images).softmax(2).numpy(), probs, atol=2e-4)
