"""Lines to calibrate with: out of a folder, or made."""

from __future__ import annotations

import random
from pathlib import Path

import cv2

from ocr_core.charset import Charset
from ocr_core.evaluation import LABELS, read_labels
from ocr_core.image import load_image
from ocr_core.image_limits import ImageLimits
from training.batches import LabelledLine
from training.compress.errors import CompressionFailed
from training.synth.samples import SynthLines, SynthSettings

SEED = 2_000_003
"""Of lines and of their choice: none that is trained or validated with."""


def folder_lines(folder: Path, count: int) -> list[LabelledLine]:
    """Up to `count` lines of a folder with labels.tsv, the same ones every time. Labels may be empty.

    Raises CompressionFailed when there are none.
    """
    rows = read_labels(folder) if (folder / LABELS).exists() else []
    if not rows:
        raise CompressionFailed(f"{folder} has no {LABELS} with lines")
    chosen = random.Random(SEED).sample(rows, min(count, len(rows)))  # noqa: S311 - no secret
    return [LabelledLine(load_image((folder / path).read_bytes(), ImageLimits()), text) for path, text in chosen]


def draw_set(folder: Path, charset: Charset, count: int) -> None:
    """Write lines of the renderer as labels.tsv and images into a folder. Raises as drawn_lines."""
    rows = []
    for index, line in enumerate(drawn_lines(charset, count)):
        name = f"{index}.png"
        cv2.imwrite(str(folder / name), cv2.cvtColor(line.image, cv2.COLOR_RGB2BGR))
        rows.append(f"{name}\t{line.text}\n")
    (folder / LABELS).write_text("".join(rows), encoding="utf-8")


def drawn_lines(charset: Charset, count: int) -> list[LabelledLine]:
    """Lines of the renderer. Raises CompressionFailed when the texts and fonts that it draws have not been built."""
    try:
        lines = SynthLines(charset, SynthSettings(), SEED)
    except FileNotFoundError as error:
        raise CompressionFailed(f"{error}, or name a folder of labelled lines") from error
    return [lines.sample(index) for index in range(count)]
