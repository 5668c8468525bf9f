"""Regular expressions to deterministic automata, within bounds on work and memory, whatever the expression.

Parsed by hand: libraries for this expand ranges and repeats while they read, and a request of a few bytes takes
gigabytes. Positions and followers are those of Glushkov 1961; the states are sets of positions.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from ocr_core.errors import OptionInvalid
from ocr_core.spelling import TextAutomaton, arrange
from ocr_core.trie import Int64, code_points

MAX_LENGTH = 1000
"""Characters of an expression."""
MAX_DEPTH = 50
"""Groups within groups."""
MAX_POSITIONS = 1000
"""Characters that an expression asks for, each as often as it may be repeated."""
MAX_STATES = 2000

Ranges: TypeAlias = tuple[tuple[int, int], ...]
"""First and last code points of what an atom matches."""

_LAST = 0x10FFFF
_ESCAPES: dict[str, Ranges] = {
    "d": ((48, 57),),
    "w": ((48, 57), (65, 90), (95, 95), (97, 122)),
    "s": ((9, 13), (32, 32)),
    "t": ((9, 9),),
}
_ESCAPE = re.compile(r"\\(?:(x[0-9a-fA-F]{2}|u[0-9a-fA-F]{4})|([dDwWsSt])|([^A-Za-z0-9]))", re.DOTALL)
_QUANTIFIER = re.compile(r"(?:([?*+])|\{([0-9]+)\}|\{([0-9]*),([0-9]*)\})\??")
_QUANTIFIERS = {"?": (0, 1), "*": (0, None), "+": (1, None)}


@dataclass(frozen=True, slots=True)
class _Atom:
    """One character."""

    ranges: Ranges
    size = 1


@dataclass(frozen=True, slots=True)
class _Sequence:
    parts: tuple[_Node, ...]

    @property
    def size(self) -> int:
        return sum(part.size for part in self.parts)


@dataclass(frozen=True, slots=True)
class _Choice:
    branches: tuple[_Node, ...]

    @property
    def size(self) -> int:
        return sum(branch.size for branch in self.branches)


@dataclass(frozen=True, slots=True)
class _Repeat:
    """From least to most times; most None: as often as one likes."""

    part: _Node
    least: int
    most: int | None

    @property
    def size(self) -> int:
        """At least the number of copies, as repeating nothing is work too."""
        return max(self.part.size, 1) * self.copies

    @property
    def copies(self) -> int:
        return max(self.least, 1) if self.most is None else self.most


_Node: TypeAlias = _Atom | _Sequence | _Choice | _Repeat


def pattern_automaton(expression: str, characters: str) -> TextAutomaton:
    """Reads the texts over these characters that the expression matches as a whole.

    Characters that no part of the expression tells apart share a symbol. Raises OptionInvalid when the expression does
    not parse or is too large.
    """
    machine = _Machine()
    whole = machine.add(parse(expression))
    symbols, masks = machine.symbols(characters)
    arcs, accepting = _determinise(machine, whole, masks)
    owners, read, targets = np.array(arcs, np.int64).reshape(-1, 3).T
    finals = np.where(accepting, 0.0, -np.inf)
    return TextAutomaton(arrange(owners, read, targets, np.zeros(len(arcs)), finals), symbols, -1)


def parse(expression: str) -> _Node:
    """The tree of an expression. Raises OptionInvalid when it does not parse or is too large."""
    if not 0 < len(expression) <= MAX_LENGTH:
        raise OptionInvalid(f"pattern has {len(expression)} characters, must have 1 to {MAX_LENGTH}")
    node = _Parser(expression).whole()
    if node.size > MAX_POSITIONS:
        raise OptionInvalid(f"pattern asks for {node.size} characters when repeats are counted, limit {MAX_POSITIONS}")
    return node


class _Parser:
    """Recursive descent: choice > sequence > repeat > atom."""

    def __init__(self, expression: str) -> None:
        self._text = expression
        self._at = 0
        self._depth = 0

    def whole(self) -> _Node:
        self._take("^")
        node = self._choice()
        self._take("$")
        if self._at < len(self._text):
            raise self._error(f"{self._text[self._at]!r} is not expected")
        return node

    def _choice(self) -> _Node:
        branches = [self._sequence()]
        while self._take("|"):
            branches.append(self._sequence())
        return branches[0] if len(branches) == 1 else _Choice(tuple(branches))

    def _sequence(self) -> _Node:
        parts = []
        while self._at < len(self._text) and self._text[self._at] not in "|)$":
            parts.append(self._repeat())
        return parts[0] if len(parts) == 1 else _Sequence(tuple(parts))

    def _repeat(self) -> _Node:
        node = self._atom()
        found = _QUANTIFIER.match(self._text, self._at)
        if not found:
            return node
        sign, count, least, most = found.groups()
        bounds = (
            _QUANTIFIERS[sign] if sign else (int(count or least or 0), int(count or most) if count or most else None)
        )
        if bounds[1] is not None and bounds[0] > bounds[1]:
            raise self._error(f"{found[0]} asks for more than it allows")
        self._at = found.end()
        return _Repeat(node, *bounds)

    def _atom(self) -> _Node:
        if self._take("("):
            return self._group()
        if self._take("["):
            return self._class()
        if self._take("."):
            return _Atom(((0, _LAST),))
        if self._text[self._at] in "?*+{}]^":
            raise self._error(
                f"{self._text[self._at]!r} has nothing to act on; write \\{self._text[self._at]} for the character"
            )
        return _Atom(self._character())

    def _group(self) -> _Node:
        if self._take("?") and not self._take(":"):
            raise self._error("only plain groups and (?: ) are known")
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise self._error(f"groups are nested more than {MAX_DEPTH} deep")
        node = self._choice()
        if not self._take(")"):
            raise self._error("a group is not closed")
        self._depth -= 1
        return node

    def _class(self) -> _Node:
        negated = self._take("^")
        ranges: list[tuple[int, int]] = []
        while not self._take("]"):
            ranges.extend(self._range())
        if not ranges:
            raise self._error("a class is empty; write \\] for the character")
        return _Atom(_complement(ranges) if negated else tuple(ranges))

    def _range(self) -> Ranges:
        first = self._character()
        if self._text[self._at : self._at + 1] != "-" or self._text[self._at + 1 : self._at + 2] in ("]", ""):
            return first
        self._at += 1
        last = self._character()
        low, high = first[0][0], last[-1][1]
        if len(first) + len(last) > 2 or first[0][1] > low or last[0][0] < high or low > high:
            raise self._error("a range must go from one character to a later one")
        return ((low, high),)

    def _character(self) -> Ranges:
        """A character or an escape; outside of classes the caller has seen to signs with a meaning."""
        if self._at == len(self._text):
            raise self._error("a class is not closed")
        if self._text[self._at] != "\\":
            self._at += 1
            return ((ord(self._text[self._at - 1]),) * 2,)
        found = _ESCAPE.match(self._text, self._at)
        if not found:
            raise self._error(f"{self._text[self._at : self._at + 2]} is not known")
        self._at = found.end()
        code, kind, sign = found.groups()
        if kind:
            return _ESCAPES[kind] if kind in _ESCAPES else _complement(_ESCAPES[kind.lower()])
        return ((int(code[1:], 16) if code else ord(sign),) * 2,)

    def _take(self, sign: str) -> bool:
        taken = self._text.startswith(sign, self._at)
        self._at += taken
        return taken

    def _error(self, reason: str) -> OptionInvalid:
        return OptionInvalid(f"pattern, character {self._at + 1}: {reason}")


class _Part(NamedTuple):
    """Part of an expression. first, last: sets of the positions where it may begin and end, as bits."""

    empty: bool
    first: int
    last: int


class _Machine:
    """Positions of an expression: what each matches, and which others may follow."""

    def __init__(self) -> None:
        self.ranges: list[Ranges] = []
        self.follow: list[int] = []

    def add(self, node: _Node) -> _Part:
        match node:
            case _Atom(ranges):
                self.ranges.append(ranges)
                self.follow.append(0)
                return _Part(False, 1 << len(self.ranges) - 1, 1 << len(self.ranges) - 1)
            case _Sequence(parts):
                return self._join(map(self.add, parts))
            case _Choice(branches):
                return _either([self.add(branch) for branch in branches])
            case _Repeat():
                return self._join(self._copies(node))

    def _copies(self, node: _Repeat) -> Iterator[_Part]:
        for count in range(node.copies):
            part = self.add(node.part)
            if node.most is None and count == node.copies - 1:
                self._link(part.last, part.first)
            yield part._replace(empty=part.empty or count >= node.least)

    def _join(self, parts: Iterator[_Part]) -> _Part:
        joined = _Part(True, 0, 0)
        for part in parts:
            self._link(joined.last, part.first)
            joined = _Part(
                joined.empty and part.empty,
                joined.first | part.first if joined.empty else joined.first,
                joined.last | part.last if part.empty else part.last,
            )
        return joined

    def _link(self, last: int, first: int) -> None:
        for position in _bits(last):
            self.follow[position] |= first

    def symbols(self, characters: str) -> tuple[dict[str, int], list[int]]:
        """Symbol of each character, and for each symbol the positions that match it."""
        codes = code_points([characters])
        kinds = list(dict.fromkeys(self.ranges))
        matches = np.array([_within(codes, ranges) for ranges in kinds]).reshape(len(kinds), len(codes))
        distinct, symbols = np.unique(matches, axis=1, return_inverse=True)
        positions = dict.fromkeys(kinds, 0)
        for position, ranges in enumerate(self.ranges):
            positions[ranges] |= 1 << position
        masks = [sum(positions[kinds[kind]] for kind in np.flatnonzero(column)) for column in distinct.T]
        return dict(zip(characters, symbols.ravel().tolist(), strict=True)), masks


def _either(parts: Sequence[_Part]) -> _Part:
    empty, first, last = False, 0, 0
    for part in parts:
        empty, first, last = empty or part.empty, first | part.first, last | part.last
    return _Part(empty, first, last)


def _within(codes: Int64, ranges: Ranges) -> npt.NDArray[np.bool_]:
    within = np.zeros(len(codes), bool)
    for low, high in ranges:
        within |= (codes >= low) & (codes <= high)
    return within


def _determinise(
    machine: _Machine, whole: _Part, masks: Sequence[int]
) -> tuple[list[tuple[int, int, int]], list[bool]]:
    """Arcs (state, symbol, state) and whether a line may end in each state.

    A state is the set of positions that may come next, and whether what was read is a whole match.
    """
    states = [(whole.first, whole.empty)]
    numbers = {states[0]: 0}
    reached: dict[int, int] = {}
    arcs = []
    for number, (ahead, _) in enumerate(states):  # grows meanwhile
        for symbol, mask in enumerate(masks):
            here = ahead & mask
            if not here:
                continue
            if here not in reached:
                state = (_union(machine.follow, here), here & whole.last != 0)
                reached[here] = numbers.setdefault(state, len(states))
                states.extend([state] * (reached[here] == len(states)))
                if len(states) > MAX_STATES:
                    raise OptionInvalid(f"pattern needs more than {MAX_STATES} states")
            arcs.append((number, symbol, reached[here]))
    return arcs, [accepting for _, accepting in states]


def _union(sets: Sequence[int], members: int) -> int:
    union = 0
    for member in _bits(members):
        union |= sets[member]
    return union


def _bits(number: int) -> Iterator[int]:
    while number:
        low = number & -number
        yield low.bit_length() - 1
        number ^= low


def _complement(ranges: Sequence[tuple[int, int]]) -> Ranges:
    rest = []
    begin = 0
    for low, high in sorted(ranges):
        if low > begin:
            rest.append((begin, low - 1))
        begin = max(begin, high + 1)
    return (*rest, (begin, _LAST)) if begin <= _LAST else tuple(rest)
