"""How many documents are open at once, and how much of them is on the disk."""

from __future__ import annotations

import asyncio

import pytest

from server.document_room import DocumentRoom
from server.errors import QueueFull
from server.settings import Settings


def room(**changes) -> DocumentRoom:
    """Room as the settings have it."""
    return DocumentRoom(Settings(**changes))


async def test_one_waits_for_another():
    """A document beyond the limit waits until one is closed."""
    documents = room(max_documents=1)
    async with documents.document("a"):
        waiting = asyncio.create_task(opened(documents, "b", order := []))
        await asyncio.sleep(0)
        assert not order
    await waiting
    assert order == ["b"]


async def opened(documents: DocumentRoom, client: str, order: list[str], until: asyncio.Event | None = None) -> None:
    """Open a document, note it, and hold it until an event."""
    async with documents.document(client):
        order.append(client)
        if until:
            await until.wait()


async def test_whoever_has_least_is_next():
    """A client that holds fewer documents goes before one that came earlier and holds more."""
    documents, order, end = room(max_documents=2), [], asyncio.Event()
    tasks = [asyncio.create_task(opened(documents, "greedy", order, end)) for _ in range(4)]
    await asyncio.sleep(0)
    tasks.append(asyncio.create_task(opened(documents, "modest", order, end)))
    await asyncio.sleep(0)
    assert order == ["greedy", "greedy"]
    tasks[0].cancel()
    await asyncio.gather(tasks[0], return_exceptions=True)
    await asyncio.sleep(0)
    assert order == ["greedy", "greedy", "modest"]
    end.set()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert order.count("greedy") == 4


async def test_who_gives_up_takes_no_place():
    """A document that is given up while it waits, or in the moment of its turn, leaves the place to the next one."""
    documents, order = room(max_documents=1), []
    async with documents.document("a"):
        waiting = [asyncio.create_task(opened(documents, "b", order)) for _ in range(2)]
        await asyncio.sleep(0)
        waiting[0].cancel()
    waiting[1].cancel()
    await asyncio.gather(*waiting, return_exceptions=True)
    await asyncio.wait_for(opened(documents, "c", order), 5)
    assert order == ["c"]


async def test_bytes_are_given_back():
    """What is on the disk is bounded, and free again when the file is gone."""
    documents = room(max_document_bytes=100, max_spool_bytes=100)
    with documents.spool() as spool:
        spool.reserve(60)
        with documents.spool() as other, pytest.raises(QueueFull):
            other.reserve(41)
        spool.reserve(40)
        assert spool.size == 100
    with documents.spool() as spool:
        spool.reserve(100)


async def test_head_starts_are_bounded():
    """As many documents may get ready while they come as may be open."""
    documents = room(max_documents=1)
    with documents.head_start() as first, documents.head_start() as second:
        assert (first, second) == (True, False)
    with documents.head_start() as third:
        assert third
