"""The weighted mean of checkpoints of one network: often better than each, and nearer to what it started from.

Wortsman et al., "Model soups", arXiv 2203.05482, and "Robust fine-tuning of zero-shot models", arXiv 2109.01903.

Run: python -m training.average OUT WEIGHT CHECKPOINT [WEIGHT CHECKPOINT ...]
"""

from __future__ import annotations

from argparse import ArgumentParser
from collections.abc import Sequence
from pathlib import Path

from torch import Tensor

from ocr_core.errors import SetupError
from training.checkpoint import Checkpoint, load_checkpoint, save_checkpoint, widened
from training.command import run_command


def averaged(parts: Sequence[tuple[float, Checkpoint]]) -> Checkpoint:
    """The first checkpoint with the mean of the averaged weights of all. Raises SetupError for different networks."""
    first = parts[0][1]
    if any((other.spec, other.characters) != (first.spec, first.characters) for _, other in parts):
        raise SetupError("checkpoints of different networks or charsets have no mean")
    total = sum(weight for weight, _ in parts)
    mean: dict[str, Tensor] = {}
    for name, tensor in widened(first.averaged).items():
        if tensor.is_floating_point():
            terms = [weight / total * other.averaged[name].float() for weight, other in parts]
            mean[name] = sum(terms[1:], terms[0])
        else:
            mean[name] = tensor
    return first.model_copy(update={"weights": mean, "averaged": mean})


def main(arguments: Sequence[str] | None = None) -> int:
    """Returns 0."""
    parser = ArgumentParser("python -m training.average", description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("parts", nargs="+", metavar="WEIGHT CHECKPOINT")
    flags = parser.parse_args(arguments)
    try:
        pairs = [(float(weight), path) for weight, path in zip(flags.parts[::2], flags.parts[1::2], strict=True)]
    except ValueError:
        parser.error(f"{' '.join(flags.parts)} are no pairs of a weight and a checkpoint")
    save_checkpoint(averaged([(weight, load_checkpoint(Path(path))) for weight, path in pairs]), flags.out)
    return 0


if __name__ == "__main__":
    run_command(main)
