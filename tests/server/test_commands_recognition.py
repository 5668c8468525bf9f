"""`glyphwire recognize`."""

from __future__ import annotations

import asyncio
import io
import json
import os
import re

import pytest

from ocr_core import types
from ocr_core.errors import BundleInvalid
from ocr_core.prepare.steps import Preparation, Switch
from ocr_core.rules.options import Extractor, FieldType, RuleOptions, UnicodeForm, WidthForm
from server import readers
from tests.pdf_files import text_pdf
from tests.server.messages import put_tokens


@pytest.fixture
def folder(tmp_path):
    """Three images, one of them damaged, in a folder with other files."""
    (tmp_path / "below").mkdir()
    for name, content in {"b.png": "b1\nb2", "a.jpg": "a", "below/c.TIFF": "!undecodable", "notes.txt": "x"}.items():
        (tmp_path / name).write_text(content, encoding="utf-8")
    return tmp_path


async def test_a_file_is_read_in_this_process(glyphwire_command, fake_pipeline, folder):
    """Without --server the pipeline of this process reads the file, and is closed afterwards."""
    assert await glyphwire_command("recognize", folder / "b.png") == (0, "b1\nb2\n", "")
    assert fake_pipeline.closed


async def test_a_server_reads_when_one_is_named(glyphwire_command, running, folder):
    """With --server the image is read there."""
    assert await glyphwire_command("recognize", "--server", running.target, folder / "b.png") == (0, "b1\nb2\n", "")
    assert running.stages.prepared == [b"b1\nb2"]


@pytest.mark.parametrize("remote", [False, True])
async def test_a_bad_file_does_not_stop_the_others(glyphwire_command, running, fake_pipeline, folder, remote):
    """Folders are searched for images; a file that cannot be read is named on standard error, and the status is 1."""
    server = ["--server", running.target] if remote else []
    status, out, err = await glyphwire_command("recognize", *server, folder, folder / "nothing.png")
    assert status == 1
    assert out == f"==> {folder}/a.jpg <==\na\n==> {folder}/b.png <==\nb1\nb2\n"
    assert [row.split(": ")[0] for row in err.splitlines()] == [f"{folder}/below/c.TIFF", f"{folder}/nothing.png"]


async def test_files_wait_their_turn_at_a_server_with_limits(glyphwire_command, start_app, tmp_path):
    """A token that allows fewer calls at once, or per second, than the command begins slows it, and no file fails."""
    running = await start_app(token_file=put_tokens(tmp_path, scanner="max_calls = 1\ncalls_per_second = 12"))
    (tmp_path / "token").write_text("scanner's", encoding="utf-8")
    (tmp_path / "files").mkdir()
    names = [f"{number}.png" for number in range(10, 22)] + [f"{number}.pdf" for number in range(22, 25)]
    for name in names:
        content = text_pdf("A line that is long enough") if name.endswith("pdf") else b"text"
        (tmp_path / "files" / name).write_bytes(content)
    server = ["--server", running.target, "--token", tmp_path / "token"]
    status, out, err = await glyphwire_command("recognize", *server, "--format", "tsv", tmp_path / "files")
    assert (status, err) == (0, "")
    sources = [row.split("\t")[0] for row in out.splitlines()[1:]]
    assert [re.search("[0-9]+[.](png|pdf)", source)[0] for source in sources] == names


async def test_a_limit_that_stays_is_told(glyphwire_command, start_app, tmp_path, monkeypatch):
    """Not for ever: when others use up what the token allows, its limit is the error of the file."""
    monkeypatch.setattr(readers, "_PATIENCE_S", 0.0)
    (tmp_path / "token").write_text("scanner's", encoding="utf-8")
    running = await start_app(token_file=put_tokens(tmp_path, scanner="calls_per_second = 0.001"))
    server = ["--server", running.target, "--token", tmp_path / "token"]
    image = tmp_path / "a.png"
    image.write_text("a", encoding="utf-8")
    assert await glyphwire_command("recognize", *server, image) == (0, "a\n", "")
    status, out, err = await glyphwire_command("recognize", *server, image)
    assert (status, out) == (1, "")
    assert err.startswith(f"{image}: RESOURCE_EXHAUSTED, CLIENT_LIMIT: ")


async def test_many_files_stay_in_order(glyphwire_command, fake_pipeline, tmp_path):
    """However many files are in flight, their results come in the order of the files."""
    for number in range(100):
        (tmp_path / f"{number:03}.png").write_text(f"line {number}", encoding="utf-8")
    _, out, _ = await glyphwire_command("recognize", "--format", "tsv", "--workers", 4, tmp_path)
    header, *rows = out.splitlines()
    assert header.startswith("source\tline")
    assert [row.split("\t")[-1] for row in rows] == [f"line {number}" for number in range(100)]


