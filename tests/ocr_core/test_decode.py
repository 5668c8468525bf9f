"""What a Decoder makes of scores, on both backends."""

from __future__ import annotations

import math
import sys

import numpy as np
import pytest

from ocr_core.charset import Charset
from ocr_core.decode import Decoder, LanguageModel
from ocr_core.errors import BackendMissing, ModelFailed, OptionInvalid
from ocr_core.language import HotWords, Lexicon, Pattern, Whitelist
from ocr_core.ngram import CharacterModel

DIGITS = Charset(tuple("0123456789ab"), blank_index=5)


def lines(lengths, classes=13, seed=7, sharpness=0.3):
    """Softmaxes of lines of these lengths, float32 [time, class] each."""
    rng = np.random.default_rng(seed)
    return [rng.dirichlet(np.full(classes, sharpness), length).astype(np.float32) for length in lengths]


def spelled(text, charset=DIGITS, sure=0.9):
    """A line whose rows say the text and blank in turn, each with probability `sure`, and anything else alike."""
    labels = [charset.characters.index(character) for character in text]
    classes = [label + (label >= charset.blank_index) for label in labels]
    path = [step for label in classes for step in (label, charset.blank_index)]
    rows = np.full((len(path), charset.class_count), (1 - sure) / (charset.class_count - 1), np.float32)
    rows[np.arange(len(path)), path] = sure
    return rows


def described(found):
    """Everything that a Lines holds, as plain values."""
    return [[(h.text, h.labels, h.characters, h.log_prob, h.score) for h in hypotheses] for hypotheses in found]


def test_best_path_is_empty_where_prefix_beam_reads_a(decoder, probs):
    """Best path "" with 0.36, prefix beam "a" with 0.64, although no row has "a" on top."""
    ((best,),) = decoder.best_path(probs)
    ((beam,),) = decoder.beam(probs)
    assert (best.text, math.exp(best.log_prob)) == ("", pytest.approx(0.36))
    assert (beam.text, math.exp(beam.log_prob)) == ("a", pytest.approx(0.64))
    assert [(c.text, c.timestep, c.start) for c in beam.characters] == [("a", 0, 0)]
    assert beam.confidence == pytest.approx(0.4)


def test_a_charset_or_its_characters_make_the_same_decoder(backend):
    """Characters in class order and blank's index mean what a Charset of them means."""
    (line,) = lines([20])
    plain = Decoder(list(DIGITS.characters), 5, backend=backend)
    assert plain.charset == DIGITS
    assert described(plain.beam(line)) == described(Decoder(DIGITS, backend=backend).beam(line))


def test_blank_must_be_known_and_agree(backend):
    """Characters without blank, and a blank that is not the charset's, are refused."""
    with pytest.raises(ValueError, match="blank"):
        Decoder("ab", backend=backend)
    with pytest.raises(ValueError, match="blank is 0, that of the charset is 5"):
        Decoder(DIGITS, 0, backend=backend)


def test_characters_of_several_code_points_stay_whole(backend):
    """Labels index characters, not code points, with the blank in the middle."""
    decoder = Decoder(["e\u0301", " ", "ffi"], 1, backend=backend)
    line = np.eye(4, dtype=np.float32)[[0, 1, 2, 3, 3, 1, 3]]
    for found in (decoder.best_path(line), decoder.beam(line)):
        assert found.best_texts == ["e\u0301 ffiffi"]
        assert [(c.timestep, c.start, c.end) for c in found[0][0].characters] == [
            (0, 0, 1),
            (2, 2, 3),
            (3, 3, 5),
            (6, 6, 7),
        ]


def test_hypotheses_follow_best_first(decoder, probs):
    """As many hypotheses come as were asked for and found, the better ones first."""
    for asked, found in [(1, 1), (2, 2), (6, 2)]:
        (hypotheses,) = decoder.beam(probs, n_best=asked)
        assert len(hypotheses) == found
        assert [h.score for h in hypotheses] == sorted((h.score for h in hypotheses), reverse=True)


def test_beam_options_reach_the_search(backend):
    """Width and the three prune limits change what is found, of one line at once and of one that comes bit by bit."""
    line = np.array([[0.36, 0.33, 0.31], [0.36, 0.33, 0.31]], np.float32)
    decoder = Decoder("ab", 0, backend=backend)

    def texts(width=9, min_prob=0.0, **limits):
        options = {"width": width, "min_prob": min_prob, "n_best": width, **limits}
        (at_once,) = decoder.beam(line, **options)
        stream = decoder.stream(**options)
        stream.push(line)
        in_bits = stream.finish()
        assert [h.text for h in at_once] == [h.text for h in in_bits]
        return [h.text for h in at_once]

    assert texts() == ["a", "b", "", "ab", "ba"]
    assert texts(width=2) == ["a", ""]
    assert texts(top_n=1) == ["a", ""]
    assert texts(min_prob=0.32) == ["a", ""]
    assert texts(cum_prob=0.6) == ["a", ""]


