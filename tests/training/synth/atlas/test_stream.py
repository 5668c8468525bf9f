"""Tests of the text stream."""

import numpy as np
import pytest

pytest.importorskip("torch", reason="needs the extra `training`")

from training.synth.atlas.stream import NARROW_EM, WIDE_EM, TextStream, load_lines, save_lines

CHARACTERS = " abc国中"
USABLE = np.array([True, True, True, False, True, True])


def text(positions):
    return "".join(CHARACTERS[position] for position in positions)


def test_lines_with_unusable_characters_are_left_out():
    """Only lines of usable characters are in the stream, each followed by a space."""
    stream = TextStream.of(["ab", "abc", "中x", "", " 国 中"], CHARACTERS, USABLE)
    assert text(stream.positions) == "ab 国 中 "
    assert stream.starts.tolist() == [0, 3]
    assert stream.word_starts.tolist() == [0, 0, 0, 3, 3, 5, 5]
    assert stream.widths_em[-1] == pytest.approx(4 * NARROW_EM + 2 * WIDE_EM)


def test_no_usable_line_is_an_error():
    """A charset that fits none of the lines is told so."""
    with pytest.raises(ValueError, match="none of 2 lines has only the 5 usable characters"):
        TextStream.of(["c", "xyz"], CHARACTERS, USABLE)


def test_stretches_are_about_as_wide_as_wanted():
    """Stretches begin with a character, end after it, and are never much wider than wanted."""
    stream = TextStream.of(["ab ab 国中", "中国", "b", "国中国中 aaab"] * 5, CHARACTERS, USABLE)
    wanted = np.random.default_rng(1).uniform(1, 8, 500)
    begin, end = stream.stretches(np.random.default_rng(2), wanted)
    widths = np.append(stream.widths_em, stream.widths_em[-1] + NARROW_EM)
    taken = widths[end] - widths[begin]
    assert (end > begin).mean() > 0.98
    assert (taken <= wanted + WIDE_EM).all()
    assert np.median(taken / wanted) > 0.75
    assert (stream.positions[begin] != 0).all()


def test_most_stretches_are_whole_words():
    """At least four of five stretches begin where a word begins and end where one ends."""
    stream = TextStream.of(["ab aab 国中", "baba b"] * 9, CHARACTERS, USABLE)
    begin, end = stream.stretches(np.random.default_rng(3), np.full(400, 3.0))
    words = set(stream.word_starts)
    ends = [stop in words or stream.positions[stop] == 0 for stop in end]
    assert np.mean([start in words for start in begin]) == 1
    assert np.mean(ends) > 0.8


def test_saved_lines_load_the_same(tmp_path):
    """Lines keep their characters, odd line separators included."""
    lines = ["a b", "国\u2028中", "", "x\x85y"]
    save_lines(tmp_path / "sub" / "lines.xz", lines)
    assert load_lines(tmp_path / "sub" / "lines.xz") == lines
