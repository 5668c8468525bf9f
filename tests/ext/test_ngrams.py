"""What n-gram models say of texts, against Katz's definition over a table of all n-grams."""

from __future__ import annotations

import numpy as np
import pytest

from ext.ngrams import log_probs
from ocr_core.ngram import CharacterModel
from ocr_core.ngram_tables import BEGIN, END

LINES = ["ab cab", "abba ab", "ab bab ab", "cab cab", "c", "aaaab"] * 2


def table(model):
    """Log-probability and backoff weight of each n-gram, by its symbols."""
    trie, found = model.ngrams.trie, {(): (0.0, 0.0)}
    names = [()]
    for parent, symbol, *weights in zip(
        trie.parents.tolist(),
        trie.symbols.tolist(),
        model.ngrams.log_probs.tolist(),
        model.ngrams.backoffs.tolist(),
        strict=True,
    ):
        names.append((*names[parent], symbol))
        found[names[-1]] = weights
    return found


def katz(ngrams, order, line):
    """Nats of each symbol of a line but the first."""
    said = []
    for i in range(1, len(line)):
        total = ngrams[line[i : i + 1]][0]
        for start in range(i - 1, max(i - order, -1), -1):
            if (ngram := line[start : i + 1]) in ngrams:
                total = ngrams[ngram][0]
            elif ngram[:-1] in ngrams:
                total += ngrams[ngram[:-1]][1]
        said.append(total)
    return said


def weigh(model, symbols=(BEGIN,), **changes):
    """What the kernel says, with other arguments where given."""
    ngrams = model.ngrams
    arguments = {
        "keys": ngrams.trie.keys,
        "width": ngrams.trie.width,
        "log_probs": ngrams.log_probs,
        "backoffs": ngrams.backoffs,
        "order": model.order,
        "symbols": np.array(symbols, np.int64),
        "begin": BEGIN,
    }
    return log_probs(**arguments | changes)


@pytest.mark.parametrize("order", [2, 3, 5])
def test_each_symbol_has_its_probability_to_the_last_bit(order):
    """Listed n-grams, others by what backs off, symbols that are unknown; a line knows nothing of the one before."""
    model = CharacterModel.train(LINES, order=order, min_count=1)
    rng, ngrams = np.random.default_rng(order), table(model)
    symbols = [symbol for symbol in range(model.ngrams.trie.width) if symbol not in (BEGIN, END)]
    lines = [(BEGIN, *rng.choice(symbols, length).tolist(), END) for length in range(40)]
    expected = [nats for line in lines for nats in katz(ngrams, order, line)]
    assert weigh(model, [symbol for line in lines for symbol in line]).tolist() == expected


def test_nothing_has_no_probabilities():
    """No symbols, or only beginnings."""
    model = CharacterModel.train(LINES, order=2)
    assert weigh(model, []).shape == weigh(model, [BEGIN]).shape == (0,)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"symbols": [7]}, "symbol 7"),
        ({"symbols": [-1]}, "symbol -1"),
        ({"order": 0}, "order"),
        ({"log_probs": np.zeros(1, np.float32)}, "do not fit"),
        ({"width": 1000}, "do not fit"),
    ],
)
def test_what_does_not_fit_is_refused(changes, reason):
    """A ValueError, not a memory fault."""
    model = CharacterModel.train(LINES, order=2)
    with pytest.raises(ValueError, match=reason):
        weigh(model, **changes)
