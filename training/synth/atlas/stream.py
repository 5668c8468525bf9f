"""Text for composed lines: many lines in one row of characters, of which any stretch is taken."""

from __future__ import annotations

import lzma
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

NARROW_EM, WIDE_EM = 0.52, 1.0
"""Usual widths of characters before and from the CJK blocks, as shares of the em."""

_FIRST_WIDE = 0x2E80


def save_lines(path: Path, lines: Iterable[str]) -> None:
    """Write lines of text, packed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with lzma.open(path, "wt", encoding="utf-8", preset=6) as file:
        file.writelines(f"{line}\n" for line in lines)


def load_lines(path: Path) -> list[str]:
    """Read what save_lines() wrote. Raises OSError."""
    with lzma.open(path, "rt", encoding="utf-8", newline="\n") as file:
        return file.read().removesuffix("\n").split("\n")


@dataclass(frozen=True, slots=True)
class TextStream:
    """Lines of text one after the other, a space between.

    positions: int64 [character], in the sequence of characters the stream was made for; widths_em: float64 [character],
    usual widths added up to before each; starts: int64 [line], where lines begin; line_starts: int64 [character],
    where the line of each character begins; word_starts: int64 [character], likewise for words, which wide characters
    are each by itself.
    """

    positions: npt.NDArray[np.int64]
    widths_em: npt.NDArray[np.float64]
    starts: npt.NDArray[np.int64]
    line_starts: npt.NDArray[np.int64]
    word_starts: npt.NDArray[np.int64]

    @classmethod
    def of(cls, lines: Sequence[str], characters: Sequence[str], usable: npt.NDArray[np.bool_]) -> TextStream:
        """Lines of usable characters alone. usable: bool [character]. Raises ValueError when there are none."""
        position_of = np.full(0x110000, -1, np.int64)
        codes = np.array([ord(character) for character in characters])
        position_of[codes[usable]] = np.flatnonzero(usable)
        separator = " " if position_of[ord(" ")] >= 0 else ""
        stripped = (line.strip() for line in lines)
        known = [line for line in stripped if line and (position_of[code_points(line)] >= 0).all()]
        if not known:
            raise ValueError(f"none of {len(lines)} lines has only the {usable.sum()} usable characters")
        starts = np.cumsum([0] + [len(line) + len(separator) for line in known])
        codes = code_points(separator.join(known) + separator)
        is_wide = codes >= _FIRST_WIDE
        widths = np.where(is_wide, WIDE_EM, NARROW_EM)
        is_space = codes == ord(" ")
        begins_word = ~is_space & (is_wide | np.concatenate([[True], (is_wide | is_space)[:-1]]))
        return cls(
            positions=position_of[codes],
            widths_em=np.concatenate([[0.0], np.cumsum(widths)[:-1]]),
            starts=starts[:-1],
            line_starts=np.repeat(starts[:-1], np.diff(starts)),
            word_starts=np.maximum.accumulate(np.where(begins_word, np.arange(len(codes)), 0)),
        )

    def stretches(
        self, rng: np.random.Generator, wanted_em: npt.NDArray[np.float64]
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """First characters and the ends of random stretches of about the wanted widths, int64 [stretch] each.

        Most begin where a line begins, the others where a word does; most end with a line that ends in their last
        third, or else with a word.
        """
        count = len(wanted_em)
        begin = np.where(
            rng.random(count) < 0.75,
            self.starts[rng.integers(len(self.starts), size=count)],
            self.word_starts[rng.integers(len(self.positions), size=count)],
        )
        reach = self.widths_em[begin] + wanted_em
        end = np.minimum(np.maximum(np.searchsorted(self.widths_em, reach), begin + 1), len(self.positions) - 1)
        line, word = self.line_starts[end], self.word_starts[end]
        is_late = self.widths_em[line] - self.widths_em[begin] >= wanted_em * (2 / 3)
        tidy = np.where((line > begin) & is_late, line, np.where(word > begin, word, end))
        return begin, np.where(rng.random(count) < 0.85, tidy, end)


def code_points(text: str) -> npt.NDArray[np.uint32]:
    """Code points of a text, uint32 [character]."""
    return np.frombuffer(text.encode("utf-32-le"), np.uint32)
