"""Lines of stripes and a small network that reads them: on white, a grey stripe is "a", a black one "b"."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import openvino as ov
from openvino import opset13 as ops

from ocr_core.bundle import InputFormat, Kind, ModelBundle, Origin, file_sha256, write_manifest
from training.batches import LabelledLine

HEIGHT = 8
DARKNESS = np.float32([0, 0.5, 1])
"""Of blank, a and b."""

_SHARPNESS = 40


def striped_line(text: str) -> LabelledLine:
    """RGB, 8 pixels high, 16 wide for each character."""
    image = np.full((HEIGHT, 16 * len(text), 3), 255, np.uint8)
    for position, character in enumerate(text):
        image[:, 16 * position + 4 : 16 * position + 12] = {"a": 128, "b": 0}[character]
    return LabelledLine(image, text)


def striped_lines(count: int) -> list[LabelledLine]:
    """Lines of two to five characters."""
    rng = np.random.default_rng(3)
    return [striped_line("".join(rng.choice(["a", "b"], rng.integers(2, 6)))) for _ in range(count)]


def striped_set(folder: Path, count: int) -> Path:
    """A labelled set of such lines."""
    folder.mkdir(parents=True)
    lines = striped_lines(count)
    for index, line in enumerate(lines):
        cv2.imwrite(str(folder / f"{index}.png"), line.image)
    rows = [f"{index}.png\t{line.text}\n" for index, line in enumerate(lines)]
    (folder / "labels.tsv").write_text("".join(rows), encoding="utf-8")
    return folder


def striped_bundle(models_dir: Path, name: str = "striped", *, loud: float = 1.0) -> Path:
    """Two convolutions, the mean over the height, a head. Returns its folder.

    loud: by how much the first convolution multiplies the darkness in channels that nothing after it reads; one scale
    for all channels cannot express these and the others in 8 bits. What the head makes of differences between features
    has great weights and never matters, as there are none.
    """
    pixels = ops.parameter([-1, 3, HEIGHT, -1], np.float32)
    first = _convolution(pixels, np.outer([-1, -loud, -loud, -1], np.full(3, 1 / 3)))
    second = _convolution(first, np.float32([[0.5, 0, 0, 0.5], [0.5, 0, 0, 0.5], [1, 0, 0, 0], [0, 0, 0, 1]]))
    columns = ops.transpose(ops.reduce_mean(second, np.int64([2])), np.int64([0, 2, 1]))
    weight = _SHARPNESS * (np.outer(DARKNESS, np.full(4, 0.5)) + np.outer([1, -1, 2], [5, -5, 0, 0]))
    scores = ops.add(
        ops.matmul(columns, ops.constant(np.float32(weight)), False, True),
        ops.constant(np.float32(-_SHARPNESS * DARKNESS**2)[None, None]),
    )
    graph = ov.Model([ops.softmax(scores, 2)], [pixels])
    folder = models_dir / name / "1"
    folder.mkdir(parents=True)
    ov.save_model(graph, folder / "model.xml", compress_to_fp16=False)
    bundle = ModelBundle(
        name=name,
        version="1",
        kind=Kind.RECOGNIZER,
        input=InputFormat(height=HEIGHT, channels="RGB", mean=(1, 1, 1), std=(1, 1, 1)),
        characters=("a", "b"),
        origin=Origin(source="a test", file="striped", sha256="0" * 64),
        licence="Apache-2.0",
        weights_sha256=file_sha256(folder / "model.bin"),
    )
    write_manifest(folder, bundle)
    return folder


def _convolution(features: ov.Node, mixing: np.ndarray) -> ov.Node:
    """3 x 3, of which only the middle counts, and ReLU. mixing: [out, in]."""
    kernel = np.zeros((*mixing.shape, 3, 3), np.float32)
    kernel[:, :, 1, 1] = mixing
    return ops.relu(ops.convolution(features, ops.constant(kernel), [1, 1], [1, 1], [1, 1], [1, 1]))
