"""Tests of ocr_core.prepare.kernels."""

from __future__ import annotations

import importlib
import sys

import pytest

from ocr_core.errors import BackendMissing


def test_missing_measures_are_an_error_of_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever has not built them is told so, as for the decoders."""
    monkeypatch.setitem(sys.modules, "ext.measures", None)
    monkeypatch.delitem(sys.modules, "ocr_core.prepare.kernels", raising=False)
    with pytest.raises(BackendMissing, match="make build"):
        importlib.import_module("ocr_core.prepare.kernels")
