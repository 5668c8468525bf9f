"""CTC decoding in plain Python: the specification of ext/ctc.pyx, its oracle in tests, and an opt-in backend.

docs/decoding.md says what is computed. Both return the same, so the order of floating point operations on masses is
part of the specification. A stream keeps its rows and decodes them when it is asked.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from operator import index
from typing import NamedTuple, TypeAlias

import numpy as np

from ext.automaton import Automaton, check_automaton
from ext.readings import Float64, Int32, Readings
from ocr_core.ctc_alignment import align, locate, log, log_prob, weigh_alternatives
from ocr_core.ctc_results import BAD, Hypothesis, pack
from ocr_core.ctc_rows import Alphabet, Kind, Lengths, Line, Matrix, Row, split

Prefix: TypeAlias = tuple[int, ...]
Labelling: TypeAlias = Sequence[int] | Int32

# All powers of two: rescaling rounds nothing, however long the line.
MASS_FLOOR = 2.0**-900
SHARE_FLOOR = 2.0**-40
RESCALE_BITS = 256
LEAST = 2.0**-RESCALE_BITS
MOST = 2.0**RESCALE_BITS


def best_path(
    x: Matrix | Sequence[Matrix],
    blank: int,
    lengths: Lengths | None = None,
    kind: Kind = "probs",
    classes: Int32 | None = None,
    confidences: bool = True,
    threads: int = 1,
) -> Readings:
    """The likeliest class per timestep, repeats collapsed, blanks dropped: one hypothesis per line.

    x: one line, float32 or float16 [time, class], several, [batch, time, class], or a sequence of lines; lengths: rows
    of each. blank: its class index. kind: what the values are. classes: labels that may be read, int32 [n], None for
    all. threads: how many may share the lines, which changes no result; here one decodes them all. Raises ValueError
    for arguments that make no sense, TypeError for arrays of another type.
    """
    _check_threads(threads)
    decoder = _BestPath(Alphabet(blank, kind, classes), confidences)
    return pack([decoder.decode(Line(decoder.alphabet).push(rows)) for rows in split(x, lengths)])


def prefix_beam_search(
    x: Matrix | Sequence[Matrix],
    blank: int,
    beam_width: int,
    prune_top_k: int,
    prune_min_prob: float,
    n_best: int = 1,
    lengths: Lengths | None = None,
    kind: Kind = "probs",
    classes: Int32 | None = None,
    automata: Sequence[Automaton] = (),
    prune_cum_prob: float = 1.0,
    align: bool = True,
    alternatives: int = 0,
    threads: int = 1,
) -> Readings:
    """Up to n_best labellings per line by the mass found over their alignments, best first; perhaps none.

    x, blank, lengths, kind, classes, threads: as in best_path. Per timestep the beam_width best prefixes are kept; they
    are extended by at most prune_top_k labels, by none below prune_min_prob, by no more once prune_cum_prob is reached.
    automata: what weighs each label. align: whether labels are located. alternatives: how many other labels are weighed
    against each one. Raises as best_path does.
    """
    _check_threads(threads)
    pruning = _Pruning(beam_width, prune_top_k, prune_min_prob, prune_cum_prob)
    alphabet = Alphabet(blank, kind, classes, tuple(prepare(automaton) for automaton in automata))
    decoder = _Beam(alphabet, pruning, n_best, align, alternatives)
    return decoder.read([Line(alphabet).push(rows) for rows in split(x, lengths)])


def log_probs(
    x: Matrix,
    blank: int,
    labellings: Sequence[Labelling],
    kind: Kind = "probs",
    normalisers: Float64 | None = None,
) -> Float64:
    """Natural logarithm of each labelling's exact probability in one line, over all alignments: float64 [labelling].

    x, blank, kind: as in best_path, but for one line. labellings: class indices of each. normalisers: those
    of a search of the same logits, which save the time to find them out again; here they save none. -inf for those that
    are impossible, NaN for all in a line that holds what its kind excludes. Raises as best_path does.
    """
    (rows,) = split([x], None)
    if normalisers is not None and kind != "logits":
        raise ValueError(f"normalisers are of logits, not of {kind}")
    if normalisers is not None and np.shape(normalisers) != (2, len(rows)):
        raise ValueError(
            f"normalisers are of shape {np.shape(normalisers)}, those of {len(rows)} rows are (2, {len(rows)})"
        )
    line = Line(Alphabet(blank, kind, None)).push(rows)
    checked = [_check_labels(labels, blank, rows.shape[1]) for labels in labellings]
    return np.array([math.nan if line.is_bad else log_prob(line.rows, labels, blank) for labels in checked], np.float64)


def _check_labels(labels: Labelling, blank: int, class_count: int) -> list[int]:
    checked = [index(label) for label in labels]
    for label in checked:
        if label == blank or not 0 <= label < class_count:
            raise ValueError(f"label {label} is not from 0 to {class_count - 1}, or is blank, {blank}")
    return checked


def _check_threads(threads: int) -> None:
    if threads < 1:
        raise ValueError(f"threads is {threads}, must be at least 1")


def prepare(automaton: Automaton) -> Automaton:
    """The automaton as functions and streams take it, checked. Raises ValueError if it is malformed."""
    return check_automaton(automaton)


class BestPathStream:
    """best_path of one line whose rows come bit by bit."""

    def __init__(
        self, blank: int, kind: Kind = "probs", classes: Int32 | None = None, confidences: bool = True
    ) -> None:
        self._decoder = _BestPath(Alphabet(blank, kind, classes), confidences)
        self._line = Line(self._decoder.alphabet)

    def push(self, x: Matrix) -> None:
        """Take the next rows, float32 or float16 [time, class]."""
        self._line.push(x)

    def partial(self) -> tuple[Int32, int]:
        """Labels so far, int32 [length], and how many of them no later row changes: all."""
        (hypothesis,) = self._decoder.decode(self._line.opened())
        return np.array(hypothesis.labels, np.int32), len(hypothesis.labels)

    def finish(self) -> Readings:
        """What best_path gives for all rows. The stream ends."""
        return pack([self._decoder.decode(self._line.closed())])


class BeamStream:
    """prefix_beam_search of one line whose rows come bit by bit."""

    def __init__(
        self,
        blank: int,
        beam_width: int,
        prune_top_k: int,
        prune_min_prob: float,
        n_best: int = 1,
        kind: Kind = "probs",
        classes: Int32 | None = None,
        automata: Sequence[Automaton] = (),
        prune_cum_prob: float = 1.0,
        align: bool = True,
        alternatives: int = 0,
    ) -> None:
        pruning = _Pruning(beam_width, prune_top_k, prune_min_prob, prune_cum_prob)
        alphabet = Alphabet(blank, kind, classes, tuple(prepare(automaton) for automaton in automata))
        self._decoder = _Beam(alphabet, pruning, n_best, align, alternatives)
        self._line = Line(alphabet)

    def push(self, x: Matrix) -> None:
        """Take the next rows, float32 or float16 [time, class]."""
        self._line.push(x)

    def partial(self) -> tuple[Int32, int]:
        """The best prefix so far, int32 [length], and how many of its labels all prefixes of the beam share."""
        prefixes = list(self._decoder.search(self._line.opened())[0])
        return np.array(prefixes[0] if prefixes else (), np.int32), _shared_length(prefixes)

    def finish(self) -> Readings:
        """What prefix_beam_search gives for all rows. The stream ends."""
        return self._decoder.read([self._line.closed()])


@dataclass(frozen=True)
class _BestPath:
    alphabet: Alphabet
    confidences: bool

    def decode(self, line: Line) -> list[Hypothesis]:
        if line.is_bad:
            return [BAD]
        labels, owners = self._collapse([row.best for row in line.rows])
        is_logits = self.alphabet.kind == "logits"
        spans = locate(line.rows, labels, owners)
        if is_logits and not self.confidences:  # nothing that needs z
            spans = spans._replace(timesteps=spans.starts)
        confidences = [line.rows[t].prob(label) for t, label in zip(spans.timesteps, labels, strict=True)]
        score = 0.0 if is_logits else sum(log(row.prob(row.best)) for row in line.rows)
        exact = math.nan if is_logits else score
        return [Hypothesis(labels, exact, score, *spans, confidences if self.confidences else ())]

    def _collapse(self, path: Sequence[int]) -> tuple[list[int], list[int]]:
        """Labels of an alignment, and for each timestep which of them it emits, -1 for none."""
        labels: list[int] = []
        owners: list[int] = []
        for previous, label in zip([self.alphabet.blank, *path], path, strict=False):
            if label not in (self.alphabet.blank, previous):
                labels.append(label)
            owners.append(-1 if label == self.alphabet.blank else len(labels) - 1)
        return labels, owners


class _Masses(NamedTuple):
    """Mass of a prefix's alignments that end in blank, of those that end in its last label; the automata's states."""

    blank: float
    last: float
    states: tuple[int, ...]

    @property
    def total(self) -> float:
        return self.blank + self.last


@dataclass(frozen=True)
class _Pruning:
    beam_width: int
    top_k: int
    min_prob: float
    cum_prob: float

    def __post_init__(self) -> None:
        if self.beam_width < 1 or self.top_k < 1:
            raise ValueError("beam_width and prune_top_k must be at least 1")
        if math.isnan(self.min_prob) or math.isnan(self.cum_prob):
            raise ValueError("prune_min_prob and prune_cum_prob must be numbers")

    def likely(self, row: Row, blank: int) -> list[int]:
        """Labels that extend prefixes at this timestep, likeliest first."""
        labels = [label for label in row.p if label != blank][: self.top_k]
        labels = [label for label in labels if row.p[label] >= self.min_prob * row.share]
        if self.cum_prob < 1.0:
            taken = accumulate((row.p[label] for label in labels), initial=row.p[blank])
            labels = [label for label, mass in zip(labels, taken, strict=False) if mass < self.cum_prob * row.share]
        return labels or [row.best] * (row.best != blank)

    def best(self, prefixes: dict[Prefix, _Masses]) -> dict[Prefix, _Masses]:
        """The greatest by total mass, in that order; of equals the smaller prefix first. Specks are dropped."""
        greatest = max((masses.total for masses in prefixes.values()), default=0.0)
        floor = max(MASS_FLOOR, greatest * SHARE_FLOOR)
        alive = [(prefix, masses) for prefix, masses in prefixes.items() if masses.total >= floor]
        return dict(sorted(alive, key=lambda item: (-item[1].total, item[0]))[: self.beam_width])


@dataclass(frozen=True)
class _Beam:
    alphabet: Alphabet
    pruning: _Pruning
    n_best: int
    align: bool
    alternatives: int

    def __post_init__(self) -> None:
        if self.n_best < 1 or self.alternatives < 0:
            raise ValueError("n_best must be at least 1, alternatives at least 0")
        if self.alternatives and not self.align:
            raise ValueError("alternatives need the alignment")

    def read(self, lines: Sequence[Line]) -> Readings:
        is_logits = self.alphabet.kind == "logits"
        normalisers = [line.normalisers for line in lines if is_logits]
        return pack([self._decode(line) for line in lines], self.alternatives, normalisers)

    def _decode(self, line: Line) -> list[Hypothesis]:
        if line.is_bad:
            return [BAD]
        beam, exponent = self.search(line)
        finals = [(self._final_mass(masses), prefix) for prefix, masses in beam.items()]
        ranked = sorted((-mass, prefix) for mass, prefix in finals if mass > 0.0)[: self.n_best]
        scale = exponent * math.log(2.0)
        return [self._describe(line, prefix, math.log(-mass) + scale) for mass, prefix in ranked]

    def search(self, line: Line) -> tuple[dict[Prefix, _Masses], int]:
        """Prefixes alive after the last row, best first, and the exponent of 2 that their masses lack."""
        start: Prefix = ()
        beam = {start: _Masses(1.0, 0.0, (0,) * len(self.alphabet.automata))}
        exponent = 0
        for row in line.rows:
            beam = self._advance(beam, row) if row.z < math.inf else {}
            beam, bits = _rescale(self.pruning.best(beam))
            exponent += bits
        return ({} if line.is_bad else beam), exponent

    def _advance(self, beam: dict[Prefix, _Masses], row: Row) -> dict[Prefix, _Masses]:
        """Every prefix of the beam one timestep later, kept and extended."""
        blank, p = self.alphabet.blank, row.p
        longer = {
            prefix: _Masses(masses.total * p[blank], masses.last * p[prefix[-1]] if prefix else 0.0, masses.states)
            for prefix, masses in beam.items()
        }
        likely = self.pruning.likely(row, blank)
        for prefix, masses in beam.items():
            for label in likely:
                states, weight = self._weigh(masses.states, label)
                # A repeat is a new label only after a blank.
                mass = (masses.blank if prefix[-1:] == (label,) else masses.total) * p[label] * weight
                known = longer.get((*prefix, label), _Masses(0.0, 0.0, states))
                longer[(*prefix, label)] = known._replace(last=known.last + mass)
        return longer

    def _weigh(self, states: Sequence[int], label: int) -> tuple[tuple[int, ...], float]:
        """The automata's states after a label, and what they say to it; 0 forbids it."""
        weight, after = 1.0, []
        for automaton, start in zip(self.alphabet.automata, states, strict=True):
            state = start
            while (arc := _find_arc(automaton, state, int(automaton.symbols[label]))) < 0:
                weight *= float(automaton.backoff_weights[state])
                state = int(automaton.backoff_states[state])
                if state < 0:
                    return (), 0.0
            weight *= float(automaton.arc_weights[arc])
            after.append(int(automaton.arc_states[arc]))
        return tuple(after), weight

    def _final_mass(self, masses: _Masses) -> float:
        mass = masses.total
        for automaton, state in zip(self.alphabet.automata, masses.states, strict=True):
            mass *= float(automaton.final_weights[state])
        return mass

    def _describe(self, line: Line, labels: Prefix, score: float) -> Hypothesis:
        rows, blank = line.rows, self.alphabet.blank
        # Searched without z, which all prefixes have in common.
        score -= sum(math.log(row.z) for row in rows)
        exact = log_prob(rows, labels, blank)
        if not self.align:
            return Hypothesis(labels, exact, score)
        spans = locate(rows, labels, align(rows, labels, blank))
        confidences = [rows[t].prob(label) for t, label in zip(spans.timesteps, labels, strict=True)]
        if not self.alternatives:
            return Hypothesis(labels, exact, score, *spans, confidences)
        weighed = [
            weigh_alternatives(rows, labels, blank, i, t, self.alternatives) for i, t in enumerate(spans.timesteps)
        ]
        posteriors, others = [share for share, _ in weighed], [other for _, other in weighed]
        return Hypothesis(labels, exact, score, *spans, confidences, posteriors, others)


def _rescale(beam: dict[Prefix, _Masses]) -> tuple[dict[Prefix, _Masses], int]:
    """Masses in a range that one row does not leave, and the exponent of 2 that they lack."""
    greatest = next((masses.total for masses in beam.values()), 1.0)
    if LEAST <= greatest <= MOST or greatest == math.inf:
        return beam, 0
    factor, bits = (MOST, -RESCALE_BITS) if greatest < LEAST else (LEAST, RESCALE_BITS)
    beam, further = _rescale({p: _Masses(m.blank * factor, m.last * factor, m.states) for p, m in beam.items()})
    return beam, bits + further


def _shared_length(prefixes: Sequence[Prefix]) -> int:
    """How many labels all prefixes begin with."""
    if not prefixes:
        return 0
    first, last = min(prefixes), max(prefixes)
    return next((i for i, (a, b) in enumerate(zip(first, last, strict=False)) if a != b), len(first))


def _find_arc(automaton: Automaton, state: int, symbol: int) -> int:
    """The arc of a state with a symbol, -1 for none."""
    begin, end = automaton.begins[state : state + 2].tolist()
    arc = bisect_left(automaton.arc_symbols, symbol, begin, end)
    return arc if arc < end and automaton.arc_symbols[arc] == symbol else -1
