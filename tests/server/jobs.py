"""Images for a batcher in front of the fake pipeline."""

from __future__ import annotations

import asyncio
import time

from ocr_core.types import Mode, Recognition, RecognizeOptions
from server.batcher import Batcher
from server.request import Job

OPTIONS = RecognizeOptions(mode=Mode.LINE)
PAGE = RecognizeOptions()


def job(text: str, options: RecognizeOptions = OPTIONS) -> Job:
    """An image with these lines."""
    return Job(text.encode(), options)


def texts(recognition: Recognition) -> list[str]:
    """The texts of the lines."""
    return [line.text for line in recognition.lines]


def after(seconds: float) -> float:
    """A deadline."""
    return time.monotonic() + seconds


async def submitted(batcher: Batcher, *jobs: Job, seconds: float = 30) -> list[asyncio.Task[Recognition]]:
    """Tasks whose work is in the queue."""
    tasks = [asyncio.create_task(batcher.submit(job, after(seconds))) for job in jobs]
    await asyncio.sleep(0)
    return tasks
