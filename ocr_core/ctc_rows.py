"""The matrices that decoders read, row by row in plain numbers.

What ext/rows.h and ext/scan.h are to the compiled kernels this is to ctc_reference.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from operator import add
from typing import Literal, NamedTuple, TypeAlias, get_args

import numpy as np
import numpy.typing as npt

from ext.automaton import Automaton
from ext.readings import Float32, Float64, Int32

Kind: TypeAlias = Literal["probs", "log_probs", "logits"]
Matrix: TypeAlias = npt.NDArray[np.float32] | npt.NDArray[np.float16]
Lengths: TypeAlias = Sequence[int] | npt.NDArray[np.integer]

# Above these a value is none of its kind. Rounding lifts some above 1: rows of a bfloat16 softmax sum to 1.004.
CEILINGS = {"probs": 1.01, "log_probs": 0.01, "logits": sys.float_info.max}

_LARGEST_EXPONENT = math.log(sys.float_info.max)


class Row(NamedTuple):
    """What a row says of blank and the labels that may be read."""

    p: dict[int, float]
    """Probabilities times z; likeliest first, of equals the lowest class."""
    most: float
    """The greatest value m of blank and the labels that may be read."""
    z: float
    """Of logits the sum of exp(x - m) over all classes that are numbers, else 1."""
    share: float
    """What thresholds are parts of, times z."""
    best: int
    """The likeliest class; blank when all are impossible by themselves."""

    def prob(self, label: int) -> float:
        """The label's probability."""
        return self.p[label] / self.z


@dataclass(frozen=True)
class Alphabet:
    """Which classes there are, what their values mean, and what weighs them.

    Raises ValueError for an unknown kind, TypeError if classes are no integers.
    """

    blank: int
    kind: Kind
    classes: Int32 | None
    automata: tuple[Automaton, ...] = ()

    def __post_init__(self) -> None:
        if self.kind not in get_args(Kind):
            raise ValueError(f"kind is {self.kind!r}, must be one of {', '.join(get_args(Kind))}")
        if self.classes is not None and (self.classes.ndim != 1 or self.classes.dtype.kind not in "iu"):
            raise TypeError("classes must be integers on one axis")

    def columns(self, class_count: int) -> Int32:
        """Blank and the labels that may be read, ascending. Raises ValueError if they are not among the classes."""
        if not 0 <= self.blank < class_count:
            raise ValueError(f"blank is {self.blank}, matrix has {class_count} classes")
        for automaton in self.automata:
            if len(automaton.symbols) != class_count:
                raise ValueError(f"an automaton knows {len(automaton.symbols)} classes, matrix has {class_count}")
        allowed = np.arange(class_count) if self.classes is None else np.union1d(self.classes, self.blank)
        if not 0 <= allowed[0] <= allowed[-1] < class_count:
            raise ValueError(f"classes must be from 0 to {class_count - 1}")
        return allowed.astype(np.int32)

    def is_bad(self, seen: Float32) -> bool:
        """Whether the columns' values, float32 [column], are none of their kind."""
        most = float(seen.max())
        return (
            bool(np.isnan(seen).any())
            or (self.kind == "probs" and bool(np.signbit(seen).any()))
            or most > CEILINGS[self.kind]
            or (self.classes is None and self._probs([most], most) == [0.0])
        )

    def read(self, row: Float32, columns: Int32) -> Row:
        """A row that is not bad, float32 [class]."""
        likeliest = columns[np.argsort(-row[columns], stable=True)].tolist()
        most = float(row[likeliest[0]])
        p = dict(zip(likeliest, self._probs(row[likeliest].tolist(), most), strict=True))
        z = sum(self._probs(row[~np.isnan(row)].tolist(), most)) if self.kind == "logits" else 1.0
        # Plainly from left to right: sum compensates rounding since Python 3.12.
        share = z if self.classes is None else reduce(add, (p[label] for label in columns.tolist()))
        is_possible = row[likeliest[0]] > -math.inf if self.kind == "logits" else p[likeliest[0]] > 0.0
        return Row(p, most, z, share, likeliest[0] if is_possible else self.blank)

    def _probs(self, values: Sequence[float], most: float) -> list[float]:
        if self.kind == "probs":
            return list(values)
        # When no logit is possible there is nothing to subtract.
        shift = most if self.kind == "logits" and most > -math.inf else 0.0
        return [math.exp(value - shift) if value - shift < _LARGEST_EXPONENT else math.inf for value in values]


class Line:
    """The rows of a line, which may come bit by bit."""

    def __init__(self, alphabet: Alphabet) -> None:
        self.rows: list[Row] = []
        self.is_bad = False
        self._length = 0
        self._alphabet = alphabet
        self._class_count = -1
        self._is_closed = False

    def push(self, x: Matrix) -> Line:
        """Take the next rows, float32 or float16 [time, class]."""
        self.opened()
        (x,) = split([x], None)
        columns = self._alphabet.columns(x.shape[1])
        if self._class_count not in (-1, x.shape[1]):
            raise ValueError(f"rows have {x.shape[1]} classes, those before them {self._class_count}")
        self._class_count = x.shape[1]
        self._length += len(x)
        for row in x.astype(np.float32):
            self.is_bad = self.is_bad or self._alphabet.is_bad(row[columns])
            if not self.is_bad:
                self.rows.append(self._alphabet.read(row, columns))
        return self

    @property
    def normalisers(self) -> Float64:
        """As in Readings, of a line of logits."""
        found = np.full((2, self._length), math.nan)
        found[:, : len(self.rows)] = [[row.most for row in self.rows], [row.z for row in self.rows]]
        return found

    def opened(self) -> Line:
        """The line. Raises ValueError when it is closed."""
        if self._is_closed:
            raise ValueError("the stream is finished")
        return self

    def closed(self) -> Line:
        """The line, which no further rows may follow. Raises ValueError when it is closed already."""
        self.opened()._is_closed = True
        return self


def split(x: Matrix | Sequence[Matrix], lengths: Lengths | None) -> list[Matrix]:
    """Lines, [time, class] each, of one matrix, an array of several or a sequence of them, cut to lengths.

    Raises TypeError for other arrays than those, ValueError when lines differ in classes or lengths do not fit.
    """
    is_line = isinstance(x, np.ndarray) and x.ndim != 3
    lines = [np.asarray(line) for line in ([x] if is_line else x)]
    for i, line in enumerate(lines):
        if line.ndim != 2:
            raise TypeError(f"a line has {line.ndim} axes, must have [time, class]")
        if line.dtype not in (np.float32, np.float16) or not line.dtype.isnative:
            raise TypeError(f"scores are {line.dtype}, must be float32 or float16 in native byte order")
        if line.shape[1] != lines[0].shape[1]:
            raise ValueError(f"line {i} has {line.shape[1]} classes, those before it {lines[0].shape[1]}")
    return lines if lengths is None else _cut(lines, np.asarray(lengths))


def _cut(lines: Sequence[Matrix], lengths: npt.NDArray[np.integer]) -> list[Matrix]:
    if lengths.shape != (len(lines),) or lengths.dtype.kind not in "iu":
        raise ValueError(f"lengths must be {len(lines)} integers, one per line")
    for i, (line, length) in enumerate(zip(lines, lengths, strict=True)):
        if not 0 <= length <= len(line):
            raise ValueError(f"length {length} of line {i} is not from 0 to {len(line)}")
    return [line[:length] for line, length in zip(lines, lengths, strict=True)]
