"""Checkpoint -> bundle that the server loads: fused, with a softmax at its end, weights in 16 bits on disk.

Run: python -m training.export CHECKPOINT NAME VERSION [--models-dir DIR] [--check IMAGE TEXT]
"""

from __future__ import annotations

import shutil
import tempfile
import warnings
from argparse import ArgumentParser
from pathlib import Path

import torch
from torch import Tensor, nn

from ocr_core.bundle import WEIGHTS, Check, Kind, ModelBundle, Origin, file_sha256, place_bundle, write_manifest
from ocr_core.engine import convert_onnx
from training.checkpoint import load_checkpoint
from training.command import run_command
from training.network import Crnn, fuse
from training.recipe import MODELS

_EXAMPLE_WIDTH = 320


class _Probs(nn.Module):
    """Lines -> probabilities, as bundles emit them."""

    def __init__(self, network: Crnn) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.network(images)
        return logits.softmax(2)


def export(
    checkpoint_path: Path,
    models_dir: Path,
    name: str,
    version: str,
    check: tuple[Path, str] | None = None,
    *,
    fused: bool = True,
) -> Path:
    """Write models_dir/name/version from the averaged weights of a checkpoint. Returns that folder.

    check: an image of a line that the server reads before it uses the bundle, and its text. fused: without batch norms
    and parallel branches, as bundles should be. The bundle is computed in bfloat16 where the processor can, which costs
    networks that were made here next to nothing.
    """
    checkpoint = load_checkpoint(checkpoint_path)
    network = checkpoint.network()
    with tempfile.TemporaryDirectory(prefix="glyphwire-") as scratch:
        graph, draft = Path(scratch) / "network.onnx", Path(scratch) / "draft"
        draft.mkdir()
        export_onnx(fuse(network) if fused else network, checkpoint.input.height, graph)
        convert_onnx(graph, draft, half=True)
        if check:
            shutil.copyfile(check[0], draft / check[0].name)
        bundle = ModelBundle(
            name=name,
            version=version,
            kind=Kind.RECOGNIZER,
            input=checkpoint.input,
            characters=checkpoint.characters,
            blank_index=checkpoint.blank_index,
            check=Check(image=check[0].name, text=check[1]) if check else None,
            bfloat16=True,
            origin=Origin(source=checkpoint.source, file=checkpoint_path.name, sha256=file_sha256(checkpoint_path)),
            licence="Apache-2.0",
            weights_sha256=file_sha256(draft / WEIGHTS),
        )
        write_manifest(draft, bundle)
        return place_bundle(draft, models_dir)


def export_onnx(network: Crnn, height: int, path: Path) -> None:
    """Write a network as an ONNX file: images float32 [line, 3, height, width] -> probs [line, time, class]."""
    example = torch.zeros(1, 3, height, _EXAMPLE_WIDTH)
    with warnings.catch_warnings():
        # Of tracing: that the LSTM was traced with a batch of one, and that this exporter is not the newest.
        warnings.simplefilter("ignore")
        torch.onnx.export(
            _Probs(network).eval(),
            (example,),
            str(path),
            input_names=["images"],
            output_names=["probs"],
            dynamic_axes={"images": {0: "line", 3: "width"}, "probs": {0: "line", 1: "time"}},
            opset_version=17,
            dynamo=False,
        )


def main() -> int:
    """Export and say where to; returns 0."""
    parser = ArgumentParser("python -m training.export", description=__doc__)
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("name")
    parser.add_argument("version")
    parser.add_argument("--models-dir", type=Path, default=MODELS)
    parser.add_argument("--check", nargs=2, metavar=("IMAGE", "TEXT"), help="a line that must be read before use")
    flags = parser.parse_args()
    check = (Path(flags.check[0]), flags.check[1]) if flags.check else None
    print(export(flags.checkpoint, flags.models_dir, flags.name, flags.version, check))
    return 0


if __name__ == "__main__":
    run_command(main)
