"""Images and options -> request messages."""

from __future__ import annotations

import io
import os
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, cast

import grpc

from glyphwire.documents import DocumentOptions, TextLayer
from glyphwire.errors import ErrorReason, OcrError
from glyphwire.preparation import Preparation, Step, Switch
from glyphwire.rules import FieldType, RuleOptions, UnicodeForm, WidthForm
from glyphwire.types import (
    Decoder,
    Frame,
    FramePolicy,
    LanguageOptions,
    Mode,
    PixelFormat,
    Priority,
    RawImage,
    RecognizeOptions,
    StreamOptions,
    UnchangedOptions,
    VotingOptions,
)
from glyphwire.v1 import ocr_pb2

if TYPE_CHECKING:
    from typing_extensions import Buffer

    from glyphwire.documents import DocumentSource
    from glyphwire.types import ImageSource

_CHUNK_BYTES = 2**20
"""Of a document in one message."""

_MODES = {Mode.LINE: ocr_pb2.MODE_LINE, Mode.PAGE: ocr_pb2.MODE_PAGE}
_DECODERS = {
    Decoder.BEST_PATH: ocr_pb2.DECODER_BEST_PATH,
    Decoder.PREFIX_BEAM: ocr_pb2.DECODER_PREFIX_BEAM,
}
_PRIORITIES = {Priority.INTERACTIVE: ocr_pb2.PRIORITY_INTERACTIVE, Priority.BULK: ocr_pb2.PRIORITY_BULK}
_SWITCHES = {
    None: ocr_pb2.SWITCH_UNSPECIFIED,
    Switch.AUTO: ocr_pb2.SWITCH_AUTO,
    Switch.ON: ocr_pb2.SWITCH_ON,
    Switch.OFF: ocr_pb2.SWITCH_OFF,
}
_UNICODE_FORMS = {None: ocr_pb2.UNICODE_FORM_UNSPECIFIED} | {
    form: ocr_pb2.UnicodeForm.Value(f"UNICODE_FORM_{form.name}") for form in UnicodeForm
}
_WIDTH_FORMS = {None: ocr_pb2.WIDTH_FORM_UNSPECIFIED} | {
    form: ocr_pb2.WidthForm.Value(f"WIDTH_FORM_{form.name}") for form in WidthForm
}
_FIELD_TYPES = {kind: ocr_pb2.FieldType.Value(f"FIELD_TYPE_{kind.name}") for kind in FieldType}
_FRAME_POLICIES = {
    FramePolicy.EVERY: ocr_pb2.FRAME_POLICY_EVERY,
    FramePolicy.LATEST: ocr_pb2.FRAME_POLICY_LATEST,
}
_TEXT_LAYERS = {
    TextLayer.AUTO: ocr_pb2.TEXT_LAYER_POLICY_AUTO,
    TextLayer.IGNORE: ocr_pb2.TEXT_LAYER_POLICY_IGNORE,
}
_PIXEL_FORMATS = {
    PixelFormat.GRAY8: ocr_pb2.PIXEL_FORMAT_GRAY8,
    PixelFormat.RGB24: ocr_pb2.PIXEL_FORMAT_RGB24,
    PixelFormat.BGR24: ocr_pb2.PIXEL_FORMAT_BGR24,
    PixelFormat.RGBA32: ocr_pb2.PIXEL_FORMAT_RGBA32,
    PixelFormat.BGRA32: ocr_pb2.PIXEL_FORMAT_BGRA32,
}


class OptionsMessages:
    """The messages of one client's options: the last one is kept, as most callers send the same again and again."""

    def __init__(self) -> None:
        self._defaults = RecognizeOptions()
        self._last = self._defaults, options_message(self._defaults)

    def of(self, options: RecognizeOptions | None) -> ocr_pb2.RecognizeOptions:
        """As options_message, of the defaults when there are none. The message must not be changed."""
        options = options or self._defaults
        if _has_collections(options):
            return options_message(options)
        last, message = self._last
        if last is not options:
            message = options_message(options)
            self._last = options, message
        return message


# Messages are filled where they are, as a message that is put into another is copied, with all its pixels.


