"""Faces, and which one draws what."""

from __future__ import annotations

from dataclasses import replace
from random import Random

import pytest

pytest.importorskip("fontTools", reason="needs the extra `training`")

from training.synth.fonts import FontBook, Run, drawable, load_fonts

WANTED = frozenset("abcXYZ019,. 汉")


@pytest.fixture(scope="module")
def book() -> FontBook:
    return load_fonts(None, WANTED)


def test_faces_draw_only_what_they_have_ink_for(book):
    """Neither spaces nor characters that a font lacks count as drawable."""
    assert book.characters == WANTED - {" ", "汉"}


def test_placeholders_are_not_characters(book):
    """DejaVu has a box for characters it lacks; none of those is reported, though the font would draw something."""
    path = book.faces[0].path
    assert "汉" not in drawable(path, 0)
    assert {"é", "Ω", "→"} <= drawable(path, 0)


def test_runs_cover_the_text_with_faces_that_draw_it(book):
    """Whatever is asked for, the runs join to the text and each face draws its part."""
    for seed in range(40):
        runs = book.choose("ab c, 01.", {"print": 1, "mono": 1}, Random(seed))
        assert "".join(run.text for run in runs) == "ab c, 01."
        assert all(set(run.text) <= run.face.characters | {" "} for run in runs)


def test_styles_choose_faces(book):
    """A style that has faces is kept to."""
    faces = {run.face.style for seed in range(20) for run in book.choose("abc", {"mono": 1}, Random(seed))}
    assert faces == {"mono"}


def test_a_missing_character_goes_to_another_face(book):
    """One character that the chosen face lacks is drawn by one that has it, the others stay."""
    plain = replace(book.faces[0], name="plain", chinese=False, characters=frozenset("ab"))
    chinese = replace(book.faces[0], name="chinese", chinese=True, characters=frozenset("汉b"))
    runs = FontBook((plain, chinese)).choose("a汉b", {"print": 1}, Random(4))
    assert runs == [Run(plain, "a"), Run(chinese, "汉"), Run(plain, "b")] or runs == [
        Run(plain, "a"),
        Run(chinese, "汉b"),
    ]


def test_a_folder_without_fonts_is_an_error(tmp_path):
    """A build that was not made is told, with the command."""
    with pytest.raises(FileNotFoundError, match=r"training\.synth build"):
        load_fonts(tmp_path, WANTED)
