"""Lines to decode, readings taken apart, and what enumerating all alignments finds."""

import itertools
import math
from types import SimpleNamespace

import numpy as np

from ext.automaton import Automaton

KINDS = ("probs", "log_probs", "logits")
DEFAULTS = {"beam_width": 10, "prune_top_k": 40, "prune_min_prob": 0.001}
EVERYTHING = {"beam_width": 4096, "prune_top_k": 16, "prune_min_prob": 0.0, "n_best": 4096}


def matrix(rows):
    """Float32 [time, class]."""
    return np.array(rows, np.float32)


def softmax_matrix(seed, times, classes, sharpness=3.0):
    """Random distributions, float32 [time, class]; the sharper, the closer to one-hot."""
    scores = np.random.default_rng(seed).normal(scale=sharpness, size=(times, classes))
    exps = np.exp(scores - scores.max(axis=1, keepdims=True))
    return matrix(exps / exps.sum(axis=1, keepdims=True))


def as_kind(probs, kind):
    """The same distributions as values of a kind; logits are off by something else in each row."""
    if kind == "probs":
        return probs
    with np.errstate(divide="ignore"):
        log_probs = np.log(probs)
    if kind == "logits":
        log_probs += np.arange(len(probs), dtype=np.float32)[:, None] % 7 - 3
    return log_probs


def probabilities(x, kind):
    """Float64 [time, class] of values of a kind."""
    x = x.astype(np.float64)
    if kind == "probs":
        return x
    exps = np.exp(x if kind == "log_probs" else x - x.max(axis=1, keepdims=True))
    return exps if kind == "log_probs" else exps / exps.sum(axis=1, keepdims=True)


def hypotheses(readings):
    """For each line its hypotheses, their fields in plain Python; those that readings do not have are empty."""
    return [
        [_hypothesis(readings, h, slice(*readings.offsets[h : h + 2].tolist())) for h in range(first, last)]
        for first, last in itertools.pairwise(readings.lines.tolist())
    ]


def only(readings):
    """The hypotheses of the one line."""
    (found,) = hypotheses(readings)
    return found


def _hypothesis(readings, h, span):
    others = zip(
        readings.alternative_labels[span].tolist(), readings.alternative_posteriors[span].tolist(), strict=True
    )
    return SimpleNamespace(
        labels=tuple(readings.labels[span].tolist()),
        timesteps=readings.timesteps[span].tolist(),
        starts=readings.starts[span].tolist(),
        ends=readings.ends[span].tolist(),
        confidences=readings.confidences[span].tolist(),
        posteriors=readings.posteriors[span].tolist(),
        alternatives=[dict(zip(*pair, strict=True)) for pair in others],
        log_prob=float(readings.log_probs[h]),
        score=float(readings.scores[h]),
    )


def collapsed(alignment, blank):
    """Labels of an alignment: repeats collapsed, blanks dropped."""
    return tuple(label for label, _ in itertools.groupby(alignment) if label != blank)


def enumerated(p, blank, allowed=None):
    """Probability of every labelling and its most probable alignment, from all sequences of allowed classes."""
    totals, best = {}, {}
    for alignment in itertools.product(range(p.shape[1]) if allowed is None else allowed, repeat=len(p)):
        prob = math.prod(row[c] for row, c in zip(p.tolist(), alignment, strict=True))
        labels = collapsed(alignment, blank)
        totals[labels] = totals.get(labels, 0.0) + prob
        best[labels] = max(best.get(labels, (0.0, ())), (prob, alignment))
    return totals, {labels: alignment for labels, (_, alignment) in best.items()}


def spans(p, alignment, blank):
    """Likeliest timestep, first and one past the last of each run of labels."""
    runs = [list(run) for _, run in itertools.groupby(range(len(alignment)), key=alignment.__getitem__)]
    runs = [run for run in runs if alignment[run[0]] != blank]
    peaks = [max(run, key=lambda t, c=alignment[run[0]]: p[t, c]) for run in runs]
    return peaks, [run[0] for run in runs], [run[-1] + 1 for run in runs]


def automaton(symbols, arcs, finals, backoffs=None):
    """arcs: {(state, symbol): (next state, weight)}; finals: of each state; backoffs: {state: (state, weight)}."""
    backoffs = backoffs or {}
    states, ordered = range(len(finals)), sorted(arcs)
    begins = [sum(owner < state for owner, _ in ordered) for state in range(len(finals) + 1)]
    return Automaton(
        symbols=np.array(symbols, np.int32),
        begins=np.array(begins, np.int32),
        arc_symbols=np.array([symbol for _, symbol in ordered], np.int32),
        arc_states=np.array([arcs[arc][0] for arc in ordered], np.int32),
        arc_weights=np.array([arcs[arc][1] for arc in ordered], np.float64),
        backoff_states=np.array([backoffs.get(state, (-1, 1.0))[0] for state in states], np.int32),
        backoff_weights=np.array([backoffs.get(state, (-1, 1.0))[1] for state in states], np.float64),
        final_weights=np.array(finals, np.float64),
    )


def unigrams(weights):
    """An automaton of one state that weighs each class; None forbids it."""
    arcs = {(0, label): (0, weight) for label, weight in enumerate(weights) if weight is not None}
    return automaton(range(len(weights)), arcs, [1.0])


def weight_of(machine, labels):
    """What an automaton says to a whole labelling, final weight included; 0 where it forbids it."""
    state, weight = 0, 1.0
    for label in labels:
        while (arc := _arc(machine, state, machine.symbols[label])) is None:
            weight *= machine.backoff_weights[state]
            state = machine.backoff_states[state]
            if state < 0:
                return 0.0
        weight *= machine.arc_weights[arc]
        state = machine.arc_states[arc]
    return weight * machine.final_weights[state]


def _arc(machine, state, symbol):
    arcs = range(machine.begins[state], machine.begins[state + 1])
    return next((arc for arc in arcs if machine.arc_symbols[arc] == symbol), None)


def random_automaton(rng, classes, spread=1.0):
    """A few states with random arcs, weights and chains of backoffs; ends are forbidden here and there."""
    symbols, states = rng.integers(1, 5), rng.integers(1, 6)
    density = rng.choice([0.2, 0.6, 1.0])
    pairs = [(s, a) for s in range(states) for a in range(symbols) if rng.random() < density]
    factors = iter(np.exp(rng.normal(scale=spread, size=3 * len(pairs) + 3 * states)).tolist())
    return automaton(
        rng.integers(-1 if rng.random() < 0.3 else 0, symbols, classes),
        {pair: (int(rng.integers(states)), next(factors)) for pair in pairs},
        [next(factors) if rng.random() < 0.8 else 0.0 for _ in range(states)],
        {s: (int(rng.integers(s)), next(factors)) for s in range(1, states) if rng.random() < 0.7},
    )
