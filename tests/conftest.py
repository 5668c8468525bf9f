"""Fixtures for more than one folder of tests."""

import pytest
from hypothesis import settings

settings.register_profile("untimed", deadline=None)  # a busy machine fails no test
settings.load_profile("untimed")


@pytest.fixture(scope="session", params=["compiled", "reference"])
def backend(request):
    """Name of a CTC backend; a test that asks for it runs on each."""
    return request.param
