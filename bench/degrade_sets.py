"""Copies of labelled sets as bad cameras, bad light and careless hands would have made them.

Each kind of damage gets a folder with a copy of every set; polygons of pages.json move with the pixels. What is random
depends on the name of the image alone, so copies are the same on every machine.

Run: python -m bench.degrade_sets EVAL_DIR OUT_DIR [--every N] [--only KIND,...]
"""

from __future__ import annotations

import json
import math
import shutil
import sys
import zlib
from argparse import ArgumentParser, RawTextHelpFormatter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from ocr_core.evaluation import LABELS, PAGES, find_sets
from ocr_core.image import load_image
from ocr_core.image_limits import ImageLimits
from ocr_core.prepare.placed_image import PlacedImage, Transform, levelling
from ocr_core.prepare.steps import AppliedStep, Step
from ocr_core.types import Image

_SMALL_TEXT = 10.0
_QUALITY = 95


@dataclass(frozen=True, slots=True)
class Sample:
    """An image to damage. text_height: of its lines in pixels; is_page: or else a line."""

    image: Image
    text_height: float
    is_page: bool
    random: np.random.Generator


@dataclass(frozen=True, slots=True)
class Damaged:
    """What became of it. moved: from places in the image that was to those in this one, float64 [3, 3]."""

    image: Image
    moved: Transform = field(default_factory=lambda: np.eye(3))


Damage = Callable[[Sample], Damaged]


def dark(sample: Sample) -> Damaged:
    """A quarter of the light, and the noise of a sensor that got too little."""
    return Damaged(_noised(sample.image * 0.25, 2.0, sample.random))


def low_contrast(sample: Sample) -> Damaged:
    """A fifth of the contrast, around the middle grey."""
    return Damaged(_noised(sample.image * 0.2 + 102.0, 1.0, sample.random))


def blurred(sample: Sample) -> Damaged:
    """Out of focus by a fourteenth of the height of the text."""
    return Damaged(np.asarray(cv2.GaussianBlur(sample.image, (0, 0), max(0.6, sample.text_height / 14)), np.uint8))


def noisy(sample: Sample) -> Damaged:
    """Noise of 25 grey levels, each channel and pixel by itself."""
    return Damaged(_noised(sample.image, 25.0, sample.random))


def shadowed(sample: Sample) -> Damaged:
    """About half of it in a shadow with a soft edge that leaves a third of the light."""
    height, width = sample.image.shape[:2]
    angle = sample.random.uniform(0, 2 * math.pi)
    y, x = np.mgrid[0:height, 0:width]
    diagonal = math.hypot(height, width)
    across = ((x - width / 2) * math.cos(angle) + (y - height / 2) * math.sin(angle)) / diagonal
    shade = 0.33 + 0.67 / (1 + np.exp(-(across + sample.random.uniform(-0.1, 0.1)) / 0.02))
    light = shade * (1 - 0.3 * np.abs(across))
    return Damaged(_rounded(sample.image * light[:, :, None]))


def skewed(sample: Sample) -> Damaged:
    """Turned by 5 to 15 degrees either way."""
    degrees = sample.random.uniform(5, 15) * sample.random.choice([-1, 1])
    height, width = sample.image.shape[:2]
    return _warped(sample.image, *levelling((width, height), degrees))


def tilted(sample: Sample) -> Damaged:
    """A page on a darker table, seen at an angle; a line seen at a smaller one."""
    height, width = sample.image.shape[:2]
    margin = 0.12 if sample.is_page else 0.03
    inner = np.array([[0, 0], [width, 0], [width, height], [0, height]], np.float32)
    size = round(width * (1 + 2 * margin)), round(height * (1 + 2 * margin))
    offset = sample.random.uniform(-margin, margin, (4, 2)) * 0.9 + margin
    corners = (inner + offset * (width, height)).astype(np.float32)
    moved = np.asarray(cv2.getPerspectiveTransform(inner, corners), np.float64)
    return _warped(sample.image, moved, size, shade=0.45 if sample.is_page else 1.0)


def small(sample: Sample) -> Damaged:
    """Shrunk until the text is ten pixels high."""
    scale = min(1.0, _SMALL_TEXT / sample.text_height)
    height, width = sample.image.shape[:2]
    size = max(8, round(width * scale)), max(8, round(height * scale))
    shrunk = np.asarray(cv2.resize(sample.image, size, interpolation=cv2.INTER_AREA), np.uint8)
    return Damaged(shrunk, _scaling(size[0] / width, size[1] / height))


def _scaling(x: float, y: float) -> Transform:
    return np.array([[x, 0, 0], [0, y, 0], [0, 0, 1]], np.float64)


def _rotated(quarters: int) -> Damage:
    def rotated(sample: Sample) -> Damaged:
        turned = PlacedImage.unprepared(sample.image).turned(quarters, AppliedStep(Step.ORIENTATION))
        assert turned.to_source is not None
        return Damaged(turned.image, np.asarray(np.linalg.inv(turned.to_source), np.float64))

    return rotated


DAMAGES: dict[str, Damage] = {
    "dark": dark,
    "low_contrast": low_contrast,
    "blurred": blurred,
    "noisy": noisy,
    "shadowed": shadowed,
    "skewed": skewed,
    "tilted": tilted,
    "small": small,
    "rotated_90": _rotated(1),
    "rotated_180": _rotated(2),
    "rotated_270": _rotated(3),
}