def recognize_request(image: ImageSource, options: ocr_pb2.RecognizeOptions) -> ocr_pb2.RecognizeRequest:
    """For one image. Reads the file when the image is a path."""
    request = ocr_pb2.RecognizeRequest(options=options)
    _fill_image(request.image, image)
    return request


def batch_request(images: Iterable[ImageSource], options: ocr_pb2.RecognizeOptions) -> ocr_pb2.BatchRecognizeRequest:
    """For several images, all with the same options."""
    request = ocr_pb2.BatchRecognizeRequest()
    for image in images:
        _fill_image(request.requests.add(options=options).image, image)
    return request


def config_request(options: ocr_pb2.RecognizeOptions, stream: StreamOptions) -> ocr_pb2.StreamRecognizeRequest:
    """The first message of a stream."""
    with _fitting("config", ErrorReason.OPTION_INVALID):
        config = ocr_pb2.StreamConfig(
            options=options,
            frame_policy=_FRAME_POLICIES[stream.frame_policy],
            unchanged=_unchanged_message(stream.unchanged) if stream.unchanged else None,
            voting=_voting_message(stream.voting) if stream.voting else None,
        )
    return ocr_pb2.StreamRecognizeRequest(config=config)


def frame_request(frame: Frame | ImageSource, position: int) -> ocr_pb2.StreamRecognizeRequest:
    """A later message of a stream. position: frame_id of an image that comes without one."""
    if not isinstance(frame, Frame):
        frame = Frame(frame, position)
    request = ocr_pb2.StreamRecognizeRequest()
    with _fitting("frame.frame_id", ErrorReason.REQUEST_INVALID):
        request.frame.frame_id = frame.frame_id
    _fill_image(request.frame.image, frame.image)
    if frame.capture_time is not None:
        request.frame.capture_time.FromDatetime(frame.capture_time)
    return request


def document_config_request(
    options: ocr_pb2.RecognizeOptions, document: DocumentOptions
) -> ocr_pb2.RecognizeDocumentRequest:
    """The first message of a document."""
    with _fitting("config", ErrorReason.OPTION_INVALID):
        config = ocr_pb2.DocumentConfig(
            options=options,
            pages=document.pages,
            dpi=document.dpi,
            text_layer=_TEXT_LAYERS[document.text_layer],
            password=document.password,
        )
    return ocr_pb2.RecognizeDocumentRequest(config=config)


def opened(document: DocumentSource) -> BinaryIO:
    """The file of a document, to be closed. Raises OSError for a path that cannot be read."""
    if isinstance(document, (str, os.PathLike)):
        return Path(document).open("rb")
    return cast("BinaryIO", document) if hasattr(document, "read") else io.BytesIO(document)


def chunk_requests(file: BinaryIO) -> Iterator[ocr_pb2.RecognizeDocumentRequest]:
    """The later messages of a document, read while they are sent."""
    while chunk := file.read(_CHUNK_BYTES):
        yield ocr_pb2.RecognizeDocumentRequest(chunk=chunk)


def options_message(options: RecognizeOptions) -> ocr_pb2.RecognizeOptions:
    """None stays unset, so that the server's default holds. Raises OcrError for a value that no message can hold."""
    with _fitting("options", ErrorReason.OPTION_INVALID):
        return _options_message(options)


def _options_message(options: RecognizeOptions) -> ocr_pb2.RecognizeOptions:
    return ocr_pb2.RecognizeOptions(
        model=options.model,
        mode=_MODES[options.mode],
        decode=ocr_pb2.DecodeOptions(
            decoder=_DECODERS[options.decoder],
            beam_width=options.beam_width,
            prune_top_k=options.prune_top_k,
            prune_min_prob=options.prune_min_prob,
            alternatives=options.alternatives,
            prune_cum_prob=options.prune_cum_prob,
            character_alternatives=options.character_alternatives,
            language=_language_message(options.language),
        ),
        preprocess=ocr_pb2.PreprocessOptions(
            apply_exif_orientation=options.apply_exif_orientation,
            rotate_vertical=options.rotate_vertical,
            classify_orientation=options.classify_orientation,
            detector_max_side=options.detector_max_side,
            preparation=_preparation_message(options.preparation),
        ),
        include_characters=options.include_characters,
        min_confidence=options.min_confidence,
        priority=_PRIORITIES[options.priority],
        include_structure=options.include_structure,
        rules=_rules_message(options.rules),
    )