def test_batches_are_their_lines(backend):
    """A padded batch with lengths, a sequence of lines, and each line alone give the same."""
    decoder = Decoder(DIGITS, backend=backend)
    several = lines([9, 0, 14, 3])
    padded = np.zeros((4, 14, 13), np.float32)
    for row, line in zip(padded, several, strict=True):
        row[: len(line)] = line
    for decode in (decoder.best_path, decoder.beam):
        alone = [described(decode(line))[0] for line in several]
        assert described(decode(several)) == alone
        assert described(decode(padded, lengths=[9, 0, 14, 3])) == alone
        assert described(decode(padded, np.array([9, 0, 14, 3]))) == alone
        assert len(decode([])) == 0


@pytest.mark.parametrize("threads", [2, 3, 64])
def test_threads_change_no_result(backend, threads):
    """However many threads share the lines, the results are those of one, in their order."""
    decoder = Decoder(DIGITS, backend=backend)
    several = lines(np.random.default_rng(1).integers(0, 12, 23))
    for decode in (decoder.best_path, decoder.beam):
        assert described(decode(several, threads=threads)) == described(decode(several))
    options = {"n_best": 3, "alternatives": 2}
    assert described(decoder.beam(several, threads=threads, **options)) == described(decoder.beam(several, **options))
    assert len(decoder.beam([], threads=threads)) == 0
    assert len(decoder.beam(several[3], threads=threads)) == 1


@pytest.mark.parametrize("kind", ["log_probs", "logits"])
def test_kinds_of_scores_read_alike(backend, kind):
    """Logarithms, and logits of any offset, give the texts of the probabilities."""
    decoder = Decoder(DIGITS, backend=backend)
    (line,) = lines([30])
    scores = np.log(line, where=line > 0, out=np.full_like(line, -80)) + (3.5 if kind == "logits" else 0.0)
    assert decoder.best_path(scores, kind=kind).best_texts == decoder.best_path(line).best_texts
    ((other,),), ((one,),) = decoder.beam(scores, kind=kind), decoder.beam(line)
    assert other.text == one.text
    assert other.log_prob == pytest.approx(one.log_prob, abs=1e-3)


def test_halves_and_strides_are_read_where_they_lie(backend):
    """Transposed, strided and read-only matrices decode like their contiguous copies, as does float16."""
    decoder = Decoder(DIGITS, backend=backend)
    (line,) = lines([12])
    expected = described(decoder.beam(line))
    frozen = line.copy()
    frozen.flags.writeable = False
    for layout in (np.asfortranarray(line), np.repeat(line, 2, axis=0)[::2], frozen):
        assert described(decoder.beam(layout)) == expected
    half = line.astype(np.float16)
    assert described(decoder.beam(half)) == described(decoder.beam(half.astype(np.float32)))


def test_values_are_plain_python(decoder):
    """Hypotheses hold str, int and float, not NumPy scalars."""
    ((hypothesis,),) = decoder.beam(np.array([[0.6, 0.3, 0.1]], np.float32), alternatives=1)
    (character,) = hypothesis.characters
    values = (*hypothesis.labels, character.timestep, character.start, character.end)
    assert {type(value) for value in values} == {int}
    values = (hypothesis.log_prob, hypothesis.score, hypothesis.confidence, character.confidence, character.posterior)
    assert {type(value) for value in (*values, character.alternatives[0][1])} == {float}


def test_without_alignment_there_is_only_text(backend):
    """align=False leaves characters and confidence out; text, log_prob and score stay."""
    decoder = Decoder(DIGITS, backend=backend)
    (line,) = lines([12])
    ((bare,),), ((full,),) = decoder.beam(line, align=False), decoder.beam(line)
    assert (bare.text, bare.log_prob, bare.score) == (full.text, full.log_prob, full.score)
    assert bare.characters == ()
    assert math.isnan(bare.confidence)


def test_an_empty_line_reads_as_empty_text(decoder):
    """No timesteps are one empty hypothesis with log_prob 0 and confidence 0."""
    for found in (decoder.best_path(np.empty((0, 3), np.float32)), decoder.beam(np.empty((0, 3), np.float32))):
        assert [(h.text, h.log_prob, h.confidence, h.characters) for h in found[0]] == [("", 0.0, 0.0, ())]


