"""The end of a command of `training`."""

import pytest

from ocr_core.errors import RecipeFailed
from training.command import run_command


@pytest.mark.parametrize("status", [None, 0, 3])
def test_the_status_is_that_of_the_command(status: int | None) -> None:
    """What it returns is the exit status."""
    with pytest.raises(SystemExit) as ended:
        run_command(lambda: status)
    assert ended.value.code == status


@pytest.mark.parametrize("error", [RecipeFailed("a.toml: no stages"), FileNotFoundError(2, "No such file", "a.pt")])
def test_a_mistake_is_one_line(error: Exception) -> None:
    """Bad files end the command with their message in the place of a traceback."""

    def fail() -> int:
        raise error

    with pytest.raises(SystemExit) as ended:
        run_command(fail)
    assert ended.value.code == str(error)


def test_a_fault_of_ours_keeps_its_traceback() -> None:
    """Whatever else is raised goes on."""

    def fail() -> int:
        raise KeyError("stages")

    with pytest.raises(KeyError):
        run_command(fail)
