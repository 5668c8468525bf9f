"""Tests of ocr_core.model_agreement."""

from __future__ import annotations

import threading

import pytest

from ocr_core.errors import SetupError
from ocr_core.model_agreement import ModelAgreement, WantedModels

WANTED = WantedModels(default="tiny/2", contents={"tiny/2": "ab"})


def test_what_was_written_is_read(tmp_path):
    """By whoever has the same file; before that nothing is agreed."""
    path = tmp_path / "agreement.json"
    assert ModelAgreement(path).read() is None
    ModelAgreement(path).write(WANTED)
    assert ModelAgreement(path).read() == WANTED


def test_without_a_file_nothing_is_agreed():
    """A process of its own reads nothing of what it wrote."""
    agreement = ModelAgreement(None)
    with agreement.held():
        agreement.write(WANTED)
        assert agreement.read() is None


@pytest.mark.parametrize("text", ["", "{}", '{"default": 1, "contents": {}}'])
def test_a_broken_file_is_named(tmp_path, text):
    """The operator is told which file is wrong."""
    path = tmp_path / "agreement.json"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(SetupError, match="agreement"):
        ModelAgreement(path).read()


def test_one_holds_it_at_a_time(tmp_path):
    """Who comes second waits until the first has done."""
    path = tmp_path / "agreement.json"
    order = []

    def second():
        with ModelAgreement(path).held():
            order.append("second")

    thread = threading.Thread(target=second)
    with ModelAgreement(path).held():
        thread.start()
        order.append("first")
    thread.join()
    assert order == ["first", "second"]
