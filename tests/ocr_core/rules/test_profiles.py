"""Files of rules."""

from __future__ import annotations

import pytest

from ocr_core.rules.options import Extractor, FieldType, RuleOptions, UnicodeForm, WidthForm
from ocr_core.rules.profiles import read_profile


def test_a_profile_has_the_fields_of_the_options(tmp_path):
    """Every field but the profile itself can stand in the file."""
    path = tmp_path / "receipts.toml"
    path.write_text(
        'unicode_form = "nfkc"\nwidth_form = "half"\ndictionary = ["合计"]\ndictionary_name = "shops"\n'
        "field_types = ['date', 'amount']\n[extractors]\ntotal = '合计 (\\d+)'\n",
        encoding="utf-8",
    )
    assert read_profile(path) == RuleOptions(
        unicode_form=UnicodeForm.NFKC,
        width_form=WidthForm.HALF,
        dictionary=("合计",),
        dictionary_name="shops",
        field_types=(FieldType.DATE, FieldType.AMOUNT),
        extractors=(Extractor("total", r"合计 (\d+)"),),
    )


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("=", "Invalid"),
        ("profile = 'other'", "there is no profile"),
        ("unicode_form = 'nfd'", "nfd"),
        ("field_types = ['dat']", "dat"),
        ("field_types = 'date'", "field_types"),
        ("dictionary = [1]", "dictionary"),
        ("extractors = 1", "extractors"),
        ("extractors.total = '('", "total"),
        ("extractors.'a b' = 'c'", "a b"),
    ],
)
def test_wrong_profiles_say_why(tmp_path, content, words):
    """What is unknown, of another kind or no pattern is named."""
    path = tmp_path / "wrong.toml"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(ValueError, match=words):
        read_profile(path)
