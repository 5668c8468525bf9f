"""A tiny atlas of the fonts that come with matplotlib, and a few lines of text."""

import dataclasses

import pytest

torch = pytest.importorskip("torch", reason="needs the extra `training`")

from ocr_core.bundle import InputFormat
from ocr_core.charset import Charset
from training.synth.atlas.glyphs import build_atlas
from training.synth.atlas.lines import AtlasSettings
from training.synth.atlas.stream import save_lines
from training.synth.fonts import load_fonts

CHARACTERS = tuple(" 0123456789ABCDEFGHIJabcdefghijnorstuwyz.,:-é")
LINES = ["Bread 2.50", "the dog ran into a bush", "AB-12: 0034,99", "resta in casa", "J 7", "do it again, ever faster"]


@pytest.fixture(scope="session", autouse=True)
def _one_thread():
    """Threads that wait for one another on a busy machine take longer than one."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="session")
def faces():
    """One upright and one with serifs, which is counted as handwriting."""
    found = {face.name: face for face in load_fonts(None, CHARACTERS).faces}
    return found["DejaVuSans"], dataclasses.replace(found["DejaVuSerif"], style="hand")


@pytest.fixture(scope="session")
def atlas(faces):
    """All characters in both faces."""
    return build_atlas(faces, CHARACTERS)


@pytest.fixture(scope="session")
def charset():
    """The atlas's characters but for the last, the space at the end, and one that no font has."""
    return Charset((*CHARACTERS[1:-1], "\ue000", " "), blank_index=0)


@pytest.fixture(scope="session")
def settings(atlas, tmp_path_factory):
    """Files of the atlas and the lines, crops of 32 px."""
    folder = tmp_path_factory.mktemp("atlas")
    atlas.save(folder / "atlas.npz")
    save_lines(folder / "lines.xz", LINES)
    wanted = InputFormat(height=32, channels="BGR", mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5))
    return AtlasSettings(folder / "atlas.npz", folder / "lines.xz", wanted)
