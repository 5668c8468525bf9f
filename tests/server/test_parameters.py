"""Parameters of the Open Inference Protocol as our options."""

from __future__ import annotations

import grpc
import pytest
from glyphwire.v1 import ocr_pb2

from ocr_core.prepare.steps import Preparation, Switch
from ocr_core.rules.options import Extractor, FieldType, RuleOptions, WidthForm
from ocr_core.types import DecodeMethod, Mode
from server import parameters
from tests.server.infer_requests import Parameter, infer
from tests.server.messages import failure


async def test_parameters_are_the_options_of_our_contract(inference, stages):
    """Every option has its name, whatever message of the contract it is in, and comes in the type the caller has."""
    words = "wörd\t1.5\nother\t-2\n"
    parameters = {
        "mode": Parameter(string_param="line"),
        "decoder": Parameter(string_param="prefix_beam"),
        "beam_width": Parameter(int64_param=20),
        "prune_top_k": Parameter(uint64_param=30),
        "prune_min_prob": Parameter(double_param=0.25),
        "min_confidence": Parameter(string_param="0.5"),
        "include_characters": Parameter(bool_param=True),
        "classify_orientation": Parameter(bool_param=False),
        "other_steps": Parameter(string_param="off"),
        "deskew": Parameter(string_param="on"),
        "pattern": Parameter(string_param="[a-z]+"),
        "hot_words": Parameter(string_param=words),
        "lexicon": Parameter(string_param="one\ntwo words\n"),
        "width_form": Parameter(string_param="half_alphanumeric"),
        "field_types": Parameter(string_param="date\nresident_id\n"),
        "extractors": Parameter(string_param="total\ttotal=(\\d+)\n"),
    }
    answer = await inference.ModelInfer(infer(b"a", model_name="other", model_version="2", parameters=parameters))
    assert (answer.model_name, answer.model_version) == ("other", "2")
    (options,) = stages.options
    assert (options.model, options.mode, options.decode.decoder) == ("other/2", Mode.LINE, DecodeMethod.PREFIX_BEAM)
    assert (options.decode.beam_width, options.decode.prune_top_k, options.decode.prune_min_prob) == (20, 30, 0.25)
    assert (options.min_confidence, options.include_characters) == (0.5, True)
    assert options.preprocess.classify_orientation is False
    assert options.preprocess.preparation == Preparation(Switch.OFF, deskew=Switch.ON)
    language = options.decode.language
    assert (language.pattern, language.lexicon) == ("[a-z]+", ("one", "two words"))
    assert language.hot_words == (("wörd", 1.5), ("other", -2.0))
    assert options.rules == RuleOptions(
        width_form=WidthForm.HALF_ALPHANUMERIC,
        field_types=(FieldType.DATE, FieldType.RESIDENT_ID),
        extractors=(Extractor("total", r"total=(\d+)"),),
    )


@pytest.mark.parametrize(
    ("name", "parameter", "words"),
    [
        ("beam_with", Parameter(int64_param=3), "no such option"),
        ("model", Parameter(string_param="other"), "no such option"),
        ("decode", Parameter(string_param="x"), "no such option"),
        ("beam_width", Parameter(), "no value"),
        ("beam_width", Parameter(int64_param=2**40), "beam_width"),
        ("beam_width", Parameter(bool_param=True), "beam_width"),
        ("beam_width", Parameter(int64_param=0), "must be from 1 to 256"),
        ("prune_min_prob", Parameter(string_param="NaN"), "must be from 0.0 to 1.0"),
        ("mode", Parameter(string_param="lines"), "none of line, page"),
        ("mode", Parameter(int64_param=77), "none of line, page"),
        ("mode", Parameter(bool_param=True), "none of line, page"),
        ("min_confidence", Parameter(bool_param=True), "not a number"),
        ("whitelist", Parameter(int64_param=123), "whitelist"),
        ("lexicon", Parameter(bool_param=True), "not a text"),
        ("extractors", Parameter(int64_param=123), "not a text"),
        ("include_characters", Parameter(string_param="yes"), "include_characters"),
        ("hot_words", Parameter(string_param="word"), "could not convert"),
        ("lexicon", Parameter(string_param="x" * (2**20 + 1)), "at most 1048576"),
        ("field_types", Parameter(string_param="dates"), "none of date"),
        ("timeout", Parameter(int64_param=-1), "microseconds"),
        ("timeout", Parameter(string_param="1s"), "microseconds"),
        ("timeout", Parameter(bool_param=True), "microseconds"),
        ("sequence_id", Parameter(int64_param=1), "no such option"),
    ],
)
async def test_bad_parameters_are_refused(inference, stages, name, parameter, words):
    """A parameter that the server cannot heed is an error that names it, and nothing is read."""
    failed = await failure(inference.ModelInfer(infer(b"a", parameters={name: parameter})))
    assert (failed.code, failed.info.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "ERROR_REASON_OPTION_INVALID")
    assert name in failed.message
    assert words in failed.message
    assert stages.prepared == []


def test_every_option_is_a_parameter():
    """No option of the contract is hidden behind another of its name in another message."""

    def count(descriptor) -> int:
        return sum(
            count(field.message_type) if field.message_type and not field.is_repeated else 1
            for field in descriptor.fields
        )

    assert len(parameters._FIELDS) == count(ocr_pb2.RecognizeOptions.DESCRIPTOR) - 1
