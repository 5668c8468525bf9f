"""Labelled lines, made up."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("torch", reason="needs the extra `training`")

from training.synth.samples import SynthLines, SynthSettings


def test_a_line_depends_on_seed_and_index_alone(charset, lines):
    """The same seed and index give the same line, whatever was sampled before and by which object."""
    other = SynthLines(charset, SynthSettings(root=None), seed=7)
    for index in (40, 3, 11):
        first, second = lines.sample(index), other.sample(index)
        assert first.text == second.text
        np.testing.assert_array_equal(first.image, second.image)


def test_another_seed_gives_other_lines(charset, lines):
    """Seeds share no lines."""
    other = SynthLines(charset, SynthSettings(root=None), seed=8)
    assert [lines.sample(index).text for index in range(8)] != [other.sample(index).text for index in range(8)]


def test_lines_are_images_with_texts_of_the_charset(charset, lines):
    """Images are RGB, uint8, with ink; texts have drawable characters of the charset and no double or outer spaces."""
    allowed = lines.fonts.characters.intersection(charset.characters) | {" "}
    for index in range(150):
        line = lines.sample(index)
        assert line.image.dtype == np.uint8
        assert line.image.ndim == 3
        assert line.image.shape[2] == 3
        assert line.image.std() > 3
        assert line.text == " ".join(line.text.split())
        assert line.text
        assert set(line.text) <= allowed


def test_plan_tells_the_text_of_a_sample(lines):
    """The quick plan has the text that is drawn, but for lines that nobody could read."""
    same = [lines.plan(index)[1] == lines.sample(index).text for index in range(60)]
    assert sum(same) >= 54


def test_shares_choose_scenes(charset):
    """With all shares but one at zero every line is of that scene."""
    shares = dict.fromkeys(("screen", "book", "traditional_book", "camera_page", "form", "receipt", "sign"), 0.0)
    shares |= {"subtitle": 0.0, "handwriting": 0.0, "mark": 0.0}
    plates = SynthLines(charset, SynthSettings(root=None, shares=shares), seed=1)
    assert {plates.plan(index)[0].name for index in range(20)} == {"plate"}


def test_without_severity_lines_are_only_drawn_and_cut(charset):
    """At severity 0 two lines of one text and size differ in nothing but fonts and colours: no line is smaller."""
    clean = SynthLines(charset, SynthSettings(root=None, severity=0.0), seed=1)
    assert all(clean.sample(index).image.shape[0] >= 9 for index in range(60))


def test_settings_refuse_unknown_scenes():
    """A misspelt scene is an error, not a share that is ignored."""
    with pytest.raises(ValueError, match="plates"):
        SynthSettings(shares={"plates": 1.0})


def test_a_root_that_was_not_built_is_an_error(charset, tmp_path):
    """Lines are never made of less than was asked for."""
    with pytest.raises(FileNotFoundError, match=r"training\.synth build"):
        SynthLines(charset, SynthSettings(root=tmp_path), seed=1)