def test_alternatives_of_a_character_are_weighed(backend):
    """Each character has its likeliest rivals, best first; the shares of all of them and of nothing make 1."""
    decoder = Decoder("abc", 3, backend=backend)
    line = np.array([[0.5, 0.3, 0.1, 0.1], [0.0, 0.0, 0.0, 1.0]], np.float32)
    ((hypothesis,),) = decoder.beam(line, alternatives=2)
    (character,) = hypothesis.characters
    assert character.alternatives == (("b", pytest.approx(0.3)), ("c", pytest.approx(0.1)))
    assert character.posterior == pytest.approx(0.5)
    ((hypothesis,),) = decoder.beam(line, alternatives=5)
    assert [text for text, _ in hypothesis.characters[0].alternatives] == ["b", "c"]
    ((hypothesis,),) = decoder.beam(line)
    assert (hypothesis.characters[0].posterior, hypothesis.characters[0].alternatives) == (None, ())


def test_a_whitelist_holds_for_both_decoders(backend):
    """Only its characters are read; what is likelier but excluded is passed over."""
    line = np.array([[0.1, 0.6, 0.3]], np.float32)
    decoder = Decoder("ab", 2, mask=Whitelist("a"), backend=backend)
    assert decoder.beam(line).best_texts == [""]
    assert decoder.best_path(line).best_texts == [""]
    sure = np.array([[0.3, 0.6, 0.1]], np.float32)
    assert decoder.beam(sure).best_texts == ["a"]
    assert decoder.best_path(sure).best_texts == ["a"]


def test_a_pattern_holds_for_the_whole_line(backend):
    """The likeliest reading that matches from end to end comes back; best path keeps to the pattern's characters."""
    line = spelled("1a2b")
    decoder = Decoder(DIGITS, mask=Pattern("[0-9]+"), backend=backend)
    (hypotheses,) = decoder.beam(line, n_best=5)
    assert hypotheses
    assert all(h.text.isdigit() for h in hypotheses)
    assert decoder.best_path(line).best_texts[0].isdigit()


def test_a_line_that_cannot_fit_a_pattern_has_no_hypothesis(backend):
    """Nothing is made up: a line too short for the pattern has none, the others have theirs."""
    decoder = Decoder(DIGITS, mask=Pattern("[0-9]{3}"), backend=backend)
    found = decoder.beam([spelled("123"), spelled("1"), spelled("456")])
    assert [len(hypotheses) for hypotheses in found] == [1, 0, 1]
    assert found.best_texts == ["123", "", "456"]


def test_masks_add_up(backend):
    """With several masks a line must fit them all."""
    decoder = Decoder(DIGITS, mask=[Pattern("[0-9]+"), Whitelist("13ab")], backend=backend)
    ((hypothesis,),) = decoder.beam(spelled("1234"))
    assert set(hypothesis.text) <= set("13")


def test_language_knowledge_tips_the_balance(backend):
    """Hot words, a lexicon and a language model each turn a close call; without them the image decides."""
    line = spelled("1")
    line[0, [1, 2]] = 0.45, 0.40
    twos = CharacterModel.train(["2", "22", "2"], order=2, min_count=1)
    plain = Decoder(DIGITS, backend=backend)
    assert plain.beam(line).best_texts == ["1"]
    assert plain.with_(hotwords=HotWords({"2": 1.0})).beam(line).best_texts == ["2"]
    assert plain.with_(lexicon=Lexicon(["2", "ab"])).beam(line).best_texts == ["2"]
    assert plain.with_(lexicon=Lexicon(["2"], bonus=1.0)).beam(line).best_texts == ["2"]
    assert plain.with_(lm=LanguageModel(twos, weight=1.0)).beam(line).best_texts == ["2"]
    ((hypothesis,),) = plain.with_(hotwords=HotWords({"2": 1.0})).beam(line)
    assert hypothesis.score == pytest.approx(hypothesis.log_prob + 1.0, abs=1e-3)


def test_with_changes_what_it_names_and_shares_the_rest(backend):
    """The copy reads by its own words, the original by those it had; what both know is compiled once."""

    class Counted:
        """A pattern that counts how often it is compiled."""

        compiled = 0

        def automaton(self, charset):
            Counted.compiled += 1
            return Pattern("[12]").automaton(charset)

        def allowed_labels(self, charset):
            return Pattern("[12]").allowed_labels(charset)

    line = spelled("1")
    line[0, [1, 2]] = 0.45, 0.40
    one = Decoder(DIGITS, lexicon=Lexicon(["1"]), mask=Counted(), backend=backend)
    two = one.with_(lexicon=Lexicon(["2"]))
    assert [decoder.beam(line).best_texts for decoder in (one, two)] == [["1"], ["2"]]
    assert Counted.compiled == 1
    assert two.masks == one.masks
    assert one.with_(lexicon=None, mask=None).beam(spelled("3")).best_texts == ["3"]


