"""Fewer channels: those that batch norms scale least are cut out of every layer that makes or reads them.

Liu et al., "Learning Efficient Convolutional Networks through Network Slimming", arXiv 1708.06519.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from training.compress.errors import CompressionFailed
from training.day_one import DayOneSpec, Excite
from training.network import Crnn, NetworkSpec, RepConv

_NORM_TENSORS = ("weight", "bias", "running_mean", "running_var")
_PIXELS = -1
"""The group of the network's input, of which nothing is cut."""


@dataclass(frozen=True, slots=True)
class PruneSettings:
    """share: of all channels, to be cut. least: share that every layer keeps. multiple: counts are rounded up to it."""

    share: float = 0.3
    least: float = 0.25
    multiple: int = 8


@dataclass
class _Channels:
    """Groups of channels that layers share, so that a channel is cut from all of them or from none.

    axes: tensor of the state -> the group of each of its first axes. sizes: of the groups. norms: batch norms of each
    group. outputs: the group that each convolution across channels emits, in order. inner: group between the two
    convolutions of an excitement -> the group that they excite.
    """

    axes: dict[str, tuple[int, ...]] = field(default_factory=dict)
    sizes: list[int] = field(default_factory=list)
    norms: list[list[str]] = field(default_factory=list)
    outputs: list[int] = field(default_factory=list)
    inner: dict[int, int] = field(default_factory=dict)

    def follow(self, module: nn.Module, name: str, group: int) -> int:
        """Note the axes of a module that is given a group. Returns the group that it emits."""
        match module:
            case RepConv():
                return self._follow_branches(module, name, group)
            case Excite():
                self._follow_excitement(module, name, group)
            case nn.Conv2d():
                return self._follow_convolution(module, name, group)
            case nn.BatchNorm2d():
                self._note_norm(name, group)
            case _:
                for child_name, child in module.named_children():
                    group = self.follow(child, f"{name}.{child_name}", group)
        return group

    def _follow_branches(self, module: RepConv, name: str, group: int) -> int:
        emitted = group
        if module.identity_norm is None:
            emitted = self._new_group(module.wide.out_channels)
        else:
            self._note_norm(f"{name}.identity_norm", emitted)
        for branch in ("wide", "point"):
            self.axes[f"{name}.{branch}.weight"] = (emitted, group)
            self._note_norm(f"{name}.{branch}_norm", emitted)
        self.outputs.append(emitted)
        return emitted

    def _follow_convolution(self, module: nn.Conv2d, name: str, group: int) -> int:
        if module.groups > 1:
            self.axes[f"{name}.weight"] = (group,)
            return group
        emitted = self._new_group(module.out_channels)
        self.axes[f"{name}.weight"] = (emitted, group)
        self.outputs.append(emitted)
        return emitted

    def _follow_excitement(self, module: Excite, name: str, group: int) -> None:
        inner = self._new_group(module.reduce.out_channels)
        self.inner[inner] = group
        self.axes |= {
            f"{name}.reduce.weight": (inner, group),
            f"{name}.reduce.bias": (inner,),
            f"{name}.expand.weight": (group, inner),
            f"{name}.expand.bias": (group,),
        }

    def _note_norm(self, name: str, group: int) -> None:
        self.norms[group].append(name)
        self.axes |= {f"{name}.{tensor}": (group,) for tensor in _NORM_TENSORS}

    def _new_group(self, size: int) -> int:
        self.sizes.append(size)
        self.norms.append([])
        return len(self.sizes) - 1


@torch.no_grad()
def pruned(network: Crnn, settings: PruneSettings) -> Crnn:
    """A network with the least important channels cut, for evaluation; the given one stays as it is.

    Raises CompressionFailed for networks whose batch norms are part of their kernels, as those of PP-OCRv6 are.
    """
    if not isinstance(network.spec, DayOneSpec | NetworkSpec):
        raise CompressionFailed(
            f"channels are cut by the scales of their batch norms, and a network of {type(network.spec).__name__} "
            "has none; a recipe whose start says `between` makes one smaller"
        )
    channels = _Channels()
    last = channels.follow(network.backbone, "backbone", _PIXELS)
    for direction in ("", "_reverse"):
        channels.axes[f"lstm.weight_ih_l0{direction}"] = (_PIXELS, last)
    state = dict(network.state_dict())
    kept = _kept(channels, state, settings)
    for name, groups in channels.axes.items():
        for axis, group in enumerate(groups):
            if group != _PIXELS:
                state[name] = state[name].index_select(axis, kept[group])
    made = _with_channels(network.spec, [len(kept[group]) for group in channels.outputs]).build()
    # Where neighbouring stages have come to be equally wide there is an identity now that was none: it adds nothing.
    for name, tensor in made.state_dict().items():
        if name not in state:
            state[name] = torch.zeros_like(tensor) if name.endswith(("weight", "bias")) else tensor
    made.load_state_dict(state)
    return made.eval()


def _kept(channels: _Channels, state: dict[str, Tensor], settings: PruneSettings) -> dict[int, Tensor]:
    """Indices that stay of each group, sorted."""
    worth = {
        group: torch.stack([_relative(state[f"{norm}.weight"].abs()) for norm in norms]).mean(0)
        for group, norms in enumerate(channels.norms)
        if norms
    }
    threshold = torch.quantile(torch.cat(list(worth.values())), settings.share)
    kept = {group: _best(values, _count(values, threshold, settings)) for group, values in worth.items()}
    for inner, group in channels.inner.items():
        kept[inner] = _best(_inner_worth(channels, state, inner), len(kept[group]) // 4)
    return kept


def _count(worth: Tensor, threshold: Tensor, settings: PruneSettings) -> int:
    wanted = max(int((worth > threshold).sum()), settings.least * len(worth), 1)
    return min(len(worth), settings.multiple * -(-int(wanted) // settings.multiple))


def _inner_worth(channels: _Channels, state: dict[str, Tensor], inner: int) -> Tensor:
    """Of the channels between two convolutions without a norm: the size of what goes in times that of what goes out."""
    (reduce,) = (name for name, groups in channels.axes.items() if groups[0] == inner and len(groups) == 2)
    expand = reduce.replace("reduce", "expand")
    makes, reads = state[reduce].flatten(1), state[expand].flatten(1)
    worth: Tensor = torch.linalg.vector_norm(makes, dim=1) * torch.linalg.vector_norm(reads, dim=0)
    return worth


def _relative(scales: Tensor) -> Tensor:
    """Layers differ in their scales for reasons of their own; within one they can be compared."""
    return scales / scales.mean().clamp_min(1e-12)


def _best(worth: Tensor, count: int) -> Tensor:
    return worth.topk(count).indices.sort().values


def _with_channels(spec: DayOneSpec | NetworkSpec, channels: Iterable[int]) -> DayOneSpec | NetworkSpec:
    """A spec with other numbers of channels. channels: that each convolution across channels emits."""
    counts = iter(channels)
    if isinstance(spec, DayOneSpec):
        stem = next(counts)
        blocks = tuple(block.model_copy(update={"channels": next(counts)}) for block in spec.blocks)
        return spec.model_copy(update={"stem": stem, "blocks": blocks})
    # All convolutions of a stage emit the same group.
    widths = [[next(counts) for _ in range(stage.blocks)][-1] for stage in spec.stages]
    stages = zip(spec.stages, widths, strict=True)
    return spec.model_copy(update={"stages": tuple(s.model_copy(update={"channels": c}) for s, c in stages)})
