"""Options and their messages."""

from __future__ import annotations

import glyphwire
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
