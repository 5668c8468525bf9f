"""Packages that are fetched, with stand-ins for the three clients."""

from __future__ import annotations

import tarfile
import tomllib
import zipfile

import pytest

from training.synth import packages
from training.synth.packages import PINS, PackageMissing, fetch_packages, folder_name


def test_every_package_is_pinned_to_one_version():
    """No ranges, no latest: a build of today and one of next year get the same bytes."""
    pins = tomllib.loads(PINS.read_text(encoding="utf-8"))
    assert set(pins) == {"debian", "pypi", "npm"}
    assert all(
        version[0].isdigit() and not set(version) & set("<>=^*, ")
        for part in pins.values()
        for version in part.values()
    )


def test_names_with_scope_become_one_folder():
    """The slash of a scope does not nest folders."""
    assert folder_name("@fontsource/zcool-xiaowei") == "_fontsource_zcool-xiaowei"


def test_archives_are_unpacked_once_and_never_installed(tmp_path, monkeypatch):
    """Wheels and tarballs end up as plain files; what is there is not fetched again."""
    (tmp_path / "pins.toml").write_text('[pypi]\nwheel = "1.0"\n[npm]\n"@scope/tar" = "2.0"\n')
    fetched = []

    def download(command, folder):
        fetched.append(command)
        (folder / "note.txt").write_text("text")
        if command[0] == "npm":
            with tarfile.open(folder / "a.tgz", "w:gz") as tar:
                tar.add(folder / "note.txt", "package/note.txt")
        else:
            with zipfile.ZipFile(folder / "a.whl", "w") as archive:
                archive.write(folder / "note.txt", "wheel/note.txt")
        (folder / "note.txt").unlink()

    monkeypatch.setattr(packages, "PINS", tmp_path / "pins.toml")
    monkeypatch.setattr(packages, "_run", download)
    fetch_packages(tmp_path / "out")
    fetch_packages(tmp_path / "out")
    assert len(fetched) == 2
    assert "--no-deps" in fetched[0]
    assert (tmp_path / "out/pypi/wheel/wheel/note.txt").read_text() == "text"
    assert (tmp_path / "out/npm/_scope_tar/package/note.txt").read_text() == "text"


def test_a_client_that_fails_is_an_error_with_its_words(tmp_path, monkeypatch):
    """What the client says is in the error, and no half package is left behind."""
    (tmp_path / "pins.toml").write_text('[pypi]\nnothing = "1.0"\n')
    monkeypatch.setattr(packages, "PINS", tmp_path / "pins.toml")
    monkeypatch.setitem(
        packages._DOWNLOADS, "pypi", lambda name, version: ["sh", "-c", "echo no such thing >&2; exit 3"]
    )
    with pytest.raises(PackageMissing, match="no such thing"):
        fetch_packages(tmp_path / "out")
    assert not list((tmp_path / "out/pypi").iterdir())
