"""How far an image came."""

from __future__ import annotations

import pytest

from server.request import ImageTimes


@pytest.mark.parametrize(
    ("reached", "next_stage"),
    [
        ({}, "prepare"),
        ({"prepare_started": 1}, "infer"),
        ({"prepare_started": 1, "prepared": 2}, "infer"),
        ({"prepare_started": 1, "prepared": 2, "read_started": 3}, "answer"),
    ],
)
def test_the_next_stage_is_the_first_that_it_did_not_come_to(reached, next_stage):
    """An image that waits is before its preparation, one whose lines wait before the engine, else before its answer."""
    assert ImageTimes(arrived=0, deadline=9, ended=4, **reached).next_stage == next_stage
