"""What composing lines costs a device: kernels started and bytes moved, counted on any device."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor
from torch._ops import OpOverload
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


class CostMeter(TorchDispatchMode):  # type: ignore[no-untyped-call] # torch's own, without types
    """Counts while it is entered. kernels: operations that make new values; bytes: of all they read and write.

    A lookup is taken to read as much as it writes, not its whole table.
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call] # likewise
        self.kernels = 0
        self.bytes = 0

    def __torch_dispatch__(
        self, func: OpOverload, types: Sequence[type], args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> object:
        result = func(*args, **(kwargs or {}))
        written = _bytes(result)
        if not func.is_view and written:
            self.kernels += 1
            read = written if "index" in func.name() else _bytes((args, kwargs))  # type: ignore[no-untyped-call] # likewise
            self.bytes += read + written
        return result


def _bytes(values: object) -> int:
    return sum(leaf.numel() * leaf.element_size() for leaf in tree_leaves(values) if isinstance(leaf, Tensor))
