"""The only place where proto messages and ocr_core types touch."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache

from glyphwire.v1 import admin_pb2, ocr_pb2

from ocr_core.errors import RawImageInvalid
from ocr_core.model_status import ModelState, ModelStatus
from ocr_core.prepare.steps import Preparation, Step, Switch
from ocr_core.types import (
    Character,
    DecodeMethod,
    DecodeOptions,
    LanguageOptions,
    Line,
    Mode,
    ModelInfo,
    PixelFormat,
    PreprocessOptions,
    RawImage,
    Recognition,
    RecognizeOptions,
    StableLine,
    Timings,
    UnchangedOptions,
    VotingOptions,
)
from server.convert_enums import chosen
from server.convert_layout import fill_polygon, polygon_message, structure_message
from server.convert_rules import correction_messages, field_messages, rule_options
from server.errors import RequestInvalid
from server.faults import fault_of
from server.request import FramePolicy, Job, Priority, StreamConfig

_MODES = {
    ocr_pb2.MODE_UNSPECIFIED: Mode.PAGE,
    ocr_pb2.MODE_LINE: Mode.LINE,
    ocr_pb2.MODE_PAGE: Mode.PAGE,
}
_DECODERS = {
    ocr_pb2.DECODER_UNSPECIFIED: DecodeMethod.BEST_PATH,
    ocr_pb2.DECODER_BEST_PATH: DecodeMethod.BEST_PATH,
    ocr_pb2.DECODER_PREFIX_BEAM: DecodeMethod.PREFIX_BEAM,
}
_PRIORITIES = {
    ocr_pb2.PRIORITY_UNSPECIFIED: Priority.INTERACTIVE,
    ocr_pb2.PRIORITY_INTERACTIVE: Priority.INTERACTIVE,
    ocr_pb2.PRIORITY_BULK: Priority.BULK,
}
_PIXEL_FORMATS = {
    ocr_pb2.PIXEL_FORMAT_GRAY8: PixelFormat.GRAY8,
    ocr_pb2.PIXEL_FORMAT_RGB24: PixelFormat.RGB24,
    ocr_pb2.PIXEL_FORMAT_BGR24: PixelFormat.BGR24,
    ocr_pb2.PIXEL_FORMAT_RGBA32: PixelFormat.RGBA32,
    ocr_pb2.PIXEL_FORMAT_BGRA32: PixelFormat.BGRA32,
}
_FRAME_POLICIES = {
    ocr_pb2.FRAME_POLICY_UNSPECIFIED: FramePolicy.EVERY,
    ocr_pb2.FRAME_POLICY_EVERY: FramePolicy.EVERY,
    ocr_pb2.FRAME_POLICY_LATEST: FramePolicy.LATEST,
}
_SWITCHES = {
    ocr_pb2.SWITCH_UNSPECIFIED: None,
    ocr_pb2.SWITCH_AUTO: Switch.AUTO,
    ocr_pb2.SWITCH_ON: Switch.ON,
    ocr_pb2.SWITCH_OFF: Switch.OFF,
}
_STEPS = {step: ocr_pb2.PreparationStep.Value(f"PREPARATION_STEP_{step.name}") for step in Step}
_MODEL_STATES = {
    ModelState.LOADING: admin_pb2.MODEL_STATE_LOADING,
    ModelState.READY: admin_pb2.MODEL_STATE_READY,
    ModelState.UNLOADING: admin_pb2.MODEL_STATE_UNLOADING,
    ModelState.FAILED: admin_pb2.MODEL_STATE_FAILED,
}
_KEPT_BYTES = 256
_DECODE = DecodeOptions()
_PREPROCESS = PreprocessOptions()
_VOTING = VotingOptions()


def job(request: ocr_pb2.RecognizeRequest) -> Job:
    """Raises RequestInvalid, RawImageInvalid or OptionInvalid."""
    return Job(image(request.image), options(request.options), priority(request.options))


def stream_config(message: ocr_pb2.StreamConfig) -> StreamConfig:
    """Raises OptionInvalid."""
    return StreamConfig(
        job=Job(b"", options(message.options), priority(message.options)),
        frame_policy=chosen(_FRAME_POLICIES, message.frame_policy, "frame_policy", root="config"),
        unchanged=_unchanged_options(message.unchanged) if message.HasField("unchanged") else None,
        voting=_voting_options(message.voting) if message.HasField("voting") else None,
    )


def priority(message: ocr_pb2.RecognizeOptions) -> Priority:
    """Raises OptionInvalid."""
    return chosen(_PRIORITIES, message.priority, "priority")


def image(message: ocr_pb2.Image) -> bytes | RawImage:
    """Bytes of a file, or raw pixels."""
    match message.WhichOneof("source"):
        case "encoded":
            return message.encoded
        case "raw":
            return _raw_image(message.raw)
        case _:
            raise RequestInvalid("the request has no image", "image")


def options(message: ocr_pb2.RecognizeOptions) -> RecognizeOptions:
    """Fields that are not set get the defaults of ocr_core.types, which are those of the contract."""
    encoded = message.SerializeToString()
    return _seen_options(encoded) if len(encoded) <= _KEPT_BYTES else _options(message)


@lru_cache(maxsize=256)
def _seen_options(encoded: bytes) -> RecognizeOptions:
    """Most callers send the same ones again and again; taking them apart is 0.1 ms of a lone call."""
    return _options(ocr_pb2.RecognizeOptions.FromString(encoded))


def _options(message: ocr_pb2.RecognizeOptions) -> RecognizeOptions:
    return RecognizeOptions(
        model=message.model,
        mode=chosen(_MODES, message.mode, "mode"),
        decode=_decode_options(message.decode),
        preprocess=_preprocess_options(message.preprocess),
        include_characters=message.include_characters,
        min_confidence=message.min_confidence,
        include_structure=message.include_structure,
        rules=rule_options(message.rules),
    )


def recognize_response(recognition: Recognition) -> ocr_pb2.RecognizeResponse:
    """Answer of Recognize."""
    response = ocr_pb2.RecognizeResponse()
    fill_recognition(response.recognition, recognition)
    return response


def batch_response(outcomes: Iterable[Recognition | BaseException]) -> ocr_pb2.BatchRecognizeResponse:
    """Answer of BatchRecognize."""
    response = ocr_pb2.BatchRecognizeResponse()
    for outcome in outcomes:
        set_outcome(response.results.add(), outcome)
    return response


def frame_response(frame: ocr_pb2.Frame) -> ocr_pb2.StreamRecognizeResponse:
    """Answer to one frame, without its outcome."""
    response = ocr_pb2.StreamRecognizeResponse(frame_id=frame.frame_id)
    if frame.HasField("capture_time"):
        response.capture_time.CopyFrom(frame.capture_time)
    return response


def set_outcome(
    message: ocr_pb2.BatchRecognizeResult | ocr_pb2.StreamRecognizeResponse | ocr_pb2.RecognizeDocumentResponse,
    outcome: Recognition | BaseException,
) -> None:
    """Complete the answer to an item of a batch, a frame or a page."""
    if isinstance(outcome, Recognition):
        fill_recognition(message.recognition, outcome)
    else:
        message.error.CopyFrom(error_message(outcome))


def stable_line(line: StableLine) -> ocr_pb2.StableLine:
    """A line merged from its readings."""
    return ocr_pb2.StableLine(
        track_id=line.track_id,
        text=line.text,
        confidence=line.confidence,
        polygon=polygon_message(line.polygon),
        frames_seen=line.frames_seen,
        frames_missed=line.frames_missed,
        is_stable=line.is_stable,
    )


def model_statuses(statuses: Sequence[ModelStatus]) -> list[admin_pb2.ModelStatus]:
    """Part of every answer of AdminService."""
    return [
        admin_pb2.ModelStatus(
            name=status.name,
            version=status.version,
            state=_MODEL_STATES[status.state],
            is_default=status.is_default,
            images=status.images,
            reason=status.reason,
        )
        for status in statuses
    ]


def models_response(models: tuple[ModelInfo, ...]) -> ocr_pb2.ListModelsResponse:
    """Answer of ListModels."""
    return ocr_pb2.ListModelsResponse(
        models=[
            ocr_pb2.Model(
                name=model.name,
                version=model.version,
                is_default=model.is_default,
                charset_size=model.charset_size,
                input_height=model.input_height,
                origin=model.origin,
                licence=model.licence,
            )
            for model in models
        ]
    )


# Messages are filled where they are: one that is put into another is copied, and what is empty costs as much as what
# is not. A line takes half the time.


def fill_recognition(message: ocr_pb2.Recognition, recognition: Recognition) -> None:
    """Everything that was read in one image."""
    for line in recognition.lines:
        _fill_line(message.lines.add(), line)
    message.image_width = recognition.image_width
    message.image_height = recognition.image_height
    message.model_name = recognition.model_name
    message.model_version = recognition.model_version
    _fill_timings(message.timings, recognition.timings)
    for each in recognition.applied_steps:
        message.applied_steps.add(step=_STEPS[each.step], amount=each.amount)
    if recognition.structure:
        message.structure.CopyFrom(structure_message(recognition.structure))
    if recognition.fields:
        message.fields.extend(field_messages(recognition.fields))


def error_message(error: BaseException) -> ocr_pb2.Error:
    """Why one item or frame could not be read."""
    fault = fault_of(error)
    return ocr_pb2.Error(reason=fault.reason, message=fault.message, field=fault.field)


def _raw_image(raw: ocr_pb2.RawImage) -> RawImage:
    if raw.pixel_format not in _PIXEL_FORMATS:
        raise RawImageInvalid(f"pixel_format is {raw.pixel_format}, which names none", "image.raw.pixel_format")
    if raw.stride < 0:
        raise RawImageInvalid(f"stride is {raw.stride}, must not be negative", "image.raw.stride")
    return RawImage(raw.pixels, raw.width, raw.height, _PIXEL_FORMATS[raw.pixel_format], raw.stride)


def _decode_options(message: ocr_pb2.DecodeOptions) -> DecodeOptions:
    return DecodeOptions(
        decoder=chosen(_DECODERS, message.decoder, "decode.decoder"),
        beam_width=message.beam_width if message.HasField("beam_width") else _DECODE.beam_width,
        prune_top_k=message.prune_top_k if message.HasField("prune_top_k") else _DECODE.prune_top_k,
        prune_min_prob=message.prune_min_prob if message.HasField("prune_min_prob") else _DECODE.prune_min_prob,
        alternatives=message.alternatives,
        prune_cum_prob=message.prune_cum_prob if message.HasField("prune_cum_prob") else _DECODE.prune_cum_prob,
        character_alternatives=message.character_alternatives,
        language=_language_options(message.language),
    )


def _language_options(message: ocr_pb2.LanguageOptions) -> LanguageOptions:
    return LanguageOptions(
        pattern=message.pattern,
        whitelist=message.whitelist,
        hot_words=tuple((word.text, word.weight) for word in message.hot_words),
        hot_words_name=message.hot_words_name,
        lexicon=tuple(message.lexicon),
        lexicon_name=message.lexicon_name,
        lexicon_bonus=message.lexicon_bonus if message.HasField("lexicon_bonus") else None,
        lexicon_separators=(
            message.lexicon_separators
            if message.HasField("lexicon_separators")
            else _DECODE.language.lexicon_separators
        ),
        language_model=message.language_model,
        language_model_weight=(
            message.language_model_weight
            if message.HasField("language_model_weight")
            else _DECODE.language.language_model_weight
        ),
        language_model_bonus=message.language_model_bonus,
    )


def _preprocess_options(message: ocr_pb2.PreprocessOptions) -> PreprocessOptions:
    return PreprocessOptions(
        apply_exif_orientation=(
            message.apply_exif_orientation
            if message.HasField("apply_exif_orientation")
            else _PREPROCESS.apply_exif_orientation
        ),
        rotate_vertical=message.rotate_vertical if message.HasField("rotate_vertical") else _PREPROCESS.rotate_vertical,
        classify_orientation=message.classify_orientation if message.HasField("classify_orientation") else None,
        detector_max_side=message.detector_max_side if message.HasField("detector_max_side") else None,
        preparation=_preparation(message.preparation),
    )


def _preparation(message: ocr_pb2.Preparation) -> Preparation:
    root = "options.preprocess.preparation"
    switches = {step.value: chosen(_SWITCHES, getattr(message, step.value), step.value, root=root) for step in Step}
    other_steps = chosen(_SWITCHES, message.other_steps, "other_steps", root=root)
    return Preparation(other_steps=other_steps or _PREPROCESS.preparation.other_steps, **switches)


def _unchanged_options(message: ocr_pb2.UnchangedOptions) -> UnchangedOptions:
    return UnchangedOptions(message.threshold) if message.HasField("threshold") else UnchangedOptions()


def _voting_options(message: ocr_pb2.VotingOptions) -> VotingOptions:
    return VotingOptions(
        stable_frames=message.stable_frames if message.HasField("stable_frames") else _VOTING.stable_frames,
        max_missed_frames=(
            message.max_missed_frames if message.HasField("max_missed_frames") else _VOTING.max_missed_frames
        ),
    )


def _fill_line(message: ocr_pb2.Line, line: Line) -> None:
    message.text = line.text
    message.confidence = line.confidence
    fill_polygon(message.polygon, line.polygon)
    for character in line.characters:
        _fill_character(message.characters.add(), character)
    for other in line.alternatives:
        message.alternatives.add(
            text=other.text, confidence=other.confidence, log_prob=other.log_prob, score=other.score
        )
    if line.raw_text is not None:
        message.raw_text = line.raw_text
    if line.corrections:
        message.corrections.extend(correction_messages(line.corrections))


def _fill_character(message: ocr_pb2.Character, character: Character) -> None:
    message.text = character.text
    message.confidence = character.confidence
    message.timestep = character.timestep
    message.x_start = character.x_start
    message.x_end = character.x_end
    message.start_timestep = character.start_timestep
    message.end_timestep = character.end_timestep
    if character.posterior is not None:
        message.posterior = character.posterior
    for other in character.alternatives:
        message.alternatives.add(text=other.text, posterior=other.posterior)


def _fill_timings(message: ocr_pb2.Timings, timings: Timings) -> None:
    message.queue_ms = timings.queue_ms
    message.load_image_ms = timings.load_image_ms
    message.find_lines_ms = timings.find_lines_ms
    message.preprocess_ms = timings.preprocess_ms
    message.infer_ms = timings.infer_ms
    message.decode_ms = timings.decode_ms
    message.postprocess_ms = timings.postprocess_ms
    message.total_ms = timings.total_ms
