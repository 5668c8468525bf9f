"""`glyphwire lm`."""

from __future__ import annotations

import pytest

from ocr_core.ngram import CharacterModel
from tests.ocr_core.arpa import arpa

LINES = ["total 12.50", "total 3.75", "tax 0.75"] * 3


@pytest.fixture
def text(tmp_path):
    """A text file, with a byte order mark and Windows line ends."""
    path = tmp_path / "text.txt"
    path.write_bytes("\r\n".join(LINES).encode("utf-8-sig"))
    return path


async def test_a_model_is_built_from_texts(glyphwire_command, text, tmp_path):
    """`lm build` writes what training on the lines of all files gives."""
    status, out, _ = await glyphwire_command("lm", "build", text, text, "--order", 3, "-o", tmp_path / "out.lm")
    expected = CharacterModel.train(LINES + LINES, order=3)
    assert status == 0
    assert out.startswith(f"{tmp_path / 'out.lm'}: {sum(expected.counts)} n-grams of up to 3 characters, ")
    assert CharacterModel.load(tmp_path / "out.lm").log_prob("tax 1") == pytest.approx(
        expected.log_prob("tax 1"), abs=0.02
    )


async def test_an_arpa_file_is_converted(glyphwire_command, tmp_path):
    """`lm convert` writes the compact format of the same model."""
    model = CharacterModel.train(LINES)
    (tmp_path / "model.arpa").write_text(arpa(model), encoding="utf-8")
    status, _, _ = await glyphwire_command("lm", "convert", tmp_path / "model.arpa", tmp_path / "out.lm")
    assert status == 0
    assert (tmp_path / "out.lm").read_bytes().startswith(b"PK")
    assert CharacterModel.load(tmp_path / "out.lm").counts == model.counts


async def test_a_model_tells_what_it_has(glyphwire_command, text, tmp_path):
    """`lm info` counts n-grams and lists the characters."""
    model = CharacterModel.train(LINES, order=2)
    model.save(tmp_path / "out.lm")
    _, out, _ = await glyphwire_command("lm", "info", tmp_path / "out.lm")
    rows = [line.split() for line in out.splitlines()]
    assert ["2", "characters", str(model.counts[1])] in rows
    assert f"{len(set(''.join(LINES)))} characters:" in out


async def test_a_text_is_scored(glyphwire_command, text, tmp_path):
    """`lm score` prints how many characters there are, and the model's perplexity."""
    CharacterModel.train(LINES).save(tmp_path / "out.lm")
    (tmp_path / "other.txt").write_text("taxi\n", encoding="utf-8")
    _, known, _ = await glyphwire_command("lm", "score", tmp_path / "out.lm", text)
    status, other, _ = await glyphwire_command("lm", "score", tmp_path / "out.lm", tmp_path / "other.txt")
    assert status == 0
    assert known.startswith(f"9 lines, {sum(map(len, LINES))} characters, 0 of them unknown\nperplexity 1.")
    assert other.startswith("1 lines, 4 characters, 1 of them unknown\nperplexity ")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["build", "{bytes}", "-o", "{out}"], "is no UTF-8 text"),
        (["build", "{none}", "-o", "{out}"], "No such file"),
        (["build", "{text}", "--order", "99", "-o", "{out}"], "order is 99"),
        (["info", "{text}"], "no ARPA file"),
        (["convert", "{none}", "{out}"], "No such file"),
    ],
)
async def test_what_cannot_be_read_is_status_1(glyphwire_command, text, tmp_path, arguments, message):
    """Files that are missing or something else, and bad options, end with one sentence."""
    (tmp_path / "bytes").write_bytes(b"\xff\xfe\x00")
    paths = {"bytes": tmp_path / "bytes", "none": tmp_path / "none", "text": text, "out": tmp_path / "out.lm"}
    status, _, err = await glyphwire_command("lm", *(argument.format(**paths) for argument in arguments))
    assert status == 1
    assert message in err
    assert not (tmp_path / "out.lm").exists()
