"""Tests of training.curves."""

import json
from pathlib import Path

import pytest

pytest.importorskip("matplotlib", reason="needs the extra `training`")
pytest.importorskip("torch", reason="needs the extra `training`")

from training.curves import read_metrics
from training.train import METRICS


def test_steps_that_were_made_again_count_once(tmp_path: Path) -> None:
    """A run that was ended before its checkpoint goes on earlier: curves do not run back."""
    rows = [{"lines": lines, "ctc": loss} for lines, loss in [(0, 5), (20, 4), (40, 3), (20, 4.1), (40, 3.1), (40, 2)]]
    (tmp_path / METRICS).write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    assert [(row["lines"], row["ctc"]) for row in read_metrics(tmp_path)] == [(0, 5), (20, 4.1), (40, 3.1), (40, 2)]
