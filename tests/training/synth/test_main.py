"""The commands, on what is bundled."""

from __future__ import annotations

import sys
from itertools import cycle
from pathlib import Path

import cv2
import pytest

pytest.importorskip("torch", reason="needs the extra `training`")

from training.synth import __main__ as command
from training.synth import samples
from training.synth.corpus import Corpus, han_count
from training.synth.fonts import load_fonts
from training.synth.samples import SynthLines, SynthSettings


@pytest.fixture
def run(monkeypatch, charset):
    def bundled(args) -> SynthLines:
        shares = {args.scene: 1.0} if args.scene else {}
        return SynthLines(charset, SynthSettings(root=None, shares=shares), args.seed)

    def call(*words: str) -> None:
        monkeypatch.setattr(sys, "argv", ["synth", *words])
        command.main()

    monkeypatch.setattr(command, "_lines", bundled)
    monkeypatch.setattr(command, "_charset", lambda args: charset)
    return call


def test_a_sheet_is_a_picture_of_lines(run, tmp_path, capsys):
    """Seven lines in two columns make four rows, and their texts are told."""
    run("sheet", "--lines", "7", "--columns", "2", "--texts", str(tmp_path / "sheet.png"))
    picture = cv2.imread(str(tmp_path / "sheet.png"))
    assert picture.shape == (4 * 54, 2 * 640, 3)
    assert len(capsys.readouterr().out.splitlines()) == 7


def test_texts_of_a_sheet_are_those_that_were_drawn(run, charset, tmp_path, capsys, monkeypatch):
    """Where a line is drawn anew, as it could not be read, its text is the new one."""
    readable = cycle((False, True))
    monkeypatch.setattr(samples, "_is_readable", lambda image: next(readable))
    run("sheet", "--lines", "7", "--texts", str(tmp_path / "sheet.png"))
    lines = SynthLines(charset, SynthSettings(root=None), 0)
    drawn = [lines.sample(index).text for index in range(7)]
    assert drawn != [lines.plan(index)[1] for index in range(7)]
    assert capsys.readouterr().out.splitlines() == [f"{index}\t{text}" for index, text in enumerate(drawn)]


def test_texts_are_those_of_the_lines(run, capsys):
    """One each, without those that have more Han characters than wanted."""
    for most, count in ((0, 60), (-1, 0)):
        run("texts", "--lines", "60", f"--most-han={most}")
        texts = capsys.readouterr().out.splitlines()
        assert [han_count(text) for text in texts] == [0] * count


def test_coverage_tells_the_classes_that_never_come_up(run, capsys):
    """Characters that no font draws are told apart from those that did not come up."""
    run("coverage", "--lines", "400")
    told = capsys.readouterr().out
    assert "no font draws ['。', '上', '今', '们', '午', '天', '我', '，']" in told
    assert "never seen: 0" in told


def test_speed_is_in_lines_per_second(run, capsys):
    """A number of lines per second of processor time."""
    run("speed", "--lines", "5")
    assert int(capsys.readouterr().out.split()[0]) > 0


def test_missing_lists_what_a_larger_charset_could_have(run, monkeypatch, capsys):
    """Characters that texts have, fonts draw and the charset lacks, the most frequent first; others are not listed."""
    corpus = Corpus({"verse": "éØ汉aéééØ"}, {})
    monkeypatch.setattr(command, "load_corpus", lambda folder: corpus)
    monkeypatch.setattr(command, "load_fonts", lambda folder, wanted: load_fonts(None, wanted))
    run("missing")
    assert capsys.readouterr().out == "é\t4\nØ\t2\n"


@pytest.mark.parametrize("only", ["packages", "text", "fonts"])
def test_steps_of_a_build_run_alone(run, monkeypatch, tmp_path, only):
    """--only runs one step, which finds the packages and its folder below the root."""
    called: dict[str, tuple[Path, ...]] = {}
    for name in ("fetch_packages", "build_corpus", "build_fonts", "build_strokes"):
        monkeypatch.setattr(command, name, lambda *folders, name=name: called.setdefault(name, folders))
    run("build", "--root", str(tmp_path), "--only", only)
    packages = tmp_path / "packages"
    steps = {
        "packages": {"fetch_packages": (packages,)},
        "text": {"build_corpus": (packages, tmp_path / "text")},
        "fonts": {
            "build_fonts": (packages, tmp_path / "fonts"),
            "build_strokes": (packages, tmp_path / "strokes.npz"),
        },
    }
    assert called == steps[only]
