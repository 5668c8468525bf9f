"""Class scores -> hypotheses: a charset, what is known of the text, and the backend."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from functools import partial, reduce
from typing import Literal, Protocol, TypeVar, runtime_checkable

import numpy as np

from ext.automaton import Automaton
from ext.readings import Float64, Int32
from ocr_core.charset import Charset
from ocr_core.ctc_rows import Kind, Lengths, Matrix
from ocr_core.errors import ModelFailed, OptionInvalid
from ocr_core.hypotheses import Lines
from ocr_core.kernels import Backend, Kernels, load_kernels
from ocr_core.line_stream import LineStream
from ocr_core.ngram import CharacterModel
from ocr_core.scores import Batch, check_batch, check_scores
from ocr_core.spelling import Speller

_Result = TypeVar("_Result")


@runtime_checkable
class Knowledge(Protocol):
    """Something that is known of the text: ocr_core.language has lexicons, hot words and patterns."""

    def automaton(self, charset: Charset) -> Automaton:
        """What it says of each label after each prefix. Raises OptionInvalid when it does not suit the charset."""


@runtime_checkable
class Mask(Protocol):
    """What excludes labels: a whitelist of ocr_core.language; a pattern, which is Knowledge besides."""

    def allowed_labels(self, charset: Charset) -> Int32:
        """Labels that may be read at all, sorted. Raises OptionInvalid when there are none."""


@dataclass(frozen=True, slots=True)
class LanguageModel:
    """An n-gram model, how much it counts against the image, and nats that each character gains."""

    model: CharacterModel
    weight: float = 0.5
    bonus: float = 0.0

    def automaton(self, charset: Charset) -> Automaton:
        """As Knowledge."""
        return self.model.automaton(charset, self.weight, self.bonus)


class _Keep(Enum):
    """Default of what stays as it is."""

    KEEP = "keep"


class Decoder:
    """CTC decoder of one charset, with what is known of the text. Cannot be changed; may be shared by threads.

    charset: a Charset, or its characters in class order together with `blank`, the class index of blank.
    lm, lexicon, hotwords: what prefix beam search weighs prefixes with; best path does not use them.
    mask: what may be read at all, one thing or several. Best path uses only its allowed labels: of a whitelist that is
    all it says, of a pattern the labels that occur in it.

    Raises ValueError when blank is missing or contradicts the charset, OptionInvalid when what is known does not suit
    the charset, TypeError when it is none of such values but, say, a list of words, BackendMissing when the compiled
    kernels are asked for and not built: it never falls back.

    Of the methods' arguments, x is one line, [time, class], several, [batch, time, class] with `lengths` in rows, or a
    sequence of lines; float32 or float16, any strides, not copied. threads: how many may share the lines, of which no
    more than processors do. docs/decoding.md says what kind and the limits of the search mean. Methods raise
    ModelFailed when x has another number of classes than the charset, or holds what its kind excludes; TypeError for
    arrays of another type; ValueError for arguments that make no sense.
    """

    charset: Charset
    backend: Backend
    lm: Knowledge | None
    lexicon: Knowledge | None
    hotwords: Knowledge | None
    masks: tuple[Mask, ...]
    _kernels: Kernels
    _texts: tuple[str, ...]
    _speller: Speller
    _compiled: tuple[tuple[Knowledge, object], ...]
    _classes: Int32 | None

    def __init__(
        self,
        charset: Charset | Sequence[str],
        blank: int | None = None,
        lm: Knowledge | None = None,
        lexicon: Knowledge | None = None,
        hotwords: Knowledge | None = None,
        mask: Mask | Sequence[Mask] | None = None,
        backend: Backend = "compiled",
    ) -> None:
        charset = _charset(charset, blank)
        vars(self).update(charset=charset, backend=backend, _kernels=load_kernels(backend), _compiled=())
        vars(self).update(_texts=_class_texts(charset), _speller=Speller(charset))
        self._learn(lm, lexicon, hotwords, _masks(mask))

    def __setattr__(self, name: str, value: object) -> None:
        """Raises AttributeError: with_ makes a decoder that knows something else."""
        raise AttributeError(f"{name} of a Decoder cannot be set, with_ makes another one")

    def with_(
        self,
        *,
        lm: Knowledge | Literal[_Keep.KEEP] | None = _Keep.KEEP,
        lexicon: Knowledge | Literal[_Keep.KEEP] | None = _Keep.KEEP,
        hotwords: Knowledge | Literal[_Keep.KEEP] | None = _Keep.KEEP,
        mask: Mask | Sequence[Mask] | Literal[_Keep.KEEP] | None = _Keep.KEEP,
    ) -> Decoder:
        """A decoder that knows something else, None for nothing, where it is said; shares what stays the same."""
        other = copy.copy(self)
        other._learn(
            self.lm if lm is _Keep.KEEP else lm,
            self.lexicon if lexicon is _Keep.KEEP else lexicon,
            self.hotwords if hotwords is _Keep.KEEP else hotwords,
            self.masks if mask is _Keep.KEEP else _masks(mask),
        )
        return other

    def best_path(self, x: Batch, lengths: Lengths | None = None, kind: Kind = "probs", threads: int = 1) -> Lines:
        """The likeliest class per timestep, repeats collapsed, blanks dropped: one hypothesis per line."""
        check_batch(x, lengths, len(self._texts))
        readings = self._kernels.best_path(x, self.charset.blank_index, lengths, kind, self._classes, threads=threads)
        return Lines(readings, self._texts)

    def beam(
        self,
        x: Batch,
        lengths: Lengths | None = None,
        kind: Kind = "probs",
        width: int = 10,
        top_n: int = 40,
        min_prob: float = 0.001,
        cum_prob: float = 1.0,
        n_best: int = 1,
        align: bool = True,
        alternatives: int = 0,
        threads: int = 1,
    ) -> Lines:
        """Prefix beam search: up to n_best hypotheses per line, none where nothing that was searched fits the mask.

        width: prefixes kept per timestep. top_n, min_prob, cum_prob: which labels of a timestep extend them. align:
        whether characters get timesteps and confidences. alternatives: other labels that each is weighed against.
        """
        check_batch(x, lengths, len(self._texts))
        search = self._with_beam_options(
            self._kernels.prefix_beam_search, kind, width, top_n, min_prob, cum_prob, n_best, align, alternatives
        )
        return Lines(search(x, lengths=lengths, threads=threads), self._texts)

    def log_probs(
        self, x: Matrix, texts: Sequence[str], kind: Kind = "probs", normalisers: Float64 | None = None
    ) -> Float64:
        """Natural logarithm of each text's exact probability in one line, over all its alignments: float64 [text].

        -inf for texts that the charset cannot spell or that need more timesteps than there are; what is known of the
        text has no say. A text stands for one labelling: of several spellings the one with the longest characters, the
        first of them first; of a character that occurs twice in the charset its first class.

        normalisers: `readings.normalisers` of what beam made of the same logits. Most of the time goes into finding
        them out again, as that takes the exponentials of all classes.
        """
        check_scores(x, len(self._texts))
        labellings = [self._speller.labels(text) for text in texts]
        # Something for unspelled texts as well: what the kind excludes is found whatever the texts are.
        found = self._kernels.log_probs(
            x, self.charset.blank_index, [labels or [] for labels in labellings], kind, normalisers
        )
        if any(map(math.isnan, found.tolist())):
            raise ModelFailed("model emitted values that are no probabilities")
        for i, labels in enumerate(labellings):
            if labels is None:
                found[i] = -math.inf
        return found

    def stream(
        self,
        method: Literal["beam", "best_path"] = "beam",
        kind: Kind = "probs",
        width: int = 10,
        top_n: int = 40,
        min_prob: float = 0.001,
        cum_prob: float = 1.0,
        n_best: int = 1,
        align: bool = True,
        alternatives: int = 0,
    ) -> LineStream:
        """For a line whose rows come bit by bit. What follows `kind` is for the beam alone, and as there.

        Raises ValueError for arguments that make no sense.
        """
        if method == "best_path":
            stream = self._kernels.BestPathStream(self.charset.blank_index, kind=kind, classes=self._classes)
        elif method == "beam":
            stream = self._with_beam_options(
                self._kernels.BeamStream, kind, width, top_n, min_prob, cum_prob, n_best, align, alternatives
            )()
        else:
            raise ValueError(f"method is {method!r}, must be beam or best_path")
        return LineStream(stream, self._texts)

    def _with_beam_options(
        self,
        search: Callable[..., _Result],
        kind: Kind,
        width: int,
        top_n: int,
        min_prob: float,
        cum_prob: float,
        n_best: int,
        align: bool,
        alternatives: int,
    ) -> Callable[..., _Result]:
        """The search of the kernels, or the class of its streams, with their names for the options."""
        return partial(
            search,
            blank=self.charset.blank_index,
            beam_width=width,
            prune_top_k=top_n,
            prune_min_prob=min_prob,
            n_best=n_best,
            kind=kind,
            classes=self._classes,
            automata=[automaton for _, automaton in self._compiled],
            prune_cum_prob=cum_prob,
            align=align,
            alternatives=alternatives,
        )

    def _learn(
        self, lm: Knowledge | None, lexicon: Knowledge | None, hotwords: Knowledge | None, masks: tuple[Mask, ...]
    ) -> None:
        """Compile what is new, for a decoder that nobody else has yet."""
        known = {"lm": lm, "lexicon": lexicon, "hotwords": hotwords}
        _check_types(known, masks)
        parts = [part for part in (*known.values(), *masks) if isinstance(part, Knowledge)]
        compiled = tuple((part, self._automaton(part)) for part in parts)
        vars(self).update(known, masks=masks, _compiled=compiled, _classes=_allowed_labels(masks, self.charset))

    def _automaton(self, part: Knowledge) -> object:
        known = (automaton for other, automaton in self._compiled if other is part)
        return next(known, None) or self._kernels.prepare(part.automaton(self.charset))


def _charset(charset: Charset | Sequence[str], blank: int | None) -> Charset:
    if not isinstance(charset, Charset):
        if blank is None:
            raise ValueError("characters without blank: its class index must be given")
        return Charset(tuple(charset), blank)
    if blank not in (None, charset.blank_index):
        raise ValueError(f"blank is {blank}, that of the charset is {charset.blank_index}")
    return charset


def _masks(mask: Mask | Sequence[Mask] | None) -> tuple[Mask, ...]:
    if mask is None:
        return ()
    return tuple(mask) if isinstance(mask, Sequence) else (mask,)


def _check_types(known: Mapping[str, object], masks: Sequence[object]) -> None:
    """Words as such would otherwise be taken for something that says nothing."""
    for name, part in known.items():
        if part is not None and not isinstance(part, Knowledge):
            raise TypeError(f"{name} is {type(part).__name__}, must be knowledge such as ocr_core.language has")
    for mask in masks:
        if not isinstance(mask, Mask):
            raise TypeError(f"mask is {type(mask).__name__}, must be a mask such as ocr_core.language has, or several")


def _allowed_labels(masks: Sequence[Mask], charset: Charset) -> Int32 | None:
    """Labels that all masks allow, None for any label."""
    if not masks:
        return None
    labels: Int32 = reduce(np.intersect1d, [mask.allowed_labels(charset) for mask in masks])
    if not labels.size:
        raise OptionInvalid("no character is allowed by all masks")
    return labels


def _class_texts(charset: Charset) -> tuple[str, ...]:
    before, after = charset.characters[: charset.blank_index], charset.characters[charset.blank_index :]
    return (*before, "", *after)
