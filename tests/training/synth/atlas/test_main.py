"""Tests of the commands."""

from dataclasses import replace

import pytest

pytest.importorskip("torch", reason="needs the extra `training`")

from training.synth.atlas.__main__ import fitting


def test_faces_that_fit_keep_their_family_s_weight(faces):
    """Of too many faces each family keeps some, and these get the weight of those left out."""
    big = frozenset(map(chr, range(0x4E00, 0x4E00 + 1000)))
    many = [replace(faces[0], name=f"song-{n}", chinese=True, weight=1.0, characters=big) for n in range(4)]
    few = [
        replace(faces[0], name="hand-0", chinese=True, weight=1.5, characters=big),
        replace(faces[1], name="latin-0"),
    ]
    chosen = fitting([*many, *few], byte_limit=3.2 * 1000 * 150)
    assert {face.name: face.weight for face in chosen} == {"song-0": 2.0, "song-1": 2.0, "hand-0": 1.5, "latin-0": 1.0}
