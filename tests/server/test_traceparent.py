"""The header traceparent."""

from __future__ import annotations

import pytest

from server.traceparent import Traceparent, parse_traceparent

TRACE = "0af7651916cd43dd8448eb211c80319c"
SPAN = "b7ad6b7169203331"


@pytest.mark.parametrize(("flags", "sampled"), [("01", True), ("00", False), ("03", True), ("02", False)])
def test_the_last_bit_says_sampled(flags, sampled):
    """The trace id is the second field; the lowest bit of the flags says whether the caller records the trace."""
    assert parse_traceparent(f"00-{TRACE}-{SPAN}-{flags}") == Traceparent(TRACE, sampled)


def test_later_versions_may_say_more():
    """A version from the future is read as far as it is known."""
    assert parse_traceparent(f"cc-{TRACE}-{SPAN}-01-what-else") == Traceparent(TRACE, True)


@pytest.mark.parametrize(
    "text",
    [
        "",
        b"00",
        f"ff-{TRACE}-{SPAN}-01",
        f"00-{'0' * 32}-{SPAN}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"00-{TRACE.upper()}-{SPAN}-01",
        f"00-{TRACE}-{SPAN}",
        f"00-{TRACE}-{SPAN}-01\n",
    ],
)
def test_what_is_no_traceparent_counts_as_none(text):
    """A damaged header starts no trace of its own and breaks no call."""
    assert parse_traceparent(text) is None
