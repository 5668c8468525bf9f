"""Other CTC decoders behind one face. Those that cannot be imported are left out.

All get the same matrices, rearranged beforehand into what they want, and run on one thread. pruning:

- equal: labels with p >= e^-5, at most the 40 likeliest, as far as a decoder can say so;
- top40: the 40 likeliest labels, however unlikely;
- default: what a decoder does unless told otherwise.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from types import ModuleType
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from ext import ctc
from ext.readings import Readings
from ocr_core.types import DecodeOptions, Probs

Pruning = Literal["equal", "top40", "default"]

OURS = "Glyphwire"
EQUAL_MIN_PROB = math.exp(-5)
TOP_K = 40

_MODULES = {
    "fast-ctc-decode": "fast_ctc_decode",
    "fast-ctc-decoder": "fast_ctc_decoder",
    "pyctcdecode": "pyctcdecode",
    "ctc-beam-decoder": "ctc_beam_decoder",
    "flashlight-text": "flashlight.lib.text.decoder",
    "torch": "torch",
    "openvino": "openvino",
}

# fast-ctc-decode keeps a table of all classes for every prefix unless pruned: gigabytes for a line of 6625 classes.
_DENSE_TABLE_CLASSES = 1000


@dataclass(frozen=True, slots=True)
class Reading:
    """Class indices, and timesteps where the decoder tells them."""

    labels: list[int]
    timesteps: list[int] | None = None


@dataclass(frozen=True, slots=True)
class Peer:
    """A decoder with its settings. prepare and read are not timed: probs -> what run takes; what it gives -> labels."""

    name: str
    prepare: Callable[[Probs], Any]
    run: Callable[[Any], Any]
    read: Callable[[Any], Reading]


def missing() -> list[str]:
    """Names of the decoders that cannot be imported."""
    return [name for name in _MODULES if _module(name) is None]


def best_path_decoders(classes: int) -> list[Peer]:
    """Ours first. classes: blank is 0."""
    ours = Peer(OURS, _as_is, lambda probs: ctc.best_path(probs, 0), first_of)
    rust = [_rust_peer(name, classes, "viterbi_search", {}) for name in _rust_names()]
    return [ours, *rust, *_torch_best_path(), *_openvino_best_path(), _numpy_best_path()]


def beam_decoders(classes: int, width: int, pruning: Pruning) -> list[Peer]:
    """Ours first. classes: blank is 0."""
    makers = (_rust_beam, _python_beam, _flashlight_beam)
    return [_our_beam(width, pruning), *(peer for make in makers for peer in make(classes, width, pruning))]


def first_of(readings: Readings) -> Reading:
    """The best hypothesis of one line."""
    best = slice(0, readings.offsets[1])
    return Reading(readings.labels[best].tolist(), readings.timesteps[best].tolist())


@cache
def characters(classes: int) -> list[str]:
    """One character per class, none for blank; printable ASCII and one other when there are as many classes."""
    first = " " if classes == 97 else "\u4e00"
    return ["", *(chr(ord(first) + i) for i in range(classes - 1))]


def _our_beam(width: int, pruning: Pruning) -> Peer:
    top_k, min_prob = our_pruning(pruning)
    return Peer(OURS, _as_is, lambda probs: ctc.prefix_beam_search(probs, 0, width, top_k, min_prob), first_of)


@cache
def our_pruning(pruning: Pruning) -> tuple[int, float]:
    """prune_top_k and prune_min_prob. Kept, as to make DecodeOptions takes 7 us, a call of one line 10."""
    defaults = DecodeOptions()
    return {
        "equal": (TOP_K, EQUAL_MIN_PROB),
        "top40": (TOP_K, 0.0),
        "default": (defaults.prune_top_k, defaults.prune_min_prob),
    }[pruning]


def _rust_beam(classes: int, width: int, pruning: Pruning) -> list[Peer]:
    if pruning == "top40" or (pruning == "default" and classes > _DENSE_TABLE_CLASSES):
        return []
    options: dict[str, float] = {"beam_size": width}
    if pruning == "equal":
        options["beam_cut_threshold"] = min(EQUAL_MIN_PROB, 0.999 / classes)  # more is refused
    return [_rust_peer(name, classes, "beam_search", options) for name in _rust_names()]


def _rust_names() -> list[str]:
    return [name for name in ("fast-ctc-decode", "fast-ctc-decoder") if _module(name)]


def _rust_peer(name: str, classes: int, function: str, options: dict[str, float]) -> Peer:
    search = getattr(import_module(_MODULES[name]), function)
    alphabet = ["-", *characters(classes)[1:]]
    cut = EQUAL_MIN_PROB if options.get("beam_cut_threshold", 1.0) < EQUAL_MIN_PROB else 0.0
    return Peer(
        name,
        lambda probs: np.where((probs >= cut) | (probs >= probs.max(axis=1, keepdims=True)), probs, np.float32(0)),
        lambda probs: search(probs, alphabet, **options),
        lambda found: Reading(_labels(found[0], classes), list(map(int, found[1]))),
    )


def _python_beam(classes: int, width: int, pruning: Pruning) -> list[Peer]:
    """Of pyctcdecode and its twin in C++."""
    if pruning == "top40":
        return []
    options: dict[str, float] = {"beam_width": width}
    if pruning == "equal":
        options |= {"beam_prune_logp": -1e9, "token_min_logp": -5.0}
    return [
        _text_peer(name, classes, _built(name, classes), options)
        for name in ("pyctcdecode", "ctc-beam-decoder")
        if _module(name)
    ]


def _text_peer(name: str, classes: int, decoder: Any, options: dict[str, float]) -> Peer:  # noqa: ANN401  # untyped
    return Peer(
        name,
        _log,
        lambda log_probs: decoder.decode(log_probs, **options),
        lambda text: Reading(_labels(text, classes)),
    )


@cache
def _built(name: str, classes: int) -> Any:  # noqa: ANN401  # an untyped decoder
    logging.getLogger("pyctcdecode").setLevel(logging.ERROR)
    return import_module(_MODULES[name]).build_ctcdecoder(characters(classes))


def _flashlight_beam(classes: int, width: int, pruning: Pruning) -> list[Peer]:
    module = _module("flashlight-text")
    if module is None or pruning == "equal":  # knows no threshold on single labels
        return []
    options = module.LexiconFreeDecoderOptions(
        beam_size=width,
        beam_size_token=min(TOP_K, classes) if pruning == "top40" else classes,
        beam_threshold=1e9 if pruning == "top40" else 50.0,
        lm_weight=0.0,
        sil_score=0.0,
        log_add=pruning == "top40",
        criterion_type=module.CriterionType.CTC,
    )
    decoder = module.LexiconFreeDecoder(options, module.ZeroLM(), 0, 0, [])

    def run(log_probs: npt.NDArray[np.float32]) -> list[int]:
        found = decoder.decode(log_probs.ctypes.data, *log_probs.shape)
        tokens: list[int] = max(found, key=lambda hypothesis: hypothesis.score).tokens
        return tokens[1:-1]  # silence is added on both sides

    return [Peer("flashlight-text", _log, run, _collapsed)]


def _torch_best_path() -> list[Peer]:
    torch = _module("torch")
    if torch is None:
        return []
    torch.set_num_threads(1)

    def run(probs: Any) -> list[int]:  # noqa: ANN401  # a tensor
        labels = torch.unique_consecutive(probs.max(1)[1])
        return list(labels[labels != 0].tolist())

    return [Peer("torch", torch.from_numpy, run, Reading)]


def _openvino_best_path() -> list[Peer]:
    if _module("openvino") is None:
        return []

    def run(probs: npt.NDArray[np.float32]) -> list[int]:
        request = _openvino_request(*probs.shape)
        request.infer([probs[None], np.array([len(probs)], np.int32)], share_inputs=True)
        length = int(request.get_output_tensor(1).data[0])
        return list(request.get_output_tensor(0).data[0, :length].tolist())

    return [Peer("openvino", _as_is, run, Reading)]


@cache
def _openvino_request(times: int, classes: int) -> Any:  # noqa: ANN401  # untyped
    openvino, opset = import_module("openvino"), import_module("openvino.opset8")
    probs = opset.parameter([1, times, classes], openvino.Type.f32)
    length = opset.parameter([1], openvino.Type.i32)
    blank = opset.constant(np.array([0], np.int32))
    search = opset.ctc_greedy_decoder_seq_len(probs, length, blank, merge_repeated=True)
    model = openvino.Model(search.outputs(), [probs, length], "best_path")
    return openvino.Core().compile_model(model, "CPU", {"INFERENCE_NUM_THREADS": 1}).create_infer_request()


def _numpy_best_path() -> Peer:
    """As OCR packages in Python do it: argmax, max, mask."""

    def run(probs: Probs) -> tuple[list[int], list[float]]:
        labels, confidences = probs.argmax(axis=1), probs.max(axis=1)
        kept = np.ones(len(labels), bool)
        kept[1:] = labels[1:] != labels[:-1]
        kept &= labels != 0
        return labels[kept].tolist(), confidences[kept].tolist()

    return Peer("numpy", _as_is, run, lambda found: Reading(found[0]))


def _collapsed(tokens: Sequence[int]) -> Reading:
    """Alignment -> labels, each at its first timestep."""
    begins = [t for t, label in enumerate(tokens) if label > 0 and (t == 0 or tokens[t - 1] != label)]
    return Reading([tokens[t] for t in begins], begins)


def _as_is(probs: Probs) -> Probs:
    return probs


def _log(probs: Probs) -> Probs:
    return np.ascontiguousarray(np.log(np.maximum(probs, 1e-30)), np.float32)


def _labels(text: str, classes: int) -> list[int]:
    first = ord(characters(classes)[1])
    return [ord(character) - first + 1 for character in text]


@cache
def _module(name: str) -> ModuleType | None:
    try:
        return import_module(_MODULES[name])
    except ImportError:
        return None
