"""What is packed for a machine without network."""

from pathlib import Path

import pytest

pytest.importorskip("torch", reason="needs the extra `training`")

from training import carry
from training.carry import CannotPack, main, pack
from training.checkpoint import load_checkpoint
from training.recipe import find_recipe

SMOKE = find_recipe("smoke")


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Files in place of an atlas, and of wheels, which only a network has."""
    (tmp_path / "root" / "atlas").mkdir(parents=True)
    (tmp_path / "root" / "atlas" / "atlas.npz").write_bytes(bytes(3000))
    (tmp_path / "root" / "atlas" / "lines.xz").write_bytes(bytes(200))

    def wheels(folder: Path, python: str) -> None:
        folder.mkdir()
        (folder / f"one-cp{python}.whl").write_bytes(bytes(50))

    monkeypatch.setattr(carry, "fetch_wheels", wheels)
    return tmp_path / "root"


def test_everything_is_in_one_folder(root: Path, tmp_path: Path) -> None:
    """The folder has the start, the atlas, the texts and the wheels, nothing of before, and the size that is told."""
    folder = tmp_path / "packed"
    folder.mkdir()
    (folder / "old").touch()
    size = pack(SMOKE, folder, root=root, python="3.12", byte_limit=1e8)
    files = {path.relative_to(folder).as_posix(): path.stat().st_size for path in folder.rglob("*") if path.is_file()}
    assert set(files) == {"start/checkpoint.pt", "atlas/atlas.npz", "atlas/lines.xz", "wheels/one-cp3.12.whl"}
    assert size == sum(files.values())
    assert load_checkpoint(folder / "start" / "checkpoint.pt").progress.step == 0


def test_too_much_is_told(root: Path, tmp_path: Path) -> None:
    """A folder over the limit is an error that names both sizes."""
    with pytest.raises(CannotPack, match=r"has \d+\.\d MiB, more than 0\.1"):
        pack(SMOKE, tmp_path / "packed", root=root, python="3.12", byte_limit=2**20 / 10)


def test_a_missing_atlas_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Without an atlas the command fails and says which command makes one."""
    assert main(["smoke", str(tmp_path / "packed"), "--root", str(tmp_path)]) == 1
    assert "run `python -m training.synth.atlas build`" in capsys.readouterr().err
