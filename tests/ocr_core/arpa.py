"""ARPA files of models, as other tools write them."""

from __future__ import annotations

import math

from ocr_core.ngram import CharacterModel


def arpa(model: CharacterModel, space: str = "<space>") -> str:
    """The model as an ARPA file."""
    trie = model.ngrams.trie
    tokens = ["<unk>", "<s>", "</s>", *(space if name == " " else name for name in model.ngrams.characters)]
    names = [""]
    for parent, symbol in zip(trie.parents, trie.symbols, strict=True):
        names.append(f"{names[parent]} {tokens[symbol]}".strip(" "))
    rows = ["\\data\\"]
    rows += [f"ngram {order}={count}" for order, count in enumerate(model.counts, 1)]
    for order, level in enumerate(trie.levels(), 1):
        rows += ["", f"\\{order}-grams:"]
        for node in range(level.start, level.stop):
            log_prob, backoff = model.ngrams.log_probs[node - 1], model.ngrams.backoffs[node - 1]
            last = f"\t{backoff / math.log(10):.7f}" if order < model.order else ""
            rows.append(f"{log_prob / math.log(10):.7f}\t{names[node]}{last}")
    return "\n".join([*rows, "", "\\end\\", ""])
