"""Atlas and texts for composed lines: make them, look at them, measure them.

- build: draw the atlas and sample the texts, from the fonts and texts of `python -m training.synth build`;
- sheet: a picture of composed lines, to look at;
- bench: composed lines each second.

Run: python -m training.synth.atlas build|sheet|bench [--help]
"""

from __future__ import annotations

import time
from argparse import ArgumentParser, Namespace, RawDescriptionHelpFormatter
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from ocr_core.bundle import InputFormat, read_bundle
from ocr_core.charset import Charset
from training.batches import LineBatch
from training.command import run_command
from training.synth.atlas.cost import CostMeter
from training.synth.atlas.glyphs import GlyphAtlas, Writer, build_atlas
from training.synth.atlas.lines import AtlasLines, AtlasSettings
from training.synth.atlas.stream import save_lines
from training.synth.fonts import Face
from training.synth.pen import STROKES, load_strokes
from training.synth.samples import BUILT, SynthLines, SynthSettings

_GLYPH_BYTES = {True: 125, False: 90}
"""A packed glyph's usual size, of Chinese fonts and of others."""
_WRITERS_WEIGHT = 6.0
"""Of all handwriting from strokes, beside the weights of the families of fonts."""
_HALVES = (0.5, 0.5, 0.5)
_GAP = 4


def build(arguments: Namespace) -> None:
    """Draw the atlas and sample the texts."""
    started = time.perf_counter()
    from training.start import extra_characters  # its OpenVINO may be missing where lines are only composed

    known = read_bundle(arguments.bundle).charset
    charset = Charset((*known.characters, *extra_characters(arguments.extra)), known.blank_index)
    lines = SynthLines(charset, SynthSettings(root=arguments.root), arguments.seed)
    strokes = load_strokes(arguments.root / STROKES)
    writers = [Writer(seed, strokes, _WRITERS_WEIGHT / arguments.writers) for seed in range(arguments.writers)]
    written = len(strokes.characters.keys() & set(charset.characters)) * len(writers)
    faces = fitting(lines.fonts.faces, arguments.mib * 2**20 - written * _GLYPH_BYTES[True])
    atlas = build_atlas(faces, (" ", *charset.characters), writers)
    atlas.save(_atlas(arguments))
    print(
        f"{len(faces)} of {len(lines.fonts.faces)} fonts, {len(atlas.advances) - 1} glyphs, {_mib(_atlas(arguments))}"
    )
    lacking = [
        character for character, glyphs in zip(atlas.characters, atlas.glyph_of.T, strict=True) if not any(glyphs)
    ]
    print(f"{len(lacking)} of {len(atlas.characters)} characters cannot be drawn: {''.join(lacking)}", flush=True)
    save_lines(_text(arguments), (lines.plan(index)[1] for index in range(arguments.lines)))
    print(f"{arguments.lines} lines, {_mib(_text(arguments))}; {time.perf_counter() - started:.0f} s")


def fitting(faces: Sequence[Face], byte_limit: float) -> list[Face]:
    """Faces that fit into so many bytes of atlas together, each family's with the whole weight of the family.

    Small ones, without Chinese, come first, then families by their weight, which counts half as much for each further
    face, so that none is left out before others have all their faces.
    """
    families: defaultdict[str, list[Face]] = defaultdict(list)
    for face in faces:
        families[_family(face)].append(face)
    weights = {name: sum(face.weight for face in family) for name, family in families.items()}
    worth = {
        face.name: weights[name] / 2**place for name, family in families.items() for place, face in enumerate(family)
    }
    chosen: list[Face] = []
    for face in sorted(faces, key=lambda face: (face.chinese, -worth[face.name])):
        size = len(face.characters) * _GLYPH_BYTES[face.chinese]
        if size <= byte_limit:
            chosen.append(face)
            byte_limit -= size
    counts = Counter(map(_family, chosen))
    return [replace(face, weight=weights[_family(face)] / counts[_family(face)]) for face in chosen]


def _family(face: Face) -> str:
    return face.name.rpartition("-")[0]


def sheet(arguments: Namespace) -> None:
    """A picture of composed lines, and their texts."""
    lines, charset = _lines(arguments)
    rows: list[np.ndarray[tuple[int, ...], np.dtype[np.uint8]]] = []
    for index in range(arguments.batches):
        batch = lines.batch(index, 12)
        pictures = ((batch.images * 0.5 + 0.5) * 255).round().byte().permute(0, 2, 3, 1).cpu().numpy()
        rows += [picture[:, :width] for picture, width in zip(pictures, batch.widths.tolist(), strict=True)]
        for target, length in zip(batch.targets, batch.target_lengths, strict=True):
            print(charset.text(target[:length].tolist()))
    Image.fromarray(_shelved(rows, width=arguments.width)).save(arguments.picture)


