"""TLS: who is believed, and when certificates change."""

from __future__ import annotations

import glyphwire
import grpc
import pytest
import structlog
from glyphwire import Tls

from server import file_watch
from server.app import App
from server.errors import SettingsInvalid
from server.settings import Settings
from tests.server.authorities import Authority


@pytest.fixture
def authority(tmp_path):
    """One that the clients of a test believe."""
    return Authority(tmp_path)


@pytest.fixture
def served(authority):
    """Settings of a server with a certificate for this machine."""
    pair = authority.issue("127.0.0.1")
    return {"tls_cert": pair["cert"], "tls_key": pair["key"]}


async def read(target: str, tls: Tls | None) -> str:
    """What the server reads for a client, over a new connection."""
    async with glyphwire.AsyncOcrClient(target, max_attempts=1, timeout_s=10, tls=tls) as client:
        return (await client.recognize(b"a")).text


async def is_refused(target: str, tls: Tls | None) -> bool:
    """Whether no connection comes about."""
    with pytest.raises(glyphwire.OcrError) as caught:
        await read(target, tls)
    return caught.value.code is grpc.StatusCode.UNAVAILABLE


async def test_tls_serves_those_who_speak_it(start_app, served, authority):
    """With a certificate, clients that believe its authority are served; plain ones are not."""
    target = (await start_app(**served)).target
    assert await read(target, Tls(ca=authority.ca)) == "a"
    assert await is_refused(target, None)


async def test_clients_refuse_other_servers(start_app, served, tmp_path, authority):
    """A server of another authority, or with another name, is not talked to, unless that name is expected."""
    target = (await start_app(**served)).target
    assert await is_refused(target, Tls(ca=Authority(tmp_path, "other").ca))
    pair = authority.issue("ocr.example", "named")
    named = (await start_app(tls_cert=pair["cert"], tls_key=pair["key"])).target
    assert await is_refused(named, Tls(ca=authority.ca))
    assert await read(named, Tls(ca=authority.ca, server_name="ocr.example")) == "a"


async def test_callers_need_a_certificate_of_the_authority(start_app, served, authority, tmp_path):
    """With tls_client_ca, callers without a certificate of that authority get no connection."""
    target = (await start_app(**served, tls_client_ca=authority.ca)).target
    assert await read(target, Tls(authority.ca, **authority.issue("caller", "caller"))) == "a"
    stranger = Authority(tmp_path, "other").issue("caller", "stranger")
    assert await is_refused(target, Tls(authority.ca))
    assert await is_refused(target, Tls(authority.ca, **stranger))


async def test_socket_files_need_no_certificate(start_app, served, tmp_path):
    """A Unix socket beside a TLS port stays plain: its file has permissions."""
    running = await start_app(**served, listen=f"127.0.0.1:0,unix:{tmp_path}/s")
    assert await read(running.targets[1], None) == "a"


async def test_a_new_certificate_needs_no_restart(start_app, served, authority, tmp_path, monkeypatch):
    """New connections get the certificate that is there when they are made."""
    monkeypatch.setattr(file_watch, "_LOOK_EVERY_S", 0.0)
    target = (await start_app(**served)).target
    assert await read(target, Tls(ca=authority.ca)) == "a"
    successor = Authority(tmp_path, "successor")
    successor.issue("127.0.0.1")
    assert await read(target, Tls(ca=successor.ca)) == "a"
    assert await is_refused(target, Tls(ca=authority.ca))


async def test_half_a_certificate_changes_nothing(start_app, served, authority, monkeypatch):
    """While key and certificate do not belong together, the server goes on with those it had, and logs it."""
    monkeypatch.setattr(file_watch, "_LOOK_EVERY_S", 0.0)
    target = (await start_app(**served)).target
    served["tls_key"].write_bytes(authority.issue("127.0.0.1", "other")["key"].read_bytes())
    with structlog.testing.capture_logs() as logs:
        assert await read(target, Tls(ca=authority.ca)) == "a"
    assert "certificate_unusable" in [entry["event"] for entry in logs]


@pytest.mark.parametrize("broken", ["tls_cert", "tls_key", "tls_client_ca"])
@pytest.mark.parametrize("content", [None, b"nonsense"])
async def test_unusable_files_stop_the_start(served, authority, stages, broken, content):
    """A file that is missing, or holds no certificate or key, is refused at the start."""
    files = served | {"tls_client_ca": authority.ca}
    files[broken].unlink()
    if content:
        files[broken].write_bytes(content)
    app = App(Settings(listen="127.0.0.1:0", **files), stages)
    with pytest.raises(SettingsInvalid, match="cannot be used"):
        await app.listen()
    await app.stop()
