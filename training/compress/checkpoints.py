"""Networks in training as bundles and ONNX files, their parallel branches fused to plain convolutions."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch

from training.checkpoint import load_checkpoint
from training.compress.graph import Tensor
from training.compress.onnx_files import difference
from training.export import export, export_onnx
from training.network import Crnn, fuse

_WIDTHS = (64, 320)
_SEED = 0


@dataclass(frozen=True, slots=True)
class FusedCheckpoint:
    """Modules of the network before and after; difference: of probabilities between ONNX Runtime and PyTorch."""

    modules_before: int
    modules_after: int
    onnx: str = ""
    difference: float | None = None


def fuse_checkpoint(
    source: Path, models_dir: Path, model: str, scratch: Path, onnx: Path | None = None
) -> tuple[tuple[Path, Path], FusedCheckpoint]:
    """Make bundle `model` ("name/version") of a checkpoint. Returns bundles of its network as it trains, and fused.

    scratch: folder for the first of them. onnx: where to write the fused network as an ONNX file as well. Raises
    CompressionFailed when ONNX Runtime computes something else with it.
    """
    name, _, version = model.partition("/")
    before = export(source, scratch, "unfused", "1", fused=False)
    after = export(source, models_dir, name, version)
    checkpoint = load_checkpoint(source)
    network = checkpoint.network()
    fused = fuse(network)
    counts = (len(list(network.modules())), len(list(fused.modules())))
    if onnx is None:
        return (before, after), FusedCheckpoint(*counts)
    export_onnx(fused, checkpoint.input.height, onnx)
    rng = np.random.default_rng(_SEED)
    shapes = [(lines, 3, checkpoint.input.height, width) for lines, width in enumerate(_WIDTHS, 1)]
    found = difference(onnx, partial(_probs, fused), [rng.uniform(-1, 1, shape).astype(np.float32) for shape in shapes])
    return (before, after), FusedCheckpoint(*counts, str(onnx), found)


@torch.no_grad()
def _probs(network: Crnn, images: Tensor) -> Tensor:
    logits: torch.Tensor = network(torch.from_numpy(images))
    return logits.softmax(2).numpy()
