"""Probabilities of one line -> hypotheses: checks what the model emitted, picks the backend, runs the decoder."""

from __future__ import annotations

import math
from typing import Literal, Protocol

import numpy as np

from ocr_core import ctc_reference
from ocr_core.charset import Charset
from ocr_core.ctc_reference import Reading
from ocr_core.errors import BackendMissing, ModelFailed
from ocr_core.types import DecodeOptions, Decoder, Hypothesis, Probs

Backend = Literal["compiled", "reference"]

# Nats per timestep by which rounding may lift a line above probability 1; rows of a bfloat16 softmax sum to 1.004.
_LOG_PROB_SLACK = 0.01


class _Kernels(Protocol):
    """What ext.ctc and ctc_reference have in common."""

    def best_path(self, probs: Probs, blank: int) -> Reading: ...

    def prefix_beam_search(
        self, probs: Probs, blank: int, beam_width: int, prune_top_k: int, prune_min_prob: float, n_best: int = 1
    ) -> list[Reading]: ...


class CtcDecoder:
    """Decodes lines with one backend; may be shared by threads.

    Raises BackendMissing when the compiled kernels are asked for and not built; never falls back to the reference.
    """

    def __init__(self, backend: Backend = "compiled") -> None:
        self.backend = backend
        self._kernels = _load_kernels(backend)

    def decode(self, probs: Probs, charset: Charset, options: DecodeOptions) -> list[Hypothesis]:
        """Hypotheses of one line, best first: one, and as many alternatives as options ask for and the search found.

        probs: softmax, float32 [time, class]; copied only if it is not C-contiguous. Raises ModelFailed if it has
        another number of classes than charset, or holds anything but probabilities.
        """
        _check_layout(probs, charset)
        readings = self._read(np.ascontiguousarray(probs), charset.blank_index, options)
        best_log_prob = readings[0][3]
        if not -math.inf < best_log_prob <= _LOG_PROB_SLACK * len(probs):
            raise ModelFailed(
                f"model emitted values that are no probabilities: log_prob of the line is {best_log_prob}"
            )
        return [
            Hypothesis(tuple(labels.tolist()), tuple(timesteps.tolist()), tuple(confidences.tolist()), log_prob)
            for labels, timesteps, confidences, log_prob in readings
        ]

    def _read(self, probs: Probs, blank: int, options: DecodeOptions) -> list[Reading]:
        if options.decoder is Decoder.BEST_PATH:
            return [self._kernels.best_path(probs, blank)]
        return self._kernels.prefix_beam_search(
            probs, blank, options.beam_width, options.prune_top_k, options.prune_min_prob, 1 + options.alternatives
        )


def confidence(hypothesis: Hypothesis) -> float:
    """Mean probability of the characters at their peak timesteps, in [0, 1]; 0 for empty text."""
    return math.fsum(hypothesis.confidences) / len(hypothesis.confidences) if hypothesis.confidences else 0.0


def _load_kernels(backend: Backend) -> _Kernels:
    if backend == "reference":
        return ctc_reference
    try:
        from ext import ctc
    except ImportError as error:
        raise BackendMissing(
            f"compiled CTC decoder cannot be imported ({error}): build it, or ask for the reference decoder"
        ) from error
    return ctc


def _check_layout(probs: Probs, charset: Charset) -> None:
    if probs.dtype != np.float32 or probs.ndim != 2:
        raise TypeError(f"probs are {probs.dtype} with {probs.ndim} axes, must be float32 [time, class]")
    if probs.shape[1] != charset.class_count:
        raise ModelFailed(
            f"charset has {len(charset)} characters and blank, {charset.class_count} classes; "
            f"model emits {probs.shape[1]} classes"
        )
