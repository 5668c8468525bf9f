"""`python -m training.synth build | sheet | texts | coverage | missing | speed`: make lines' parts; look; measure."""

from __future__ import annotations

import time
from argparse import ArgumentParser, Namespace
from collections import Counter
from pathlib import Path

import cv2
import numpy as np

from ocr_core.bundle import Kind, Registry
from ocr_core.charset import Charset
from ocr_core.types import Image
from training.command import run_command
from training.recipe import find_recipe
from training.synth.corpus import build_corpus, character_counts, han_count, load_corpus
from training.synth.fonts import build_fonts, load_fonts
from training.synth.packages import fetch_packages
from training.synth.pen import STROKES, build_strokes
from training.synth.samples import BUILT, SynthLines, SynthSettings
from training.synth.scenes import SCENES

_ROW_HEIGHT, _COLUMN_WIDTH = 48, 640


def main() -> None:
    """Run one command."""
    args = _parser().parse_args()
    args.run(args)


def _parser() -> ArgumentParser:
    parser = ArgumentParser(prog="python -m training.synth", description=__doc__)
    commands = parser.add_subparsers(required=True)
    build = commands.add_parser("build", help="fetch packages; write texts and fonts")
    build.set_defaults(run=_build)
    build.add_argument("--root", type=Path, default=BUILT)
    build.add_argument("--only", choices=("packages", "text", "fonts"), help="one step of the three")
    for name, run, lines, told in (
        ("sheet", _sheet, 96, "draw lines into one picture"),
        ("texts", _texts, 400_000, "print texts of lines, for a character model"),
        ("coverage", _coverage, 100_000, "count the classes that come up in so many lines"),
        ("missing", _missing, 0, "list what the texts have and the charset lacks, most frequent first"),
        ("speed", _speed, 500, "measure lines per second on one core"),
    ):
        command = commands.add_parser(name, help=told)
        command.set_defaults(run=run)
        command.add_argument("--root", type=Path, default=BUILT)
        command.add_argument("--bundle", default="glyphwire-zh-en", help="whose charset to use (default: %(default)s)")
        command.add_argument("--models", type=Path, default=Path("models"))
        if lines:
            command.add_argument("--lines", type=int, default=lines)
            command.add_argument("--seed", type=int, default=0)
            command.add_argument("--scene", choices=[scene.name for scene in SCENES], help="this scene alone")
            command.add_argument("--recipe", help="scenes in the shares of this training recipe")
        if name == "texts":
            command.add_argument("--most-han", type=int, metavar="N", help="none with more Han characters [any]")
        if name == "sheet":
            command.add_argument("--columns", type=int, default=3)
            command.add_argument("--texts", action="store_true", help="also print the text of each line")
            command.add_argument("file", type=Path, help="picture to write, .png or .jpg")
    return parser


def _build(args: Namespace) -> None:
    packages = args.root / "packages"
    if args.only in (None, "packages"):
        fetch_packages(packages)
    if args.only in (None, "text"):
        build_corpus(packages, args.root / "text")
    if args.only in (None, "fonts"):
        build_fonts(packages, args.root / "fonts")
        build_strokes(packages, args.root / STROKES)


def _charset(args: Namespace) -> Charset:
    return Registry(args.models).find(args.bundle, Kind.RECOGNIZER).charset


def _lines(args: Namespace) -> SynthLines:
    if args.scene:
        shares = {scene.name: float(scene.name == args.scene) for scene in SCENES}
    else:
        shares = dict(find_recipe(args.recipe).data.shares) if args.recipe else {}
    return SynthLines(_charset(args), SynthSettings(root=args.root, shares=shares), args.seed)


def _sheet(args: Namespace) -> None:
    lines = _lines(args)
    cells = []
    for index in range(args.lines):
        line = lines.sample(index)
        cells.append(_cell(line.image))
        if args.texts:
            # Not lines.plan, which does not know that a line may be drawn anew.
            print(index, line.text, sep="\t")
    cells += [np.full_like(cells[0], 128)] * (-len(cells) % args.columns)
    rows = [np.hstack(cells[start : start + args.columns]) for start in range(0, len(cells), args.columns)]
    cv2.imwrite(str(args.file), cv2.cvtColor(np.vstack(rows), cv2.COLOR_RGB2BGR))


def _cell(image: Image) -> Image:
    """An image at the height of the sheet on a grey cell, squeezed if it is too long."""
    height, width = image.shape[:2]
    width = min(_COLUMN_WIDTH - 8, max(1, round(width * _ROW_HEIGHT / height)))
    cell = np.full((_ROW_HEIGHT + 6, _COLUMN_WIDTH, 3), 128, np.uint8)
    cell[3 : 3 + _ROW_HEIGHT, :width] = cv2.resize(image, (width, _ROW_HEIGHT), interpolation=cv2.INTER_AREA)
    return cell


def _texts(args: Namespace) -> None:
    lines = _lines(args)
    for index in range(args.lines):
        _, text = lines.plan(index)
        if args.most_han is None or han_count(text) <= args.most_han:
            print(text)


def _coverage(args: Namespace) -> None:
    lines = _lines(args)
    wanted = {character for character in _charset(args).characters if not character.isspace()}
    seen: Counter[str] = Counter()
    for index in range(args.lines):
        seen.update(lines.plan(index)[1])
    drawable = wanted & lines.fonts.characters
    never = sorted(drawable - seen.keys())
    counts = sorted(seen[character] for character in drawable)
    print(f"charset {len(wanted)} characters, {len(drawable)} drawable; no font draws {sorted(wanted - drawable)}")
    print(f"in {args.lines} lines never seen: {len(never)} {''.join(never)}")
    percentile, median = (counts[len(counts) // part] for part in (100, 2))
    print(f"times a class was seen: least {counts[0]}, first percentile {percentile}, median {median}")


def _missing(args: Namespace) -> None:
    """Candidates for a larger charset: a font draws them, and texts have them."""
    counts = character_counts(load_corpus(args.root / "text"))
    known = set(_charset(args).characters)
    drawable = load_fonts(args.root / "fonts", counts.keys() - known).characters
    for character, count in counts.most_common():
        if character in drawable:
            print(character, count, sep="\t")


def _speed(args: Namespace) -> None:
    lines = _lines(args)
    for index in range(50):  # fonts are opened
        lines.sample(index)
    start = time.process_time()
    for index in range(50, 50 + args.lines):
        lines.sample(index)
    print(f"{args.lines / (time.process_time() - start):.0f} lines per second of one core")


if __name__ == "__main__":
    run_command(main)
