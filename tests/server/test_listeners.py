"""Binding to ports and to socket files."""

from __future__ import annotations

import socket
import stat

import glyphwire
import pytest

from server.app import App
from server.errors import ListenFailed
from server.settings import Settings


async def read(target: str) -> str:
    """What the server at a target reads."""
    async with glyphwire.AsyncOcrClient(target, max_attempts=1) as client:
        return (await client.recognize(b"a")).text


@pytest.fixture
def path(tmp_path):
    """Of a socket file that is not there."""
    return tmp_path / "glyphwire.sock"


async def test_one_server_has_many_addresses(start_app, path):
    """A server answers at each of its addresses, ports and socket files alike."""
    running = await start_app(listen=["127.0.0.1:0,127.0.0.1:0", f"unix:{path}"])
    assert len(set(running.targets)) == 3
    assert [await read(target) for target in running.targets] == ["a", "a", "a"]


@pytest.mark.parametrize("mode", ["600", "660"])
async def test_socket_files_have_their_permissions(start_app, path, mode):
    """The file of a Unix socket has the permissions of socket_mode, by default for its owner alone."""
    await start_app(listen=f"unix:{path}", **({} if mode == "600" else {"socket_mode": mode}))
    assert oct(stat.S_IMODE(path.stat().st_mode)) == f"0o{mode}"


async def test_a_stopped_server_leaves_no_socket_file(start_app, path):
    """The file goes with the server."""
    running = await start_app(listen=f"unix:{path}")
    await running.app.stop()
    assert not path.exists()


async def test_a_socket_file_that_was_left_behind_is_replaced(start_app, path):
    """The file of a server that was killed does not keep the next one from starting."""
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    await start_app(listen=f"unix:{path}")
    assert await read(f"unix:{path}") == "a"


async def test_the_socket_of_a_running_server_is_left_alone(start_app, path, stages):
    """A second server at the same socket fails, and the first goes on."""
    await start_app(listen=f"unix:{path}")
    second = App(Settings(listen=f"unix:{path}"), stages)
    with pytest.raises(ListenFailed, match="another server"):
        await second.listen()
    await second.stop()
    assert await read(f"unix:{path}") == "a"


async def test_other_files_are_left_alone(path, stages):
    """A file that is no socket is never removed."""
    path.write_text("precious", encoding="utf-8")
    app = App(Settings(listen=f"unix:{path}"), stages)
    with pytest.raises(ListenFailed, match="no socket"):
        await app.listen()
    await app.stop()
    assert path.read_text(encoding="utf-8") == "precious"


async def test_a_socket_in_no_folder_is_an_error(tmp_path, stages):
    """A socket whose folder is missing is named in the error."""
    app = App(Settings(listen=f"unix:{tmp_path}/nowhere/glyphwire.sock"), stages)
    with pytest.raises(ListenFailed, match="nowhere"):
        await app.listen()
    await app.stop()
