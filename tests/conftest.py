"""Fixtures for more than one folder of tests."""

import pytest


@pytest.fixture(scope="session", params=["compiled", "reference"])
def backend(request):
    """Name of a CTC backend; a test that asks for it runs on each."""
    return request.param
