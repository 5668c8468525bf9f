"""How well a network reads batches that it was not trained on."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from ocr_core.charset import Charset
from ocr_core.evaluation import LineScore, score_texts
from training.batches import LineBatch
from training.loss import best_paths
from training.network import Crnn


@torch.no_grad()
def score(network: Crnn, *, batches: Sequence[LineBatch], charset: Charset) -> LineScore:
    """Exact match and CER of best paths. network: for evaluation; batches: on any device."""
    device = next(network.parameters()).device
    labels: list[str] = []
    texts: list[str] = []
    for batch in batches:
        logits = network(batch.images.to(device))
        texts += map(charset.text, best_paths(logits.cpu(), charset.blank_index))
        wanted = zip(batch.targets, batch.target_lengths, strict=True)
        labels += [charset.text(row[:length].tolist()) for row, length in wanted]
    return score_texts("validation", labels, texts)
