"""Pictures of how a training run went, from its metrics.

Run: python -m training.curves FOLDER
"""

from __future__ import annotations

import json
from argparse import ArgumentParser
from pathlib import Path

import matplotlib as mpl

mpl.use("svg")

import matplotlib.pyplot as plt
from matplotlib.axes import Axes

from training.command import run_command
from training.train import METRICS

CURVES = "curves.svg"


def read_metrics(folder: Path) -> list[dict[str, float]]:
    """What a run has measured, but for steps that were lost when it was ended before a checkpoint and made again."""
    rows: list[dict[str, float]] = []
    for row in map(json.loads, (folder / METRICS).read_text(encoding="utf-8").splitlines()):
        if rows and row["lines"] < rows[-1]["lines"]:
            rows = [earlier for earlier in rows if earlier["lines"] < row["lines"]]
        rows.append(row)
    return rows


def draw_curves(folder: Path) -> Path:
    """Draw losses, and exact match and CER on validation lines, over the lines seen. Returns the picture.

    What was measured but once is no curve: a run without a second look has no scores to show.
    """
    rows = read_metrics(folder)
    has_scores = sum("exact" in row for row in rows) > 1
    figure, panels = plt.subplots(1, 1 + has_scores, figsize=(11, 4), layout="constrained", squeeze=False)
    losses, *scores = panels[0]
    for name in ("ctc", "distillation", "columns"):
        _plot(losses, rows, name)
    losses.set(xlabel="lines seen", ylabel="loss per character", yscale="log")
    for axes in scores:
        for name in ("exact", "cer"):
            _plot(axes, rows, name)
        axes.set(xlabel="lines seen", ylabel="share, validation lines", ylim=(0, 1))
    for axes in panels[0]:
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


def main() -> int:
    """Draw them and say where to; returns 0."""
    parser = ArgumentParser("python -m training.curves", description=__doc__)
    parser.add_argument("folder", type=Path)
    print(draw_curves(parser.parse_args().folder))
    return 0


if __name__ == "__main__":
    run_command(main)
