"""Sources of batches."""

from itertools import islice
from pathlib import Path

import pytest

torch = pytest.importorskip("torch", reason="needs the extra `training`")

from ocr_core.bundle import InputFormat
from ocr_core.charset import Charset
from training.recipe import find_recipe
from training.run import run
from training.sources import AtlasBatches, atlas_batches
from training.synth.atlas.glyphs import build_atlas
from training.synth.atlas.stream import save_lines
from training.synth.fonts import load_fonts

CHARACTERS = tuple("abcdefghijklmnopqrstuvwxyz ")
SMOKE = find_recipe("smoke")
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a tiny atlas, as `python -m training.synth.atlas build` leaves it."""
    folder = tmp_path_factory.mktemp("root")
    build_atlas(load_fonts(None, CHARACTERS).faces[:1], CHARACTERS).save(folder / "atlas" / "atlas.npz")
    save_lines(folder / "atlas" / "lines.xz", ["the quick fox", "jumps", "over a lazy dog"])
    return folder


@pytest.fixture
def composed(root: Path) -> AtlasBatches:
    wanted = InputFormat(height=32, channels="BGR", mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5))
    data = SMOKE.data.model_copy(update={"source": "atlas", "root": root, "columns": 1024})
    return atlas_batches(Charset(CHARACTERS, blank_index=0), wanted, data, CPU)


def test_composed_batches_have_the_wanted_columns(composed: AtlasBatches) -> None:
    """The wider the lines, the fewer are in a batch; a resumed run gets the batches after its number."""
    first = list(islice(composed.batches(0), 4))
    for batch in first:
        assert 1024 - batch.images.shape[3] < len(batch) * batch.images.shape[3] <= 1024
    resumed = next(composed.batches(2))
    torch.testing.assert_close(resumed.images, first[2].images)


def test_lines_to_validate_on_are_others(composed: AtlasBatches) -> None:
    """Some lines of another seed are at least as many as asked for, always the same, and none of the trained ones."""
    some, again = composed.some(5, 20), composed.some(5, 20)
    assert sum(map(len, some)) >= 20
    assert [batch.targets.tolist() for batch in some] == [batch.targets.tolist() for batch in again]
    assert len({batch.images.shape[3] for batch in some}) > 1
    assert not torch.equal(some[0].images[0], next(composed.batches(0)).images[0])


def test_a_run_trains_on_composed_lines(root: Path, tmp_path: Path) -> None:
    """A recipe whose source is the atlas trains and validates without fonts and texts."""
    data = SMOKE.data.model_copy(update={"source": "atlas", "root": root})
    plan = SMOKE.optimiser.model_copy(update={"steps": 2})
    checkpoint = run(SMOKE.model_copy(update={"data": data, "optimiser": plan}), tmp_path, device=CPU)
    assert checkpoint.progress.step == 2
    assert checkpoint.progress.lines > 2
