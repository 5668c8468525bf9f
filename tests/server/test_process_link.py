"""What a supervisor and one of its processes tell each other."""

from __future__ import annotations

from server.process_link import SupervisorLink
from server.settings import Settings


async def test_a_process_that_has_ended_already_serves_no_more():
    """It may be killed before it has its settings: that is no error, it has ended."""
    link = SupervisorLink()
    link.send_settings(Settings())
    assert not await link.serving()
    link.close()
