"""How the commands reach a server."""

from __future__ import annotations

import hashlib

import pytest

from tests.server.authorities import Authority


@pytest.fixture
def image(tmp_path):
    """Of one line."""
    path = tmp_path / "a.png"
    path.write_bytes(b"text")
    return path


@pytest.fixture
async def guarded(start_app, tmp_path):
    """The flags that a server with TLS, client certificates and tokens asks for."""
    authority = Authority(tmp_path)
    pair, caller = authority.issue("127.0.0.1"), authority.issue("caller", "caller")
    (tmp_path / "token").write_text("secret\n", encoding="utf-8")
    entry = f'[caller]\nsha256 = "{hashlib.sha256(b"secret").hexdigest()}"\n'
    (tmp_path / "tokens.toml").write_text(entry, encoding="utf-8")
    running = await start_app(
        tls_cert=pair["cert"],
        tls_key=pair["key"],
        tls_client_ca=authority.ca,
        token_file=tmp_path / "tokens.toml",
    )
    tls = ("--tls-ca", authority.ca, "--tls-cert", caller["cert"], "--tls-key", caller["key"])
    return "--server", running.target, *tls, "--token", tmp_path / "token"


async def test_every_command_can_prove_who_calls(glyphwire_command, guarded, image):
    """recognize, stream and models list reach a server that wants a certificate and a token."""
    assert (await glyphwire_command("recognize", image, *guarded))[:2] == (0, "text\n")
    assert (await glyphwire_command("stream", image, *guarded))[0] == 0
    assert "fake" in (await glyphwire_command("models", "list", *guarded))[1]


async def test_without_a_token_the_server_says_so(glyphwire_command, guarded, image):
    """What a guarded server answers to a call without its token is printed."""
    status, _, err = await glyphwire_command("recognize", image, *guarded[:-2])
    assert status == 1
    assert "UNAUTHENTICATED" in err


async def test_a_token_is_not_sent_in_plain_text(glyphwire_command, tmp_path, image):
    """A token for another machine needs TLS, or a flag that says otherwise."""
    (tmp_path / "token").write_text("secret", encoding="utf-8")
    command = ("models", "list", "--server", "host.invalid:1", "--token", tmp_path / "token")
    status, _, err = await glyphwire_command(*command)
    assert status == 2
    assert "plain text" in err
    assert (await glyphwire_command(*command, "--allow-plaintext-token"))[0] == 1
