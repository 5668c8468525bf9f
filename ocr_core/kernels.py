"""The two implementations of CTC decoding: ext.ctc, compiled, and ctc_reference, its specification in Python."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal, Protocol

from ext.automaton import Automaton
from ext.readings import Float64, Int32, Readings
from ocr_core import ctc_reference
from ocr_core.ctc_rows import Kind, Lengths, Matrix
from ocr_core.errors import BackendMissing
from ocr_core.scores import Batch

Backend = Literal["compiled", "reference"]


class KernelStream(Protocol):
    """What the streams of both have in common."""

    def push(self, x: Matrix) -> None:
        """Take the next rows."""

    def partial(self) -> tuple[Int32, int]:
        """Labels of the best prefix, and how many of them all prefixes share."""

    def finish(self) -> Readings:
        """Readings of one line."""


class Kernels(Protocol):
    """What both have in common; docs/decoding.md has it in words."""

    @property
    def prepare(self) -> Callable[[Automaton], object]:
        """Checks an automaton and puts it into the form that searches take."""

    def best_path(
        self,
        x: Batch,
        blank: int,
        lengths: Lengths | None = None,
        kind: Kind = "probs",
        classes: Int32 | None = None,
        confidences: bool = True,
        threads: int = 1,
    ) -> Readings:
        """Likeliest class per timestep, collapsed."""

    def prefix_beam_search(
        self,
        x: Batch,
        blank: int,
        beam_width: int,
        prune_top_k: int,
        prune_min_prob: float,
        n_best: int = 1,
        lengths: Lengths | None = None,
        kind: Kind = "probs",
        classes: Int32 | None = None,
        automata: Sequence[Any] = (),
        prune_cum_prob: float = 1.0,
        align: bool = True,
        alternatives: int = 0,
        threads: int = 1,
    ) -> Readings:
        """Likeliest labellings, over all their alignments."""

    def log_probs(
        self,
        x: Matrix,
        blank: int,
        labellings: Sequence[Sequence[int]],
        kind: Kind = "probs",
        normalisers: Float64 | None = None,
    ) -> Float64:
        """How probable labellings are, over all their alignments."""

    @property
    def BestPathStream(self) -> Callable[..., KernelStream]:  # noqa: N802 - a class of both modules
        """best_path of rows that come bit by bit."""

    @property
    def BeamStream(self) -> Callable[..., KernelStream]:  # noqa: N802 - a class of both modules
        """prefix_beam_search of rows that come bit by bit."""


def load_kernels(backend: Backend) -> Kernels:
    """Raises BackendMissing when the compiled ones are asked for and not built."""
    if backend == "reference":
        return ctc_reference
    try:
        from ext import ctc
    except ImportError as error:
        raise BackendMissing(
            f"compiled CTC decoder cannot be imported ({error}): build it, or ask for the reference decoder"
        ) from error
    return ctc
