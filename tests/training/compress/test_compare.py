"""Tests of training.compress.compare and report."""

import json
from pathlib import Path

import pytest

pytest.importorskip("torch", reason="needs the extra `training`")

from rich.console import Console

from server.cli import main
from tests.training.compress.striped import striped_bundle, striped_set
from training.compress.compare import Figures, compare
from training.compress.errors import CompressionFailed
from training.compress.report import Report, as_json, tables


def test_every_bundle_is_timed_and_scored(tmp_path: Path) -> None:
    """Figures come in the order of the bundles, with every set of lines below the folder."""
    folders = [striped_bundle(tmp_path / "models", name) for name in ("one", "other")]
    striped_set(tmp_path / "data" / "first", 5)
    striped_set(tmp_path / "data" / "second", 3)
    found = compare(folders, tmp_path / "data", rounds=2)
    assert [figures.model for figures in found] == ["one/1", "other/1"]
    for figures, folder in zip(found, folders, strict=True):
        assert [(score.name, score.lines) for score in figures.sets] == [("first", 5), ("second", 3)]
        assert (figures.exact, figures.cer) == (1, 0)
        size = sum((folder / file).stat().st_size for file in ("model.xml", "model.bin"))
        assert figures.size_mb == pytest.approx(size / 1e6)
        assert min(figures.load_ms, figures.line_ms, figures.batch_line_ms) > 0


def test_data_without_lines_is_refused(tmp_path: Path) -> None:
    """A folder without labels.tsv is named."""
    with pytest.raises(CompressionFailed, match=f"no labels.tsv in or below {tmp_path}"):
        compare([striped_bundle(tmp_path / "models")], tmp_path)


def test_ratios_are_to_the_first() -> None:
    """A report has the ratio of every cost, in JSON and in the table."""
    models = (Figures("slow/1", 8.0, 100.0, 10.0, 9.0, ()), Figures("fast/1", 2.0, 50.0, 2.5, 9.0, ()))
    report = Report("compare", {}, models)
    assert as_json(report)["models"][1]["ratios"] == {
        "size_mb": 0.25,
        "load_ms": 0.5,
        "line_ms": 0.25,
        "batch_line_ms": 1.0,
    }
    console = Console(width=120)
    with console.capture() as capture:
        for table in tables(report):
            console.print(table)
    assert "2.50 (0.25)" in capture.get()


def test_the_command_prints_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`glyphwire models compare` measures bundles of the models folder."""
    striped_bundle(tmp_path / "models")
    data = striped_set(tmp_path / "data", 4)
    arguments = ["models", "compare", "striped", "striped/1", "--data", data, "--models-dir", tmp_path / "models"]
    assert main([*map(str, arguments), "--rounds", "1", "--format", "json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert [(model["model"], model["exact"]) for model in report["models"]] == [("striped/1", 1), ("striped/1", 1)]
