"""Tests of ocr_core.layout.key_values."""

import numpy as np
import pytest

from ocr_core.layout.key_values import find_key_values
from ocr_core.structure import KeyValue

STACK = np.array([(0, 30 * row, 100, 30 * row + 20) for row in range(4)], float)


@pytest.mark.parametrize(
    ("text", "pair"),
    [
        ("Date: 2024-11-18 14:35", ("Date", "2024-11-18 14:35")),
        ("收货单位：云汀市第三小学", ("收货单位", "云汀市第三小学")),
        ("GST ID : 000181747712", ("GST ID", "000181747712")),
    ],
)
def test_a_line_may_have_both(text: str, pair: tuple[str, str]) -> None:
    """Before the first colon stands the key."""
    assert find_key_values(STACK[:1], [text]) == [KeyValue(*pair, 0, 0)]


@pytest.mark.parametrize(
    "text", ["14:35", "http://example.org", "no colon", ": 5", "this is far more than a key could be: yes"]
)
def test_other_colons_make_no_pair(text: str) -> None:
    """Times, addresses, sentences."""
    assert find_key_values(STACK[:1], [text]) == []


def test_the_value_may_stand_beside_or_below() -> None:
    """Beside goes before below; a line that is a key itself is no value."""
    beside = np.array([(0, 0, 80, 20), (120, 1, 200, 21), (0, 25, 80, 45)], float)
    assert find_key_values(beside, ["Total:", "12.50", "below"]) == [KeyValue("Total", "12.50", 0, 1)]
    assert find_key_values(STACK[:2], ["Bill To:", "Lin Yue"]) == [KeyValue("Bill To", "Lin Yue", 0, 1)]
    assert find_key_values(STACK[:2], ["Bill To:", "Ship To:"]) == []