@pytest.mark.parametrize("remote", [False, True])
async def test_options_are_handed_on(glyphwire_command, running, fake_pipeline, folder, remote):
    """Every flag of recognition reaches the pipeline, in this process and through a server."""
    image = folder / "d.png"
    image.write_text("ab\nfaint", encoding="utf-8")
    flags = "--format json --characters --min-confidence 0.5 --model other --decoder prefix-beam --beam-width 3"
    server = ["--server", running.target] if remote else []
    status, out, _ = await glyphwire_command("recognize", *server, *flags.split(), "--alternatives", 2, image)
    found = json.loads(out)
    assert status == 0
    assert found["model_name"] == "other"
    assert [line["text"] for line in found["lines"]] == ["ab"]
    assert [character["text"] for character in found["lines"][0]["characters"]] == ["a", "b"]
    assert len(found["lines"][0]["alternatives"]) == 2


@pytest.mark.parametrize("remote", [False, True])
async def test_what_is_known_of_the_text_is_handed_on(glyphwire_command, running, fake_pipeline, folder, remote):
    """The flags of language reach the pipeline and choose the decoder that can heed them."""
    (folder / "words.txt").write_text("ab\n\na b\n", encoding="utf-8")
    flags = ["--pattern", "[ab ]+", "--whitelist", "ab ", "--hot-word", "a=b=2.5", "--hot-word", "c=-1"]
    flags += ["--lexicon", folder / "words.txt", "--lexicon-bonus", 1.5, "--language-model", "receipts"]
    server = ["--server", running.target] if remote else []
    assert (await glyphwire_command("recognize", *server, *flags, folder / "a.jpg"))[0] == 0
    (options,) = (running.stages if remote else fake_pipeline).options
    assert options.decode == types.DecodeOptions(
        decoder=types.DecodeMethod.PREFIX_BEAM,
        language=types.LanguageOptions(
            pattern="[ab ]+",
            whitelist="ab ",
            hot_words=(("a=b", 2.5), ("c", -1.0)),
            lexicon=("ab", "a b"),
            lexicon_bonus=1.5,
            language_model="receipts",
        ),
    )


@pytest.mark.parametrize("remote", [False, True])
async def test_rules_are_handed_on(glyphwire_command, running, fake_pipeline, folder, remote):
    """The flags of rules reach the pipeline, and --format fields writes what they find."""
    (folder / "words.txt").write_text("Total\n", encoding="utf-8")
    (folder / "d.png").write_text("shop\nT0tal 1O.50", encoding="utf-8")
    flags = ["--unicode-form", "nfc", "--width-form", "half", "--dictionary", folder / "words.txt"]
    flags += ["--field-type", "amount", "--extract", "total=Total=? (.+)", "--format", "fields"]
    server = ["--server", running.target] if remote else []
    status, out, _ = await glyphwire_command("recognize", *server, *flags, folder / "d.png")
    assert (status, out) == (0, f"{folder}/d.png\t2\tamount\t10.50\n{folder}/d.png\t2\ttotal\t10.50\n")
    (options,) = (running.stages if remote else fake_pipeline).options
    assert options.rules == RuleOptions(
        unicode_form=UnicodeForm.NFC,
        width_form=WidthForm.HALF,
        dictionary=("Total",),
        field_types=(FieldType.AMOUNT,),
        extractors=(Extractor("total", "Total=? (.+)"),),
    )


@pytest.mark.parametrize("flag", ["--alternatives", "--character-alternatives"])
async def test_alternatives_choose_the_decoder_that_has_them(glyphwire_command, fake_pipeline, folder, flag):
    """As through the gateway; whoever names another decoder is told."""
    assert (await glyphwire_command("recognize", flag, 2, folder / "a.jpg"))[0] == 0
    assert fake_pipeline.options[0].decode.decoder is types.DecodeMethod.PREFIX_BEAM
    status, _, err = await glyphwire_command("recognize", flag, 2, "--decoder", "best-path", folder / "a.jpg")
    assert (status, "needs the prefix beam decoder" in err) == (1, True)


async def test_a_profile_is_named(glyphwire_command, fake_pipeline, folder):
    """--rules names a profile; one that there is not is said on standard error."""
    status, _, err = await glyphwire_command("recognize", "--rules", "none", folder / "a.jpg")
    assert (status, "no profile 'none'" in err) == (1, True)


@pytest.mark.parametrize("remote", [False, True])
@pytest.mark.parametrize(
    ("flag", "expected"),
    [
        ("off", Preparation(Switch.OFF)),
        ("deskew=on,local-contrast=off", Preparation(deskew=Switch.ON, local_contrast=Switch.OFF)),
        ("off,grey=auto", Preparation(Switch.OFF, grey=Switch.AUTO)),
    ],
)
async def test_steps_of_preparation_are_switched(
    glyphwire_command, running, fake_pipeline, folder, remote, flag, expected
):
    """One switch for all steps, and one for each that is named."""
    server = ["--server", running.target] if remote else []
    assert (await glyphwire_command("recognize", *server, "--prepare", flag, folder / "a.jpg"))[0] == 0
    (options,) = (running.stages if remote else fake_pipeline).options
    assert options.preprocess.preparation == expected


