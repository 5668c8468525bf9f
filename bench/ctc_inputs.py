"""Matrices to decode, and what is exactly true of a labelling of one: inputs and yardstick of bench.ctc.

A set is named for what it shows and its timesteps, like zh80; its lines go from clean to hardly legible:

- zh: 6625 classes, the default recogniser's second network on rendered Chinese text;
- en: 97 classes, the same on English text, summed up to blank, printable ASCII and all the rest;
- al: 37 classes, the same summed up to blank (with all the rest), digits and letters without case;
- flat97, flat6625: made up, a dozen likely labels in every row, the hardest case for a search.

Blank is class 0 throughout. A file of other matrices (NumPy's npz) may stand in for the first three. It holds under the
names zh80_0, en80_0, al80_0 and so on uint16 values, the upper half of a float32 without its sign; those of zh are
split into zh80_0_i, the columns of the greatest values of each row, uint16 [time, kept], and zh80_0_v, these values;
ref_zh80_0 is a labelling to compare with.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from ext import ctc
from ocr_core.charset import Charset
from ocr_core.engine import Engine
from ocr_core.types import Image, Probs

BLANK = 0
TIMES = (40, 80, 160)

_LINES = 8
_PIXELS_PER_TIMESTEP = 4
_ASCII = "".join(map(chr, range(32, 127)))
_ALPHANUMERIC = "0123456789abcdefghijklmnopqrstuvwxyz"
_TEXTS = {
    "zh": "天地玄黄宇宙洪荒日月盈昃辰宿列张寒来暑往秋收冬藏闰余成岁律吕调阳云腾致雨露结为霜金生丽水玉出昆冈"
    "请在2024年11月18日以前当面清点数量，合计：1,301.40元；单号BLW-03871，共5项。夜间营业至凌晨两点。",
    "en": "The quick brown fox waits for the 8 o'clock train. Payment is due within 30 days; please quote invoice No. "
    "03871. Platform 4 to the city, mind the gap. Subtotal 12.50, tax 1.05, total 13.55. Open daily until midnight. ",
}


@dataclass(frozen=True, slots=True)
class InputLine:
    """One line to decode, float32 [time, class]. reference: the likeliest labelling that is known."""

    probs: Probs
    reference: tuple[int, ...]


def render_sets(engine: Engine, seed: int) -> dict[str, list[InputLine]]:
    """The three sets that a recogniser with blank 0 makes of rendered text, for all TIMES."""
    rng = np.random.default_rng(seed)
    matrices: dict[str, list[Probs]] = defaultdict(list)
    charset = engine.bundle.charset
    for times in TIMES:
        for damage in np.linspace(0, 1, _LINES):
            matrices[f"zh{times}"].append(_recognised(engine, _rendered(rng, "zh", times, damage)))
            english = _recognised(engine, _rendered(rng, "en", times, damage))
            matrices[f"en{times}"].append(_summed(english, _ascii_classes(charset), len(_ASCII) + 2))
            matrices[f"al{times}"].append(_summed(english, _alphanumeric_classes(charset), len(_ALPHANUMERIC) + 1))
    return {name: [_with_reference(probs) for probs in lines] for name, lines in matrices.items()}


def load_sets(path: Path) -> dict[str, list[InputLine]]:
    """The same sets from a file, see above."""
    stored = np.load(path)
    sets: dict[str, list[InputLine]] = defaultdict(list)
    for kind in ("zh", "en", "al"):
        for times in TIMES:
            for i in range(_LINES):
                name = f"{kind}{times}_{i}"
                if kind == "zh":
                    probs = _unpacked(stored[f"{name}_i"], stored[f"{name}_v"], 6625, seed=times * 100 + i)
                else:
                    probs = _floats(stored[name])
                sets[f"{kind}{times}"].append(_with_reference(probs, stored[f"ref_{name}"].tolist()))
    return dict(sets)


def flat_sets(seed: int) -> dict[str, list[InputLine]]:
    """Lines of 80 timesteps with 97 and 6625 classes."""
    return {
        f"flat{classes}": [_with_reference(flat(80, classes, seed + i)) for i in range(4)] for classes in (97, 6625)
    }


def flat(times: int, classes: int, seed: int) -> Probs:
    """A dozen likely labels a row, a third of them shared with the row before."""
    rng = np.random.default_rng(seed)
    likely = rng.integers(1, classes, (times, 12))
    likely[1:, :4] = likely[:-1, 4:8]
    weights = rng.random((times, classes)) / classes
    np.put_along_axis(weights, likely, rng.uniform(0.1, 1.5, likely.shape), axis=1)
    weights[:, BLANK] = rng.uniform(0.2, 2.4, times)
    return np.asarray(weights / weights.sum(axis=1, keepdims=True), np.float32)


def peaked(times: int, classes: int, seed: int) -> Probs:
    """Rows as of a sure recogniser: one class near 1, mostly blank, a log-uniform tail. Aligned to a cache line."""
    rng = np.random.default_rng(seed)
    weights = np.exp2(rng.uniform(-30, -14, (times, classes)))
    peaks = np.where(rng.random(times) < 0.75, BLANK, rng.integers(0, classes, times))
    weights[np.arange(times), peaks] = 1
    memory = np.empty(4 * times * classes + 64, np.uint8)
    start = -memory.ctypes.data % 64
    probs = memory[start : start + 4 * times * classes].view(np.float32).reshape(times, classes)
    probs[:] = weights / weights.sum(axis=1, keepdims=True)
    return probs


def exact_log_prob(probs: Probs, labels: Sequence[int]) -> float:
    """Log-probability of a labelling over all its alignments: CTC forward in NumPy, nothing pruned."""
    emitted, skips = _lattice(probs, labels)
    alphas = np.zeros(emitted.shape[1])
    alphas[:2] = emitted[0, :2]
    log_scale = 0.0
    for row in emitted[1:]:
        alphas = _moved(alphas, skips, outside=0.0).sum(axis=0) * row
        total = alphas.sum()
        if not total > 0:
            return -math.inf
        alphas /= total
        log_scale += math.log(total)
    end = alphas[-2:].sum()
    return log_scale + math.log(end) if end > 0 else -math.inf


def aligned_states(probs: Probs, labels: Sequence[int]) -> npt.NDArray[np.intp]:
    """Most probable alignment of a labelling: per timestep 2 i + 1 for label i, even numbers for the blanks between.

    On ties it moves as few states as possible and ends in the last blank.
    """
    emitted, skips = _lattice(probs, labels)
    with np.errstate(divide="ignore"):
        emitted = np.log(emitted)
    best = np.full(emitted.shape[1], -math.inf)
    best[:2] = emitted[0, :2]
    moves = np.zeros(emitted.shape, np.intp)
    for t in range(1, len(emitted)):
        reached = _moved(best, skips, outside=-math.inf)
        moves[t] = reached.argmax(axis=0)
        best = reached.max(axis=0) + emitted[t]
    states = np.empty(len(emitted), np.intp)
    states[-1] = len(best) - 1 - (len(best) > 1 and best[-2] > best[-1])
    for t in range(len(emitted) - 1, 0, -1):
        states[t - 1] = states[t] - moves[t, states[t]]
    return states


def _lattice(probs: Probs, labels: Sequence[int]) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.bool_]]:
    """[time, state] probabilities of the labels with blanks around them; [state] may the blank before be left out?"""
    states = np.full(2 * len(labels) + 1, BLANK)
    states[1::2] = labels
    skips = np.zeros(len(states), bool)
    skips[3::2] = states[3::2] != states[1:-2:2]
    return probs[:, states].astype(np.float64), skips


def _moved(values: npt.NDArray[np.float64], skips: npt.NDArray[np.bool_], outside: float) -> npt.NDArray[np.float64]:
    """[3, state] value of the state itself, of the one before and of that two before."""
    moved = np.full((3, len(values)), outside)
    moved[0] = values
    moved[1, 1:] = values[:-1]
    moved[2, 2:] = np.where(skips[2:], values[:-2], outside)
    return moved


def _with_reference(probs: Probs, known: Iterable[int] = ()) -> InputLine:
    """Reference: the likeliest of a labelling that is known and of what a search finds that prunes next to nothing."""
    found = ctc.prefix_beam_search(probs, BLANK, 400, 64, 1e-7, n_best=40, align=False)
    candidates = [tuple(map(int, labels)) for labels in np.split(found.labels, found.offsets[1:-1])]
    return InputLine(probs, max([tuple(known), *candidates], key=lambda labels: exact_log_prob(probs, labels)))


def _rendered(rng: np.random.Generator, language: str, times: int, damage: float) -> Image:
    """Black text as wide as the image. damage: 0 none .. 1 hardly legible."""
    text = _TEXTS[language]
    size = (_PIXELS_PER_TIMESTEP * times, 32)
    image = np.full((size[1], size[0], 3), 255, np.uint8)
    start = int(rng.integers(len(text)))
    cv2.putText(image, (text[start:] + text)[: size[0] // 8], (2, 25), (0, 0, 0), cv2.FontFace("uni"), 22, 400)
    small = cv2.resize(image, None, fx=1 - 0.7 * damage, fy=1 - 0.7 * damage, interpolation=cv2.INTER_AREA)
    image = np.asarray(cv2.resize(small, size, interpolation=cv2.INTER_LINEAR), np.uint8)
    noisy = 128 + (image - 128.0) * (1 - 0.6 * damage) + rng.normal(0, 1 + 30 * damage, image.shape)
    return np.clip(noisy, 0, 255).astype(np.uint8)


def _recognised(engine: Engine, image: Image) -> Probs:
    with engine.infer(image[None]) as probs:
        return np.array(probs[0])


def _ascii_classes(charset: Charset) -> dict[int, int]:
    """Class of the recogniser -> class of the en sets; the rest has the last one."""
    rest = len(_ASCII) + 1
    return {
        label: 1 + _ASCII.index(character) if (character := charset.character(label)) in _ASCII else rest
        for label in range(charset.class_count)
        if label != charset.blank_index
    }


def _alphanumeric_classes(charset: Charset) -> dict[int, int]:
    return {
        label: 1 + _ALPHANUMERIC.index(character)
        for label in range(charset.class_count)
        if label != charset.blank_index and (character := charset.character(label).lower()) in _ALPHANUMERIC
    }


def _summed(probs: Probs, classes: dict[int, int], class_count: int) -> Probs:
    """Add the columns up; those that have no class of their own go to blank."""
    summed = np.zeros((class_count, len(probs)))
    np.add.at(summed, [classes.get(label, BLANK) for label in range(probs.shape[1])], probs.T)
    return np.ascontiguousarray(summed.T, np.float32)


def _floats(upper_halves: npt.NDArray[np.unsignedinteger]) -> Probs:
    return np.ascontiguousarray((upper_halves.astype(np.uint32) << 15).view(np.float32))


def _unpacked(columns: npt.NDArray[np.uint16], values: npt.NDArray[np.uint16], classes: int, seed: int) -> Probs:
    """The greatest values where they were, log-uniform ones below them everywhere else.

    Works on the bits of floats, so that every machine makes the same matrix.
    """
    times, kept = values.shape
    bits = (values.astype(np.uint32) << 15) | ((kept - 1 - np.arange(kept, dtype=np.uint32)) << 8)
    below = np.random.RandomState(seed).randint(1 << 23, 17 << 23, size=(times, classes))
    dense = np.maximum(bits[:, -1:].astype(np.int64) - below, 1 << 23).astype(np.uint32)
    np.put_along_axis(dense, columns.astype(np.int64), bits, axis=1)
    return np.ascontiguousarray(dense.view(np.float32))
