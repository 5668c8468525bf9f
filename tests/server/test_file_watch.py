"""Noticing that files have changed."""

from __future__ import annotations

import os

import pytest

from server import file_watch
from server.file_watch import FileWatch


@pytest.fixture(autouse=True)
def _always_look(monkeypatch):
    monkeypatch.setattr(file_watch, "_LOOK_EVERY_S", 0.0)


@pytest.fixture
def path(tmp_path):
    """Of a file of one byte."""
    path = tmp_path / "file"
    path.write_bytes(b"a")
    return path


def written_again(path):
    """The same size, at another time."""
    path.write_bytes(b"b")
    os.utime(path, ns=(1, 1))


def replaced(path):
    """Another file of the same size and time."""
    times = path.stat().st_mtime_ns
    new = path.with_suffix(".new")
    new.write_bytes(b"b")
    os.utime(new, ns=(times, times))
    new.replace(path)


@pytest.mark.parametrize("change", [written_again, replaced, os.remove])
def test_a_change_is_told_once(path, change):
    """A file that is written, replaced or removed has changed, until that has been said."""
    watch = FileWatch([path, path.parent])
    assert not watch.has_changed()
    change(path)
    assert watch.has_changed()
    assert not watch.has_changed()


def test_files_are_not_looked_at_every_time(path, monkeypatch):
    """Between two looks nothing is noticed, and nothing is lost."""
    monkeypatch.setattr(file_watch, "_LOOK_EVERY_S", 3600.0)
    watch = FileWatch([path])
    assert not watch.has_changed()
    written_again(path)
    assert not watch.has_changed()
    watch._look_at = 0.0
    assert watch.has_changed()
