"""Pictures of how a training run went, from its metrics.

Run: python -m training.curves FOLDER
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import matplotlib as mpl

mpl.use("svg")

import matplotlib.pyplot as plt
from matplotlib.axes import Axes

from training.train import METRICS

CURVES = "curves.svg"


def draw_curves(folder: Path) -> Path:
    """Draw losses and rate, and exact match and CER on validation lines, over the lines seen. Returns the picture."""
    rows = [json.loads(row) for row in (folder / METRICS).read_text(encoding="utf-8").splitlines()]
    figure, (losses, scores) = plt.subplots(1, 2, figsize=(11, 4), layout="constrained")
    for name in ("ctc", "distillation"):
        _plot(losses, rows, name)
    losses.set(xlabel="lines seen", ylabel="loss per character", yscale="log")
    for name in ("exact", "cer"):
        _plot(scores, rows, name)
    scores.set(xlabel="lines seen", ylabel="share, validation lines", ylim=(0, 1))
    for axes in (losses, scores):
        axes.grid(alpha=0.3)
        axes.legend()
    picture = folder / CURVES
    figure.savefig(picture)
    plt.close(figure)
    return picture


def _plot(axes: Axes, rows: list[dict[str, float]], name: str) -> None:
    points = [(row["lines"], row[name]) for row in rows if name in row]
    if points:
        axes.plot(*zip(*points, strict=True), label=name, marker="." if len(points) < 100 else "")


if __name__ == "__main__":
    print(draw_curves(Path(sys.argv[1])))
