"""The weighted mean of checkpoints of one network: often better than each, and nearer to what it started from.

Wortsman et al., "Model soups", arXiv 2203.05482, and "Robust fine-tuning of zero-shot models", arXiv 2109.01903.

Run: python -m training.average OUT WEIGHT CHECKPOINT [WEIGHT CHECKPOINT ...]
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from torch import Tensor

from training.checkpoint import Checkpoint, load_checkpoint, save_checkpoint, widened


def averaged(parts: Sequence[tuple[float, Checkpoint]]) -> Checkpoint:
    """The first checkpoint with the mean of the averaged weights of all. Raises ValueError for different networks."""
    first = parts[0][1]
    if any((other.spec, other.characters) != (first.spec, first.characters) for _, other in parts):
        raise ValueError("checkpoints of different networks or charsets have no mean")
    total = sum(weight for weight, _ in parts)
    mean: dict[str, Tensor] = {}
    for name, tensor in widened(first.averaged).items():
        if tensor.is_floating_point():
            terms = [weight / total * other.averaged[name].float() for weight, other in parts]
            mean[name] = sum(terms[1:], terms[0])
        else:
            mean[name] = tensor
    return first.model_copy(update={"weights": mean, "averaged": mean})


def main(arguments: Sequence[str]) -> int:
    """Returns 0."""
    out, *rest = arguments
    pairs = zip(rest[::2], rest[1::2], strict=True)
    save_checkpoint(averaged([(float(weight), load_checkpoint(Path(path))) for weight, path in pairs]), Path(out))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
