"""Fonts that lines are drawn in: which faces there are, their style, and which characters each can really draw."""

from __future__ import annotations

import json
import shutil
import tomllib
from bisect import bisect
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from importlib.util import find_spec
from itertools import accumulate, groupby
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Any

from fontTools.merge import Merger, Options
from fontTools.ttLib import TTFont
from PIL import ImageFont

FAMILIES = Path(__file__).with_name("fonts.toml")
INDEX = "index.json"
STYLES = ("print", "hand", "display", "mono", "dots")
_TRIES = 8
_CHANGES = 0.06  # lines in which the faces change
_PROBE_PX = 24
# More characters with one and the same picture are a placeholder, not letters that happen to look alike.
_MAX_TWINS = 6
_SHAPING = [
    *("GSUB", "GPOS", "GDEF", "BASE", "STAT", "DSIG", "LTSH", "VORG", "vhea", "vmtx", "kern", "meta"),
    *("cvt ", "fpgm", "prep", "gasp", "hdmx"),
]
# Blocks that a line of text can be of; icons and private use are not.
_BLOCKS = (
    *(range(0x21, 0x500), range(0x1E00, 0x1F00), range(0x2000, 0x2C00), range(0x2E80, 0x33FF), range(0x3400, 0xA000)),
    *(range(0xF900, 0xFB00), range(0xFE30, 0xFE70), range(0xFF00, 0xFFF0), range(0x20000, 0x2A6E0)),
)


@dataclass(frozen=True, slots=True)
class Face:
    """One font of a file.

    index: its place in a collection; chinese: it is for Han characters; characters: those it draws.
    """

    name: str
    path: Path
    index: int
    style: str
    chinese: bool
    weight: float
    characters: frozenset[str]


@dataclass(frozen=True, slots=True)
class Run:
    """Part of a line that one face draws."""

    face: Face
    text: str


@dataclass(frozen=True)
class FontBook:
    """All faces."""

    faces: tuple[Face, ...]

    @cached_property
    def characters(self) -> frozenset[str]:
        """All that any face draws."""
        return frozenset().union(*(face.characters for face in self.faces))

    @cached_property
    def _shelves(self) -> dict[tuple[str, bool], tuple[tuple[Face, ...], tuple[float, ...]]]:
        shelves = {}
        for style in STYLES:
            for chinese in (False, True):
                faces = tuple(face for face in self.faces if (face.style, face.chinese) == (style, chinese))
                shelves[style, chinese] = faces, tuple(accumulate(face.weight for face in faces))
        return shelves

    def choose(self, text: str, styles: Mapping[str, float], dice: Random) -> list[Run]:
        """Faces for a text, of a style by its weight: one for Han characters, maybe another for Latin ones.

        A character that the chosen face lacks goes to any face that has it. Spaces stay with what is before them.
        Now and then the faces change within the line, as where words are set in bold.
        """
        if len(text) > 5 and dice.random() < _CHANGES:
            middle = dice.randrange(1, len(text))
            return [*self._choose(text[:middle], styles, dice), *self._choose(text[middle:], styles, dice)]
        return self._choose(text, styles, dice)

    def _choose(self, text: str, styles: Mapping[str, float], dice: Random) -> list[Run]:
        style = dice.choices(tuple(styles), tuple(styles.values()))[0]
        wide = {character for character in text if is_wide(character)}
        narrow = set(text) - wide - {" "}
        chinese = self._covering(wide, style, True, dice) if wide or dice.random() < 0.15 else None
        one_face = chinese is not None and narrow <= chinese.characters and dice.random() < 0.6
        latin = None if one_face or not narrow else self._covering(narrow, style, False, dice)
        return list(self._runs(text, [face for face in (latin, chinese) if face], dice))

    def _covering(self, needed: set[str], style: str, chinese: bool, dice: Random) -> Face | None:
        """A face with all needed characters, or the one of a few that has most of them."""
        best: tuple[int, Face] | None = None
        for chosen in (style, "print"):
            faces, weights = self._shelves[chosen, chinese]
            for _ in range(_TRIES if faces else 0):
                face = faces[bisect(weights, dice.random() * weights[-1])]
                missing = len(needed - face.characters)
                if not missing:
                    return face
                if best is None or missing < best[0]:
                    best = missing, face
        return best[1] if best else None

    def _runs(self, text: str, preferred: list[Face], dice: Random) -> Iterator[Run]:
        """Narrow characters from the first face, wide ones from the last; each from any face when theirs lacks it."""
        order: list[Face] = []
        last = preferred[0] if preferred else self.faces[0]
        chosen: list[tuple[Face, str]] = []
        for character in text:
            ranked = preferred if not is_wide(character) else preferred[::-1]
            face = last if character == " " else next((face for face in ranked if character in face.characters), None)
            if face is None:
                order = order or dice.sample(self.faces, len(self.faces))
                face = next((face for face in order if character in face.characters), last)
            chosen.append((face, character))
            last = face
        for face, pairs in groupby(chosen, key=lambda pair: pair[0]):
            yield Run(face, "".join(character for _, character in pairs))