def _words(name: str, words: Collection[str]) -> Collection[str]:
    """Raises ValueError for a single one, which would be taken for a list of its characters."""
    if isinstance(words, str):
        raise ValueError(f"{name} is a single text, must be a list of words")
    return words


def _has_collections(options: RecognizeOptions) -> bool:
    """Whether there are any, which their owner may change."""
    language, rules = options.language, options.rules
    return bool(language.hot_words or language.lexicon or rules.dictionary or rules.field_types or rules.extractors)


def _rules_message(rules: RuleOptions) -> ocr_pb2.RuleOptions:
    return ocr_pb2.RuleOptions(
        profile=rules.profile,
        unicode_form=_UNICODE_FORMS[rules.unicode_form],
        width_form=_WIDTH_FORMS[rules.width_form],
        dictionary=_words("dictionary", rules.dictionary),
        dictionary_name=rules.dictionary_name,
        field_types=[_FIELD_TYPES[kind] for kind in rules.field_types],
        extractors=[ocr_pb2.Extractor(name=name, pattern=pattern) for name, pattern in rules.extractors.items()],
    )


def _preparation_message(preparation: Preparation) -> ocr_pb2.Preparation:
    message = ocr_pb2.Preparation(other_steps=_SWITCHES[preparation.other_steps])
    for step in Step:
        setattr(message, step.value, _SWITCHES[getattr(preparation, step.value)])
    return message


def _unchanged_message(options: UnchangedOptions) -> ocr_pb2.UnchangedOptions:
    return ocr_pb2.UnchangedOptions(threshold=options.threshold)


def _voting_message(options: VotingOptions) -> ocr_pb2.VotingOptions:
    return ocr_pb2.VotingOptions(stable_frames=options.stable_frames, max_missed_frames=options.max_missed_frames)


def _language_message(options: LanguageOptions) -> ocr_pb2.LanguageOptions:
    return ocr_pb2.LanguageOptions(
        pattern=options.pattern,
        whitelist=options.whitelist,
        hot_words=[ocr_pb2.HotWord(text=text, weight=weight) for text, weight in options.hot_words.items()],
        hot_words_name=options.hot_words_name,
        lexicon=_words("lexicon", options.lexicon),
        lexicon_name=options.lexicon_name,
        lexicon_bonus=options.lexicon_bonus,
        lexicon_separators=options.lexicon_separators,
        language_model=options.language_model,
        language_model_weight=options.language_model_weight,
        language_model_bonus=options.language_model_bonus,
    )


def _fill_image(message: ocr_pb2.Image, image: ImageSource) -> None:
    """A path names a file to send; bytes and one-dimensional buffers are a file's bytes; other buffers are pixels."""
    if isinstance(image, (str, os.PathLike)):
        message.encoded = Path(image).read_bytes()
    elif isinstance(image, RawImage):
        _fill_raw(message.raw, image)
    elif _view(image).ndim == 1:
        message.encoded = bytes(image)
    else:
        _fill_raw(message.raw, RawImage.from_array(image))


def _view(image: Buffer) -> memoryview:
    """Raises TypeError."""
    try:
        return memoryview(image)
    except TypeError:
        raise TypeError(
            f"an image is a path, the bytes of a file, a RawImage or an array, not {type(image).__name__}: take read() "
            "of an open file, numpy.asarray() of a picture of Pillow"
        ) from None


def _fill_raw(message: ocr_pb2.RawImage, raw: RawImage) -> None:
    with _fitting("image.raw", ErrorReason.RAW_IMAGE_INVALID):
        message.pixels = raw.pixels
        message.width = raw.width
        message.height = raw.height
        message.stride = raw.stride
        message.pixel_format = _PIXEL_FORMATS[raw.pixel_format]


@contextmanager
def _fitting(field: str, reason: ErrorReason) -> Iterator[None]:
    """What does not fit into its field is refused as the server would refuse it, had it got there."""
    try:
        yield
    except (KeyError, ValueError) as error:
        message = f"{error} is no member of its enum" if isinstance(error, KeyError) else str(error)
        raise OcrError(grpc.StatusCode.INVALID_ARGUMENT, reason, message, field=field) from error