def degrade(directory: Path, out: Path, kinds: Iterable[str] = tuple(DAMAGES), every: int = 1) -> None:
    """Write OUT/KIND/SET for every set at or below `directory`, with every n-th image of each."""
    for kind in kinds:
        for folder in find_sets(directory):
            copy = _copy_lines if (folder / LABELS).exists() else _copy_pages
            copy(folder, out / kind / folder.name, kind, every)


def picked(entries: Sequence[Any], every: int) -> list[Any]:
    """Every n-th of the entries, from the first."""
    return list(entries[::every])


def _copy_lines(folder: Path, target: Path, kind: str, every: int) -> None:
    rows = [row for row in (folder / LABELS).read_text(encoding="utf-8").split("\n") if row]
    target.mkdir(parents=True, exist_ok=True)
    if (folder / "ignore.txt").exists():
        shutil.copy(folder / "ignore.txt", target)
    copied = []
    for row in picked(rows, every):
        path, _, text = row.partition("\t")
        image = load_image((folder / path).read_bytes(), ImageLimits())
        sample = Sample(image, float(min(image.shape[:2])), is_page=False, random=_random(kind, folder.name, path))
        name = Path(path).with_suffix(".png")
        _write(target / name, DAMAGES[kind](sample).image)
        copied.append(f"{name.as_posix()}\t{text}\n")
    (target / LABELS).write_text("".join(copied), encoding="utf-8")


def _copy_pages(folder: Path, target: Path, kind: str, every: int) -> None:
    copied = []
    for page in picked(json.loads((folder / PAGES).read_text(encoding="utf-8")), every):
        path = page["image"]
        image = load_image((folder / path).read_bytes(), ImageLimits())
        sample = Sample(image, _text_height(page["lines"]), is_page=True, random=_random(kind, folder.name, path))
        damaged = DAMAGES[kind](sample)
        name = Path(path).with_suffix(".jpg")
        _write(target / name, damaged.image)
        lines = [line | {"polygon": _moved(line["polygon"], damaged.moved)} for line in page["lines"]]
        copied.append(page | {"image": name.as_posix(), "lines": lines})
    (target / PAGES).write_text(json.dumps(copied, ensure_ascii=False), encoding="utf-8")


def _text_height(lines: Sequence[dict[str, Any]]) -> float:
    """Median height of the lines in pixels, as the shorter sides of their polygons have it."""
    rects = [cv2.minAreaRect(np.array(line["polygon"], np.float32)) for line in lines if not line["ignore"]]
    return float(np.median([min(size) for _, size, _ in rects])) if rects else _SMALL_TEXT


def _moved(polygon: Sequence[Sequence[float]], transform: Transform) -> list[list[float]]:
    (places,) = cv2.perspectiveTransform(np.array([polygon], np.float64), transform)
    return [[round(float(x), 2), round(float(y), 2)] for x, y in places]


def _warped(image: Image, transform: Transform, size: tuple[int, int], shade: float = 1.0) -> Damaged:
    """On ground of the colour that the image has at its border, or a darker one."""
    border = np.concatenate([image[0], image[-1], image[:, 0], image[:, -1]])
    ground = [float(level) * shade for level in np.median(border, axis=0)]
    halves = np.array([[1, 0, 0.5], [0, 1, 0.5], [0, 0, 1]], np.float64)
    pixels = cv2.warpPerspective(
        image,
        np.linalg.inv(halves) @ transform @ halves,
        size,
        flags=cv2.INTER_CUBIC,
        borderMode=cv2.BORDER_CONSTANT,
        borderValue=ground,
    )
    return Damaged(np.asarray(pixels, np.uint8), transform)


def _noised(levels: npt.NDArray[np.floating[Any]] | Image, deviation: float, random: np.random.Generator) -> Image:
    return _rounded(levels + random.normal(0, deviation, levels.shape))


def _rounded(levels: npt.NDArray[np.floating[Any]]) -> Image:
    rounded: Image = np.clip(np.rint(levels), 0, 255).astype(np.uint8)
    return rounded


def _random(*names: str) -> np.random.Generator:
    return np.random.default_rng(zlib.crc32("/".join(names).encode()))


def _write(path: Path, image: Image) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    how = [cv2.IMWRITE_JPEG_QUALITY, _QUALITY] if path.suffix == ".jpg" else []
    if not cv2.imwrite(str(path), image[:, :, ::-1], how):
        raise OSError(f"{path} cannot be written")


def main() -> int:
    """Returns 0."""
    parser = ArgumentParser("python -m bench.degrade_sets", description=__doc__, formatter_class=RawTextHelpFormatter)
    parser.add_argument("directory", type=Path, metavar="EVAL_DIR")
    parser.add_argument("out", type=Path, metavar="OUT_DIR")
    parser.add_argument("--every", type=int, default=1, metavar="N", help="every n-th image of each set [1]")
    parser.add_argument("--only", default=",".join(DAMAGES), metavar="KIND,...", help=f"[{','.join(DAMAGES)}]")
    flags = parser.parse_args()
    degrade(flags.directory, flags.out, flags.only.split(","), flags.every)
    return 0


if __name__ == "__main__":
    sys.exit(main())
