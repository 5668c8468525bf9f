"""Options and their messages."""

from __future__ import annotations

import io

import glyphwire
import pytest
from glyphwire import _requests


def test_the_message_of_the_last_options_is_kept():
    """Options that are sent again need no new message; others get theirs, and none at all are the defaults."""
    messages = _requests.OptionsMessages()
    chosen = glyphwire.RecognizeOptions(model="other")
    first = messages.of(chosen)
    assert messages.of(chosen) is first
    assert messages.of(None) == _requests.options_message(glyphwire.RecognizeOptions())
    assert messages.of(chosen) == first == _requests.options_message(chosen)


def test_words_may_be_added_between_calls():
    """Collections in options are sent as they are at the time."""
    messages = _requests.OptionsMessages()
    words: dict[str, float] = {}
    chosen = glyphwire.RecognizeOptions(language=glyphwire.LanguageOptions(hot_words=words))
    assert not messages.of(chosen).decode.language.hot_words
    words["Glyph"] = 2.0
    assert [word.text for word in messages.of(chosen).decode.language.hot_words] == ["Glyph"]
    words.clear()
    assert not messages.of(chosen).decode.language.hot_words


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (glyphwire.RecognizeOptions(mode="line"), "'line' is no member of its enum"),
        (glyphwire.RecognizeOptions(language=glyphwire.LanguageOptions(lexicon="word")), "lexicon is a single text"),
        (glyphwire.RecognizeOptions(rules=glyphwire.RuleOptions(dictionary="word")), "dictionary is a single text"),
        (glyphwire.RecognizeOptions(beam_width=2**40), "out of range"),
    ],
)
def test_options_of_another_kind_are_named(options, said):
    """They are refused as those that the server refuses: a name for a member, a word for a list of words."""
    with pytest.raises(glyphwire.OcrError, match=said) as caught:
        _requests.options_message(options)
    assert (caught.value.reason, caught.value.field) == (glyphwire.ErrorReason.OPTION_INVALID, "options")


@pytest.mark.parametrize("image", [None, 5, io.BytesIO(b"image")])
def test_what_is_no_image_is_told_what_is(image):
    """Open files and pictures of other libraries among them."""
    with pytest.raises(TypeError, match=f"an image is a path, .* not {type(image).__name__}"):
        _requests.recognize_request(image, _requests.options_message(glyphwire.RecognizeOptions()))
