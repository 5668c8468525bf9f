"""Rules by name, and as requests say them."""

from __future__ import annotations

import pytest

from ocr_core.errors import LanguageInvalid, OptionInvalid
from ocr_core.language_dir import LanguageDir
from ocr_core.rules.options import Extractor, FieldType, RuleOptions, UnicodeForm, WidthForm
from ocr_core.rules.rule_shelf import RuleShelf
from tests.ocr_core.rules.read_lines import read_line


@pytest.fixture
def folder(tmp_path):
    """A profile and a lexicon."""
    for name, content in {
        "rules/receipts.toml": "width_form = 'half'\ndictionary_name = 'shops'\nextractors.shop = '[A-Z]+'\n",
        "rules/broken.toml": "extractors.total = '('\n",
        "lexicons/shops.txt": "SPEEDMART\n",
    }.items():
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(content, encoding="utf-8")
    return tmp_path


@pytest.fixture
def shelf(folder) -> RuleShelf:
    """Looks at its files each time."""
    return RuleShelf(LanguageDir(folder, recheck_s=0))


def test_no_options_are_no_rules(shelf):
    """Who asks for nothing has nothing done."""
    assert shelf.find(RuleOptions()) is None


def test_a_profile_and_a_request_add_up(shelf):
    """The request's choices go before those of the profile; lists are joined."""
    asked = RuleOptions(profile="receipts", width_form=WidthForm.KEEP, extractors=(Extractor("no", r"\d+"),))
    found = shelf.find(asked).apply([read_line("５PEEDMART 12")])
    assert found.lines[0].text == "５PEEDMART 12"
    assert [(each.name, each.value) for each in found.fields] == [("shop", "PEEDMART"), ("no", "12")]
    (line,) = shelf.find(RuleOptions(profile="receipts")).apply([read_line("５PEEDMART 12")]).lines
    assert line.text == "SPEEDMART 12"


def test_over_says_which_goes_first():
    """Of one value the request's, of lists both, of extractors with one name the request's."""
    profile = RuleOptions(
        unicode_form=UnicodeForm.NFC,
        width_form=WidthForm.HALF,
        dictionary=("a",),
        dictionary_name="x",
        field_types=(FieldType.DATE,),
        extractors=(Extractor("a", "1"), Extractor("b", "2")),
    )
    asked = RuleOptions(
        profile="p",
        width_form=WidthForm.FULL,
        dictionary=("b",),
        field_types=(FieldType.EAN, FieldType.DATE),
        extractors=(Extractor("a", "3"),),
    )
    assert asked.over(profile) == RuleOptions(
        unicode_form=UnicodeForm.NFC,
        width_form=WidthForm.FULL,
        dictionary=("a", "b"),
        dictionary_name="x",
        field_types=(FieldType.DATE, FieldType.EAN),
        extractors=(Extractor("a", "3"), Extractor("b", "2")),
    )


def test_rules_are_made_once_and_again_when_a_file_changes(shelf, folder):
    """Equal options share their rules until the lexicon that they name holds something else."""
    asked = RuleOptions(dictionary_name="shops")
    first = shelf.find(asked)
    assert shelf.find(RuleOptions(dictionary_name="shops")) is first
    (folder / "lexicons/shops.txt").write_text("TESCOSTORES\n", encoding="utf-8")
    (line,) = shelf.find(asked).apply([read_line("TESC0STORES")]).lines
    assert line.text == "TESCOSTORES"


@pytest.mark.parametrize(
    ("options", "field"),
    [
        (RuleOptions(profile="none"), "options.rules.profile"),
        (RuleOptions(profile="../rules/receipts"), "options.rules.profile"),
        (RuleOptions(dictionary_name="none"), "options.rules.dictionary_name"),
        (RuleOptions(extractors=(Extractor("a", "a"), Extractor("b", "("))), "options.rules.extractors[1].pattern"),
    ],
)
def test_what_there_is_not_is_named(shelf, options, field):
    """A missing file and a wrong pattern are the caller's, by their place in the request."""
    with pytest.raises(OptionInvalid) as caught:
        shelf.find(options)
    assert caught.value.field == field


def test_a_broken_profile_is_our_fault(shelf):
    """A file that cannot be understood is the operator's to mend."""
    with pytest.raises(LanguageInvalid, match="broken"):
        shelf.find(RuleOptions(profile="broken"))
