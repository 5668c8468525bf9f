"""The token file, and the limits of each client."""

from __future__ import annotations

import hashlib

import pytest
import structlog

from server import file_watch, tokens
from server.errors import CallForbidden, ClientLimitReached, SettingsInvalid, TokenInvalid
from server.tokens import Client, TokenEntry, Tokens


def sha256(token: str) -> str:
    """As the file has it."""
    return hashlib.sha256(token.encode()).hexdigest()


@pytest.fixture
def clock(monkeypatch):
    """Seconds, moved by the test."""
    now = [0.0]
    monkeypatch.setattr(tokens.time, "monotonic", lambda: now[0])
    return now


@pytest.fixture
def write(tmp_path):
    """Writes the token file: a body for each client, without its hash, which is that of the name."""

    def write(**bodies: str):
        path = tmp_path / "tokens.toml"
        rows = [f'[{name}]\nsha256 = "{sha256(name)}"\n{body}\n' for name, body in bodies.items()]
        path.write_text("".join(rows), encoding="utf-8")
        return path

    return write


def client(**limits) -> Client:
    """With these limits."""
    return Client("scanner", TokenEntry(sha256=sha256("a"), **limits))


def test_a_token_names_its_client(write):
    """A token of the file is its client's; any other is nobody's."""
    known = Tokens(write(scanner="", camera="admin = true"))
    assert (known.client("scanner").name, known.client("camera").name) == ("scanner", "camera")
    for token in ("", "Scanner", "scanner ", sha256("scanner"), "扫描"):
        with pytest.raises(TokenInvalid):
            known.client(token)


def test_the_whole_hash_counts(write):
    """A token whose hash only begins like that of a client is nobody's."""
    known = Tokens(write(scanner=""))
    (found,) = known._clients.values()
    found.digest = found.digest[:8] + bytes(24)
    with pytest.raises(TokenInvalid):
        known.client("scanner")


@pytest.mark.parametrize("is_stream", [False, True])
def test_calls_and_streams_at_once_are_limited_apart(is_stream):
    """Each kind is refused while as many as allowed run, and may begin again when one has ended."""
    scanner = client(max_calls=2, max_streams=2)
    with scanner.running(is_stream=is_stream):
        with scanner.running(is_stream=is_stream):
            with pytest.raises(ClientLimitReached, match=r"2 (calls|streams) at once"):
                scanner.check(is_stream=is_stream, is_admin=False)
            with pytest.raises(ClientLimitReached), scanner.running(is_stream=is_stream):
                pass
            scanner.check(is_stream=not is_stream, is_admin=False)
        scanner.check(is_stream=is_stream, is_admin=False)


def test_no_streams_at_all_are_forbidden():
    """A limit of none is no matter of waiting."""
    with pytest.raises(CallForbidden, match="scanner may not begin streams"):
        client(max_streams=0).check(is_stream=True, is_admin=False)


def test_calls_per_second_are_limited(clock):
    """A second's worth of calls may come at once; then as many per second, and the wait is told."""
    scanner = client(calls_per_second=4)
    for _ in range(4):
        scanner.check(is_stream=False, is_admin=False)
    with pytest.raises(ClientLimitReached, match="4 calls per second") as caught:
        scanner.check(is_stream=False, is_admin=False)
    assert caught.value.retry_after_s == 0.25
    clock[0] += 0.25
    scanner.check(is_stream=True, is_admin=False)
    with pytest.raises(ClientLimitReached):
        scanner.check(is_stream=False, is_admin=False)
    clock[0] += 3600
    for _ in range(4):
        scanner.check(is_stream=False, is_admin=False)
    with pytest.raises(ClientLimitReached):
        scanner.check(is_stream=False, is_admin=False)


def test_rare_calls_are_possible(clock):
    """A rate below one per second allows one call at first."""
    scanner = client(calls_per_second=0.1)
    scanner.check(is_stream=False, is_admin=False)
    with pytest.raises(ClientLimitReached) as caught:
        scanner.check(is_stream=False, is_admin=False)
    assert caught.value.retry_after_s == 10


def test_only_admins_may_do_more():
    """What is not for every token is for admins."""
    client(admin=True).check(is_stream=False, is_admin=True)
    with pytest.raises(CallForbidden, match="scanner"):
        client().check(is_stream=False, is_admin=True)


def test_a_changed_file_is_read_again(write, monkeypatch):
    """New clients come in, old ones go, limits change, and what runs still counts."""
    monkeypatch.setattr(file_watch, "_LOOK_EVERY_S", 0.0)
    known = Tokens(write(scanner="", camera=""))
    with known.client("scanner").running(is_stream=False):
        write(scanner="max_calls = 1", robot="")
        assert known.client("robot").name == "robot"
        with pytest.raises(TokenInvalid):
            known.client("camera")
        with pytest.raises(ClientLimitReached):
            known.client("scanner").check(is_stream=False, is_admin=False)


def test_a_spoilt_file_changes_nothing(write, monkeypatch):
    """A file that cannot be read any more is logged, and the clients stay as they were."""
    monkeypatch.setattr(file_watch, "_LOOK_EVERY_S", 0.0)
    known = Tokens(write(scanner=""))
    write(scanner="max_calls = 0")
    with structlog.testing.capture_logs() as logs:
        assert known.client("scanner").name == "scanner"
    assert [entry["event"] for entry in logs] == ["tokens_unusable"]
    write(scanner="", robot="")
    assert known.client("robot").name == "robot"


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("[a", "tokens.toml"),
        ("[a]", "a.sha256"),
        ('[a]\nsha256 = "short"', "a.sha256"),
        (f'[a]\nsha256 = "{sha256("a")}"\nmax_call = 1', "a.max_call"),
        (f'[a]\nsha256 = "{sha256("a")}"\ncalls_per_second = 0', "a.calls_per_second"),
        (f'[a]\nsha256 = "{sha256("a")}"\n[b]\nsha256 = "{sha256("a")}"', "two clients"),
        (None, "cannot be read"),
    ],
)
def test_a_bad_file_stops_the_start(tmp_path, text, named):
    """A file that is missing, no TOML, has unknown or impossible values, or one token twice is refused by name."""
    path = tmp_path / "tokens.toml"
    if text is not None:
        path.write_text(text, encoding="utf-8")
    with pytest.raises(SettingsInvalid, match=named):
        Tokens(path)
