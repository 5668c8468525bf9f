"""How large what goes into a detector's largest convolutions gets: `int8_inputs` of its recipe.

Of each image the upper left corner as it is, at half and at twice its size.

Run: python -m training.compress.ranges NAME IMAGE... [--count 2] [--models-dir DIR]
"""

from __future__ import annotations

from argparse import ArgumentParser
from itertools import product
from pathlib import Path

import numpy as np

from ocr_core.bundle import Kind, Registry
from ocr_core.engine import largest_convolutions
from ocr_core.image import load_image
from ocr_core.image_limits import ImageLimits
from ocr_core.preprocess import in_model_order, resize
from ocr_core.types import Image
from training.command import run_command
from training.compress.graph import compiled, read_graph
from training.recipe import MODELS

_SIDE = 736
_SCALES = (0.5, 1.0, 2.0)


def main() -> None:
    """Print them as a line of a recipe."""
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("name")
    parser.add_argument("images", nargs="+", type=Path)
    parser.add_argument("--count", type=int, default=2)
    parser.add_argument("--models-dir", type=Path, default=MODELS)
    args = parser.parse_args()
    images = [load_image(path.read_bytes(), ImageLimits()) for path in args.images]
    print(f"int8_inputs = {[round(value) for value in greatest(args.models_dir, args.name, images, args.count)]}")


def greatest(models_dir: Path, name: str, images: list[Image], count: int) -> list[float]:
    """Magnitudes, one for each of so many convolutions, in their order. images: RGB, uint8 [h, w, 3]."""
    registry = Registry(models_dir)
    bundle = registry.find(name, Kind.DETECTOR)
    graph = read_graph(registry.folder(bundle))
    graph.reshape([1, 3, _SIDE, _SIDE])
    graph.add_outputs([convolution.input_value(0) for convolution in largest_convolutions(graph, count)])
    network = compiled(graph)
    seen = np.zeros(count)
    for image, scale in product(images, _SCALES):
        height, width = (round(scale * side) for side in image.shape[:2])
        view = resize(image, width, height)[:_SIDE, :_SIDE]
        # Filled up as a detector's canvas is: an edge to black is ten times as large as text.
        canvas = np.full((_SIDE, _SIDE, 3), bundle.input.padding, np.uint8)
        canvas[: view.shape[0], : view.shape[1]] = in_model_order(view, bundle.input)
        normalised = (canvas / 255 - bundle.input.mean) / bundle.input.std
        outputs = network(normalised.transpose(2, 0, 1)[None].astype(np.float32))
        seen = np.maximum(seen, [np.abs(outputs[1 + i]).max() for i in range(count)])
    return seen.tolist()


if __name__ == "__main__":
    run_command(main)
