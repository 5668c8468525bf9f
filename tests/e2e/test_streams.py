"""What streams do with frames, with the real models."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import glyphwire
import numpy as np
import pytest
from glyphwire import FrameResult, Mode, RecognizeOptions, StreamOptions, UnchangedOptions, VotingOptions

from bench.shaky_frames import shaky_frames
from ocr_core.evaluation import score_texts
from ocr_core.image import load_image
from ocr_core.image_limits import ImageLimits
from tests.e2e.conftest import serving

ROOT = Path(__file__).parents[2]
DATA = ROOT / "tests" / "data"
LABELS = dict(row.split("\t") for row in (DATA / "labels.tsv").read_text(encoding="utf-8").strip().split("\n"))
LINE = RecognizeOptions(mode=Mode.LINE)
FRAMES = 12


def test_an_engine_process_reads_as_the_server_itself(client: glyphwire.OcrClient) -> None:
    """Lines, a page with all that can be asked of it, and what is no image."""
    page = (ROOT / "docs" / "sample" / "page.jpg").read_bytes()
    full = RecognizeOptions(include_characters=True, include_structure=True)
    asked = [(page, full), *(((DATA / name).read_bytes(), LINE) for name in LABELS)]
    with serving("server", "--engine-process", "false") as address, glyphwire.OcrClient(address) as other:
        other.wait_ready(60)
        for image, options in asked:
            ours, theirs = (each.recognize(image, options) for each in (client, other))
            assert (theirs.lines, theirs.structure) == (ours.lines, ours.structure)
        with pytest.raises(glyphwire.OcrError) as wrong:
            other.recognize(b"no image", LINE)
    assert wrong.value.reason is glyphwire.ErrorReason.IMAGE_UNDECODABLE


@pytest.fixture(scope="module")
def client(address: str) -> Iterator[glyphwire.OcrClient]:
    """Connected to the real server."""
    with glyphwire.OcrClient(address) as connected:
        connected.wait_ready(60)
        yield connected


def single_text(result: FrameResult) -> str:
    """What one frame alone says."""
    assert isinstance(result.outcome, glyphwire.Recognition)
    return result.outcome.text


def test_voting_beats_single_frames(client: glyphwire.OcrClient) -> None:
    """Of bad films of five lines the merged texts have less than half the errors of the mean single frame."""
    truths, singles, merged = [], [], []
    for name in ("line_zh.jpg", "line_en.jpg", "line_sign.jpg", "line_receipt.png", "line_mixed.jpg"):
        film = shaky_frames(load_image((DATA / name).read_bytes(), ImageLimits()), FRAMES, seed=1)
        options = StreamOptions(voting=VotingOptions(max_missed_frames=FRAMES))
        results = list(client.stream(film, LINE, stream_options=options))
        singles += [single_text(result) for result in results]
        merged.append(max(results[-1].stable_lines, key=lambda line: line.frames_seen).text)
        truths.append(LABELS[name])
    single = score_texts("single", [truth for truth in truths for _ in range(FRAMES)], singles).cer_norm
    voted = score_texts("voted", truths, merged).cer_norm
    assert voted < single / 2, (voted, single, merged)


def test_a_still_page_is_read_once(client: glyphwire.OcrClient) -> None:
    """Shots that differ in noise alone are unchanged and give the first one's text; another page is read."""
    page, random = load_image((DATA / "page_small.jpg").read_bytes(), ImageLimits()), np.random.default_rng(0)
    shots = [np.clip(page + random.normal(0, 2, page.shape), 0, 255).astype(np.uint8) for _ in range(4)]
    frames = [*shots, page[::-1].copy()]
    results = list(client.stream(frames, stream_options=StreamOptions(unchanged=UnchangedOptions())))
    assert [result.unchanged_from for result in results] == [None, 0, 0, 0, None]
    assert len({single_text(result) for result in results[:4]}) == 1
    assert single_text(results[0])
    assert single_text(results[4]) != single_text(results[0])
