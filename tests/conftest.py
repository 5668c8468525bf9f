"""Fixtures for more than one folder of tests."""

from collections.abc import Iterator

import pytest
import structlog
from hypothesis import settings

settings.register_profile("untimed", deadline=None)  # a busy machine fails no test
settings.load_profile("untimed")


@pytest.fixture(scope="session", params=["compiled", "reference"])
def backend(request):
    """Name of a CTC backend; a test that asks for it runs on each."""
    return request.param


@pytest.fixture(autouse=True)
def _logs_of_its_own() -> Iterator[None]:
    """A test that sets up logs does so for itself: its standard error is closed when the next one runs."""
    yield
    structlog.reset_defaults()