@pytest.mark.parametrize(("flag", "named"), [("desk=on", "'desk'"), ("deskew=maybe", "'maybe'"), ("", "''")])
async def test_unknown_steps_and_switches_are_named(glyphwire_command, folder, flag, named, capsys):
    """The command ends with what there is instead."""
    with pytest.raises(SystemExit):
        await glyphwire_command("recognize", "--prepare", flag, folder / "a.jpg")
    assert f"argument --prepare: {named} is " in capsys.readouterr().err


@pytest.mark.parametrize(
    "flags", [["--hot-word", "ab"], ["--hot-word", "ab=much"], ["--extract", "ab"], ["--lexicon", "nowhere.txt"]]
)
async def test_bad_words_are_named(glyphwire_command, folder, flags, capsys):
    """Hot words without weights, texts without names and missing files end the command, with the flag's name."""
    with pytest.raises(SystemExit):
        await glyphwire_command("recognize", *flags, folder / "a.jpg")
    assert re.search(rf"argument {flags[0]}: .*'{re.escape(flags[1])}'", capsys.readouterr().err)


@pytest.mark.parametrize("flag", ["--lexicon", "--dictionary"])
async def test_words_in_another_encoding_are_named(glyphwire_command, folder, flag, capsys):
    """Files of words are UTF-8."""
    (folder / "words.txt").write_bytes("合计".encode("gb18030"))
    with pytest.raises(SystemExit):
        await glyphwire_command("recognize", flag, folder / "words.txt", folder / "a.jpg")
    assert f"argument {flag}: {folder}/words.txt is no UTF-8: " in capsys.readouterr().err


async def test_timings_go_to_standard_error(glyphwire_command, fake_pipeline, folder):
    """--timings leaves standard output as it is."""
    _, out, err = await glyphwire_command("recognize", "--timings", folder / "a.jpg")
    assert out == "a\n"
    assert "load image 1.0 ms" in err


async def test_standard_input(glyphwire_command, fake_pipeline, monkeypatch):
    """- reads one image from standard input."""
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"piped")))
    assert await glyphwire_command("recognize", "-") == (0, "piped\n", "")


async def test_a_pipe_is_read_once(glyphwire_command, fake_pipeline, tmp_path):
    """As shells make them of <(command): none of its bytes is lost by looking what it is."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reading = asyncio.create_task(glyphwire_command("recognize", pipe))
    await asyncio.to_thread(pipe.write_bytes, b"piped")
    assert await reading == (0, "piped\n", "")


async def test_text_that_the_output_cannot_have_is_an_error(glyphwire_command, fake_pipeline, tmp_path, monkeypatch):
    """A terminal of another encoding: the character is named, and what to do."""
    (tmp_path / "a.png").write_text("合计", encoding="utf-8")
    monkeypatch.setattr("sys.stdout", io.TextIOWrapper(io.BytesIO(), encoding="latin-1"))
    status, _, err = await glyphwire_command("recognize", tmp_path / "a.png")
    assert status == 1
    assert err.startswith("glyphwire: the output is latin-1, which has no '\\u5408\\u8ba1': ")


async def test_a_folder_without_images_is_an_error(glyphwire_command, tmp_path):
    """A folder in which no image is found is named, with status 1."""
    assert await glyphwire_command("recognize", tmp_path) == (1, "", f"glyphwire: no images in {tmp_path}\n")


async def test_a_bad_option_is_named(glyphwire_command, fake_pipeline, folder):
    """An option out of range ends the command with its name."""
    status, _, err = await glyphwire_command("recognize", "--beam-width", 0, folder / "a.jpg")
    assert status == 1
    assert "beam_width is 0" in err


async def test_a_pipeline_that_cannot_start_is_status_2(glyphwire_command, fake_pipeline, folder):
    """When the models cannot be loaded the reason is printed and the status is 2."""
    fake_pipeline.start_error = BundleInvalid("no weights")
    assert await glyphwire_command("recognize", folder / "a.jpg") == (2, "", "glyphwire: no weights\n")
    assert fake_pipeline.closed


async def test_progress_stays_out_of_a_pipe(glyphwire_command, fake_pipeline, folder, monkeypatch):
    """With a terminal on standard error and a pipe on standard output, the text goes to the pipe."""
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    monkeypatch.setenv("TERM", "xterm")
    _, out, _ = await glyphwire_command("recognize", folder / "a.jpg", folder / "b.png")
    assert out.splitlines()[1:] == ["a", f"==> {folder}/b.png <==", "b1", "b2"]
