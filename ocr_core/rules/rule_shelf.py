"""Rules by what requests say, made once as long as the files that they name stay the same."""

from __future__ import annotations

from functools import lru_cache

from ocr_core.language_dir import LanguageDir
from ocr_core.rules.options import NO_RULES, RuleOptions
from ocr_core.rules.rules import Rules

CAPACITY = 32
"""Rules kept; with 10 000 words they take about 15 MB."""


class RuleShelf:
    """Makes rules and keeps those that were used last. May be shared by threads."""

    def __init__(self, language_dir: LanguageDir) -> None:
        self._dir = language_dir
        self._made = lru_cache(CAPACITY)(Rules)

    def find(self, options: RuleOptions) -> Rules | None:
        """What options say, and what the files they name hold now; None for nothing.

        Raises OptionInvalid for a name that there is not and an extractor that is none, LanguageInvalid for a file that
        cannot be understood.
        """
        if options == NO_RULES:
            return None
        if options.profile:
            options = options.over(self._dir.profile(options.profile))
        name = options.dictionary_name
        return self._made(options, self._dir.lexicon(name, "options.rules.dictionary_name") if name else ())
