"""How well a checkpoint reads labelled images when the whole pipeline reads them with it. For measuring only.

Run: python -m training.validate CHECKPOINT DIRECTORY
"""

from __future__ import annotations

import sys
import tempfile
from argparse import ArgumentParser
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from ocr_core.evaluation import LineScore, evaluate
from ocr_core.pipeline import DETECTOR, ORIENTATION, Pipeline
from ocr_core.pipeline_config import PipelineConfig
from ocr_core.types import RecognizeOptions
from training.command import run_command
from training.export import export
from training.recipe import MODELS


def evaluate_folder(checkpoint: Path, directory: Path, models_dir: Path) -> Iterator[LineScore]:
    """Export a checkpoint and score every set of labelled lines at or below a folder with the whole pipeline.

    models_dir: where the detector and the orientation classifier are, without which no pipeline starts.
    """
    with tempfile.TemporaryDirectory(prefix="glyphwire-") as scratch:
        for name in (DETECTOR, ORIENTATION):
            (Path(scratch) / name).symlink_to((models_dir / name).resolve())
        export(checkpoint, Path(scratch), "validated", "1")
        config = PipelineConfig(models_dir=Path(scratch), default_model="validated")
        with closing(Pipeline(config)) as pipeline:
            pipeline.start()
            for result in evaluate(pipeline, directory, RecognizeOptions()):
                if isinstance(result, LineScore):
                    yield result


def main() -> int:
    """Print the scores of each set and their mean; returns 0, or 1 when there is none."""
    parser = ArgumentParser("python -m training.validate", description=__doc__)
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("directory", type=Path)
    parser.add_argument("--models-dir", type=Path, default=MODELS)
    flags = parser.parse_args()
    scores = list(evaluate_folder(flags.checkpoint, flags.directory, flags.models_dir))
    for result in scores:
        _print(result.name, result.lines, result.exact_norm, result.cer_norm)
    if not scores:
        print(f"no labelled lines in {flags.directory}", file=sys.stderr)
        return 1
    exact, cer = (
        sum(getattr(result, figure) for result in scores) / len(scores) for figure in ("exact_norm", "cer_norm")
    )
    _print("mean", sum(result.lines for result in scores), exact, cer)
    return 0


def _print(name: str, lines: int, exact: float, cer: float) -> None:
    print(f"{name:28} {lines:5} {exact:8.4f} {cer:8.4f}")


if __name__ == "__main__":
    run_command(main)