def test_masks_that_exclude_each_other_are_refused(backend):
    """What leaves no character at all is an option that makes no sense, not a decoder that reads nothing."""
    with pytest.raises(OptionInvalid, match="no character"):
        Decoder(DIGITS, mask=[Whitelist("1"), Whitelist("2")], backend=backend)


@pytest.mark.parametrize(
    ("known", "message"),
    [
        ({"lexicon": ["one", "two"]}, "lexicon is list"),
        ({"hotwords": {"one": 2.0}}, "hotwords is dict"),
        ({"lm": "invoices.lm"}, "lm is str"),
        ({"lexicon": Whitelist("12")}, "lexicon is Whitelist"),
        ({"mask": "0123"}, "mask is str"),
        ({"mask": Lexicon(["1"])}, "mask is Lexicon"),
    ],
)
def test_what_is_no_knowledge_is_refused(backend, known, message):
    """A list of words is no lexicon: nothing that was meant to be known is passed over."""
    with pytest.raises(TypeError, match=message):
        Decoder(DIGITS, **known, backend=backend)
    with pytest.raises(TypeError, match=message):
        Decoder(DIGITS, backend=backend).with_(**known)


@pytest.mark.parametrize("name", ["charset", "lm", "lexicon", "hotwords", "masks", "beam_width"])
def test_a_decoder_cannot_be_changed(backend, name):
    """Nobody who shares it can set anything, neither what there is nor what there is not."""
    with pytest.raises(AttributeError, match=f"{name} of a Decoder cannot be set"):
        setattr(Decoder(DIGITS, backend=backend), name, None)


def test_class_count_mismatch_names_both_sides(decoder):
    """A model that emits other classes than the charset has is refused with both numbers."""
    for x in (np.full((4, 5), 0.2, np.float32), [np.full((4, 5), 0.2, np.float32)]):
        with pytest.raises(ModelFailed, match=r"charset has 2 characters and blank, 3 classes; model emits 5 classes"):
            decoder.beam(x)


@pytest.mark.parametrize(
    "wrong", [np.ones((2, 3)), np.ones((1, 2, 2, 3), np.float32), np.ones(3, np.float32), [[0.1, 0.2, 0.7]]]
)
def test_other_types_and_axes_are_refused(decoder, wrong):
    """Only float32 and float16 with a time and a class axis are decoded."""
    with pytest.raises(TypeError, match=r"must be float32 or float16 \[time, class\]"):
        decoder.beam(wrong)


@pytest.mark.parametrize("method", ["beam", "best_path"])
@pytest.mark.parametrize("bad", [math.nan, -math.inf, math.inf, -2.5])
def test_what_is_no_probability_is_refused(decoder, method, bad):
    """One NaN, negative or infinite value raises instead of yielding a text, and the line is named."""
    several = [np.full((3, 3), 1 / 3, np.float32) for _ in range(3)]
    several[1][1, 1] = bad
    with pytest.raises(ModelFailed, match="no probabilities: line 1 of 3"):
        getattr(decoder, method)(several)


@pytest.mark.parametrize("method", ["beam", "best_path"])
def test_logits_and_log_probs_are_not_taken_for_probabilities(decoder, method):
    """A model without its softmax, or with a logarithm after it, is noticed."""
    logits = np.random.default_rng(2).uniform(0.0, 9.0, (20, 3)).astype(np.float32)
    for emitted in (logits, logits - 10.0):
        with pytest.raises(ModelFailed, match="no probabilities"):
            getattr(decoder, method)(emitted)


@pytest.mark.parametrize(
    "wrong",
    [
        {"width": 0},
        {"top_n": 0},
        {"n_best": 0},
        {"threads": 0},
        {"kind": "odds"},
        {"lengths": [2]},
        {"alternatives": -1},
    ],
)
def test_senseless_arguments_are_refused(decoder, probs, wrong):
    """Numbers below 1, unknown kinds and lengths without a batch are ValueErrors."""
    with pytest.raises(ValueError, match=r"."):
        decoder.beam(probs, **wrong)


def test_lengths_belong_to_a_padded_batch(decoder, probs):
    """There is one length per line of an array; a sequence of lines has its own."""
    with pytest.raises(ValueError, match="1 lengths do not fit"):
        decoder.best_path(np.stack([probs, probs]), lengths=[2])
    with pytest.raises(ValueError, match="sequence"):
        decoder.best_path([probs], lengths=[2])


def test_missing_extension_is_an_error_unless_the_reference_was_asked_for(monkeypatch):
    """Without the compiled kernels the default backend raises BackendMissing and the reference works."""
    monkeypatch.setitem(sys.modules, "ext.ctc", None)
    monkeypatch.delattr("ext.ctc", raising=False)
    with pytest.raises(BackendMissing, match="build it"):
        Decoder(DIGITS)
    assert Decoder(DIGITS, backend="reference").backend == "reference"
