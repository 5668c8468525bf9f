"""Where lines come from."""

from __future__ import annotations

import pytest

pytest.importorskip("fontTools", reason="needs the extra `training`")

from training.synth.fonts import STYLES
from training.synth.paper import PAPERS
from training.synth.scenes import SCENES, Scene
from training.synth.text import KINDS


@pytest.mark.parametrize("scene", SCENES, ids=lambda scene: scene.name)
def test_scenes_name_what_there_is(scene):
    """Kinds of text, styles of fonts and papers exist; shares and sizes make sense."""
    assert scene.kinds.keys() <= KINDS.keys()
    assert scene.styles.keys() <= set(STYLES)
    assert scene.paper.keys() <= PAPERS.keys()
    assert scene.share > 0
    assert 8 <= scene.size_px[0] <= scene.size_px[1]
    assert all(0 <= probability <= 1 for probability in scene.odds.values())


def test_odds_of_unknown_things_are_refused():
    """A misspelt name is an error, not a thing that never happens."""
    with pytest.raises(ValueError, match="blurr"):
        Scene("one", 1, {}, {}, (10, 20), {}, {"blurr": 0.5})
