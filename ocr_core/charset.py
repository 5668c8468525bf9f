"""Charset: class index <-> character, and where the blank is."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from ocr_core.errors import BundleInvalid


@dataclass(frozen=True, slots=True)
class Charset:
    """Ordered characters without blank, and the class index of blank. Raises BundleInvalid when they do not fit.

    A character may have several code points, be a space, or occur twice, as in dictionaries of published models.
    Class indices below blank_index are positions in characters, those above it are one more.
    """

    characters: tuple[str, ...]
    blank_index: int

    def __post_init__(self) -> None:
        if not self.characters:
            raise BundleInvalid("charset has no characters")
        if "" in self.characters:
            raise BundleInvalid(f"charset has an empty character at position {self.characters.index('')}")
        if not 0 <= self.blank_index < self.class_count:
            raise BundleInvalid(
                f"blank_index is {self.blank_index}, must be from 0 to {len(self.characters)}, the number of characters"
            )

    def __len__(self) -> int:
        return len(self.characters)

    @property
    def class_count(self) -> int:
        """Classes that a model of this charset emits: the characters and blank."""
        return len(self.characters) + 1

    def character(self, label: int) -> str:
        """Character of a class index. Raises IndexError for blank and for indices that are no class."""
        if label == self.blank_index or not 0 <= label < self.class_count:
            raise IndexError(f"class {label} is no label: blank is {self.blank_index}, classes {self.class_count}")
        return self.characters[label - (label > self.blank_index)]

    def text(self, labels: Iterable[int]) -> str:
        """Characters of labels, joined."""
        return "".join(map(self.character, labels))
