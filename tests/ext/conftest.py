"""Fixtures for tests of the CTC kernels and their twin."""

import importlib

import pytest


@pytest.fixture(scope="session")
def ctc(backend):
    """The module of a backend."""
    return importlib.import_module({"compiled": "ext.ctc", "reference": "ocr_core.ctc_reference"}[backend])