def is_wide(character: str) -> bool:
    """Whether a character is drawn by a Chinese font: all but letters and signs of Western text."""
    return ord(character) >= 0x2E80


def load_fonts(folder: Path | None, wanted: Collection[str]) -> FontBook:
    """Faces of a folder that build_fonts wrote, cut down to the wanted characters; None: what matplotlib brings along.

    Raises FileNotFoundError when the folder has none.
    """
    if folder is None:
        return FontBook(tuple(_bundled_faces(frozenset(wanted))))
    index = folder / INDEX
    if not index.exists():
        raise FileNotFoundError(f"no fonts in {folder}: run `python -m training.synth build`")
    rows = json.loads(index.read_text(encoding="utf-8"))
    faces = (
        Face(
            name=row["name"],
            path=folder / row["path"],
            index=row["index"],
            style=row["style"],
            chinese=row["chinese"],
            weight=row["weight"],
            characters=frozenset(row["characters"]).intersection(wanted),
        )
        for row in rows
    )
    return FontBook(tuple(face for face in faces if face.characters))


def _bundled_faces(wanted: frozenset[str]) -> Iterator[Face]:
    package = find_spec("matplotlib")
    if package is None or package.origin is None:
        raise FileNotFoundError("no fonts: install matplotlib or run `python -m training.synth build`")
    for file in sorted((Path(package.origin).parent / "mpl-data/fonts/ttf").glob("DejaVu*.ttf")):
        if "Display" not in file.name:
            style = "mono" if "Mono" in file.name else "print"
            yield Face(file.stem, file, 0, style, False, 1.0, drawable(file, 0) & wanted)


def build_fonts(packages: Path, folder: Path) -> None:
    """Copy or convert the faces of fonts.toml from the unpacked packages, and write the index of what each draws."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = [row for family in _families() for row in _build_family(family, packages, folder)]
    (folder / INDEX).write_text(json.dumps(rows, ensure_ascii=False), encoding="utf-8")


def _families() -> list[dict[str, Any]]:
    families: list[dict[str, Any]] = tomllib.loads(FAMILIES.read_text(encoding="utf-8"))["family"]
    return families


def _build_family(family: dict[str, Any], packages: Path, folder: Path) -> Iterator[dict[str, Any]]:
    patterns = [pattern.format(name) for pattern in family["files"] for name in family.get("packages", [""])]
    files = sorted({file for pattern in patterns for file in packages.glob(pattern)})
    if not files:
        raise FileNotFoundError(f"font family {family['name']}: no files {patterns} in {packages}")
    faces = [files] if family.get("merge") else [[file] for file in files]
    index = family.get("index", 0)
    for number, parts in enumerate(faces):
        path = _usable(parts, folder / f"{family['name']}-{number}")
        drawn = drawable(path, index)
        characters = "".join(sorted(drawn.intersection(family["only"]) if "only" in family else drawn))
        print(f"{path.name} {family['style']}: {len(characters)} characters", flush=True)
        yield {
            "name": path.stem,
            "path": path.name,
            "index": index,
            "style": family["style"],
            "chinese": family["chinese"],
            "weight": family["weight"] / len(faces),
            "characters": characters,
        }


def _usable(parts: Sequence[Path], stem: Path) -> Path:
    """Parts of one font as one file that FreeType reads: web fonts are unpacked, slices put together."""
    if parts[0].suffix != ".woff2":
        target = stem.with_suffix(parts[0].suffix)
        shutil.copyfile(parts[0], target)
        return target
    target = stem.with_suffix(".ttf")
    if len(parts) == 1:
        _unpack_web_font(parts[0], target)
        return target
    with TemporaryDirectory() as scratch:
        slices = [Path(scratch, f"{number}.ttf") for number in range(len(parts))]
        for part, file in zip(parts, slices, strict=True):
            _unpack_web_font(part, file)
        # Shaping and hinting differ from slice to slice and are of no use to single characters.
        Merger(Options(drop_tables=_SHAPING)).merge(list(map(str, slices))).save(target)
    return target


def _unpack_web_font(source: Path, target: Path) -> None:
    with TTFont(source) as font:
        font.flavor = None
        font.save(target)


@cache
def drawable(path: Path, index: int) -> frozenset[str]:
    """Characters that a face maps to ink of their own: no empty glyphs and no boxes that stand for missing ones."""
    with TTFont(path, fontNumber=index, lazy=True) as font:
        mapped = font.getBestCmap() or {}
    pen = ImageFont.truetype(path, _PROBE_PX, index=index, layout_engine=ImageFont.Layout.BASIC)
    pictures = {}
    for block in _BLOCKS:
        for character in map(chr, filter(mapped.__contains__, block)):
            mask = pen.getmask(character)
            if mask.getbbox():
                pictures[character] = (mask.size, bytes(mask))
    twins = Counter(pictures.values())
    return frozenset(character for character, picture in pictures.items() if twins[picture] <= _MAX_TWINS)
