"""A text against its label, character by character: what was read right, what for what, what is missing or too much.

Texts are compared as page_scores.normalise leaves them, so that these edits are those that the normalised CER counts.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from rapidfuzz.distance import Levenshtein

from ocr_core.page_scores import normalise


@dataclass(frozen=True, slots=True)
class Edits:
    """One shortest way from a label to what was read.

    label_right, read_right: of each element of either, whether it has its equal in the other; None where it does not
    count, as white space. pairs: (expected, read) characters that differ; expected is empty for one too many, read for
    a missing one. label: normalised.
    """

    label_right: tuple[bool | None, ...]
    read_right: tuple[bool | None, ...]
    pairs: tuple[tuple[str, str], ...]
    label: str


@dataclass(frozen=True, slots=True)
class Confusion:
    """How often `expected` was read as `read`, empty as in Edits.pairs. of: times that labels have it, 0 for none."""

    expected: str
    read: str
    count: int
    of: int


def edits_of(label: Sequence[str], read: Sequence[str]) -> Edits:
    """Compare two texts, each a str or a sequence of elements that are characters, or a few."""
    wanted, wanted_from = _spelled(label)
    got, got_from = _spelled(read)
    pairs = []
    label_wrong, read_wrong = set[int](), set[int]()
    for edit in Levenshtein.editops(wanted, got):
        i, j = edit.src_pos, edit.dest_pos
        is_missing, is_extra = edit.tag == "delete", edit.tag == "insert"
        pairs.append(("" if is_extra else wanted[i], "" if is_missing else got[j]))
        if not is_extra:
            label_wrong.add(wanted_from[i])
        if not is_missing:
            read_wrong.add(got_from[j])
    return Edits(
        _right(len(label), wanted_from, label_wrong), _right(len(read), got_from, read_wrong), tuple(pairs), wanted
    )


def confusions(edits: Iterable[Edits]) -> list[Confusion]:
    """Every pair of characters that differ, the most frequent first."""
    pairs, labels = Counter[tuple[str, str]](), Counter[str]()
    for each in edits:
        pairs.update(each.pairs)
        labels.update(each.label)
    found = [Confusion(expected, read, count, labels[expected]) for (expected, read), count in pairs.items()]
    return sorted(found, key=lambda one: (-one.count, one.expected, one.read))


def _spelled(elements: Sequence[str]) -> tuple[str, list[int]]:
    """Normalised text, and for each of its characters the element that it comes from."""
    pieces = [normalise(element) for element in elements]
    return "".join(pieces), list(_sources(pieces))


def _sources(pieces: Sequence[str]) -> Iterator[int]:
    for i, piece in enumerate(pieces):
        yield from [i] * len(piece)


def _right(count: int, sources: Sequence[int], wrong: set[int]) -> tuple[bool | None, ...]:
    counted = set(sources)
    return tuple(i not in wrong if i in counted else None for i in range(count))
