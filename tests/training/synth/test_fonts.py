"""Faces, and which one draws what."""

from __future__ import annotations

from dataclasses import replace
from random import Random

import pytest

pytest.importorskip("fontTools", reason="needs the extra `training`")

from fontTools.subset import Subsetter
from fontTools.ttLib import TTFont

from training.synth import fonts
from training.synth.fonts import FontBook, Run, build_fonts, drawable, load_fonts

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


def web_font(source, target, characters: str) -> None:
    """A slice of a font with these characters, as web fonts are packed."""
    font = TTFont(source)
    subsetter = Subsetter()
    subsetter.populate(text=characters)
    subsetter.subset(font)
    font.flavor = "woff2"
    target.parent.mkdir(parents=True, exist_ok=True)
    font.save(target)


def test_families_become_files_and_an_index(book, tmp_path, monkeypatch):
    """Web fonts are unpacked, slices put together, weights shared, and characters kept that are drawable and wanted."""
    source, packages = book.faces[0].path, tmp_path / "packages"
    for package, characters in (("one", "abc"), ("two", "xyz")):
        web_font(source, packages / f"npm/{package}/{package}.woff2", characters)
    web_font(source, packages / "npm/sliced/1.woff2", "01")
    web_font(source, packages / "npm/sliced/2.woff2", "89")
    (tmp_path / "fonts.toml").write_text(
        """
        [[family]]
        name = "letters"
        packages = ["one", "two"]
        files = ["npm/{0}/{0}.woff2"]
        only = "abxy"
        style = "print"
        chinese = false
        weight = 4
        [[family]]
        name = "digits"
        files = ["npm/sliced/*.woff2"]
        merge = true
        style = "mono"
        chinese = false
        weight = 1
        """
    )
    monkeypatch.setattr(fonts, "FAMILIES", tmp_path / "fonts.toml")
    build_fonts(packages, tmp_path / "fonts")
    faces = load_fonts(tmp_path / "fonts", frozenset("abcxyz0189")).faces
    assert [(face.style, face.weight, "".join(sorted(face.characters))) for face in faces] == [
        ("print", 2.0, "ab"),
        ("print", 2.0, "xy"),
        ("mono", 1.0, "0189"),
    ]
    assert drawable(faces[2].path, 0) >= set("0189")


def test_a_family_without_files_is_an_error(tmp_path, monkeypatch):
    """A package that changed its layout is told, not left out."""
    (tmp_path / "fonts.toml").write_text('[[family]]\nname = "gone"\nfiles = ["npm/gone/*.ttf"]\n')
    monkeypatch.setattr(fonts, "FAMILIES", tmp_path / "fonts.toml")
    with pytest.raises(FileNotFoundError, match="gone"):
        build_fonts(tmp_path, tmp_path / "fonts")