def _shelved(
    pictures: Sequence[np.ndarray[tuple[int, ...], np.dtype[np.uint8]]], *, width: int
) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    """Pictures of one height in rows, as many to the row as fit."""
    height = pictures[0].shape[0] + _GAP
    places, x, y = [], 0, 0
    for picture in pictures:
        if x + picture.shape[1] > width:
            x, y = 0, y + height
        places.append((x, y))
        x += picture.shape[1] + _GAP
    canvas = np.full((y + height, width, 3), 90, np.uint8)
    for picture, (x, y) in zip(pictures, places, strict=True):
        canvas[y : y + picture.shape[0], x : x + picture.shape[1]] = picture
    return canvas


def bench(arguments: Namespace) -> None:
    """Composed lines each second, the share of their pixels that is padding, and what they cost any device."""
    torch.set_num_threads(arguments.threads)
    lines, _ = _lines(arguments)
    lines.batch(0, arguments.size)
    _wait()
    started, processor = time.perf_counter(), time.process_time()
    padding = [_padding(lines.batch(1 + index, arguments.size)) for index in range(arguments.batches)]
    _wait()
    seconds, processor = time.perf_counter() - started, time.process_time() - processor
    count = arguments.batches * arguments.size
    print(
        f"{arguments.device}, {arguments.threads} threads, batches of {arguments.size}: {count / seconds:.0f} lines/s,"
    )
    print(f"{count / processor:.0f} for each second of a processor; {float(torch.stack(padding).mean()):.0%} padding")
    with CostMeter() as meter:
        for index in range(arguments.batches):
            lines.batch(1 + index, arguments.size)
    print(f"{meter.kernels / arguments.batches:.0f} kernels a batch, {meter.bytes / count / 1e6:.1f} MB a line")


def _padding(batch: LineBatch) -> torch.Tensor:
    return 1 - batch.widths.float().mean() / batch.images.shape[3]


def _wait() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def _lines(arguments: Namespace) -> tuple[AtlasLines, Charset]:
    """Lines of all characters of the atlas."""
    wanted = InputFormat(height=arguments.height, channels="RGB", mean=_HALVES, std=_HALVES)
    settings = AtlasSettings(_atlas(arguments), _text(arguments), wanted, strength=arguments.strength)
    charset = Charset(GlyphAtlas.load(settings.atlas).characters, blank_index=0)
    return AtlasLines(charset, settings, arguments.seed, arguments.device), charset


def _atlas(arguments: Namespace) -> Path:
    return Path(arguments.folder / "atlas.npz")


def _text(arguments: Namespace) -> Path:
    return Path(arguments.folder / "lines.xz")


def _mib(path: Path) -> str:
    return f"{path.name} {path.stat().st_size / 2**20:.1f} MiB"


def main() -> None:
    """The command line."""
    parser = ArgumentParser(description=__doc__, formatter_class=RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, default=BUILT / "atlas", help="of atlas and texts")
    parser.add_argument("--seed", type=int, default=0)
    commands = parser.add_subparsers(required=True)
    builder = commands.add_parser("build", help=build.__doc__)
    builder.add_argument("--root", type=Path, default=BUILT, help="of fonts and texts")
    builder.add_argument(
        "--bundle", type=Path, default=BUILT / "teachers" / "ppocrv2-zh-en" / "1", help="whose charset is drawn"
    )
    builder.add_argument("--extra", default="traditional", help="characters besides, as in training recipes")
    builder.add_argument("--mib", type=float, default=34.0, help="size of the atlas at most, about")
    builder.add_argument("--writers", type=int, default=6, help="hands that write from strokes")
    builder.add_argument("--lines", type=int, default=400_000)
    builder.set_defaults(run=build)
    painter, timer = commands.add_parser("sheet", help=sheet.__doc__), commands.add_parser("bench", help=bench.__doc__)
    painter.add_argument("picture", type=Path)
    painter.add_argument("--width", type=int, default=1400)
    painter.set_defaults(run=sheet)
    timer.add_argument("--size", type=int, default=128)
    timer.add_argument("--threads", type=int, default=1)
    timer.set_defaults(run=bench)
    for command in (painter, timer):
        command.add_argument("--height", type=int, default=32)
        command.add_argument("--strength", type=float, default=1.0)
        command.add_argument("--device", default="cpu")
        command.add_argument("--batches", type=int, default=8)
    arguments = parser.parse_args()
    arguments.run(arguments)


if __name__ == "__main__":
    run_command(main)
