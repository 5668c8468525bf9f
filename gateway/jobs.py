"""Documents that are read in the background: submitted, followed, fetched, cancelled."""

from __future__ import annotations

import asyncio
import enum
import secrets
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import BinaryIO

import glyphwire
import structlog

from gateway.frame import GatewayMetrics
from gateway.options import OcrOptions
from gateway.problems import Problem, ProblemError, problem_of, refused
from gateway.reading import Reader, ReadPage
from gateway.uploads import Upload

_log = structlog.get_logger(__name__)


class JobState(enum.StrEnum):
    """Of a job; the last three are final."""

    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"


class Job:
    """One document. owner: the caller who may see it. pages: read so far; pages_selected: 0 until it is known.

    The document is kept, for pictures of its pages and for PDFs with their text: in a file without a name, as 32
    documents would fill the memory.
    """

    def __init__(self, upload: Upload, options: OcrOptions, owner: str) -> None:
        self.id = secrets.token_urlsafe(16)
        self.file = upload.name
        self.options = options
        self.owner = owner
        self.state = JobState.RUNNING
        self.pages: list[ReadPage] = []
        self.pages_selected = 0
        self.problem: Problem | None = None
        self.created = time.time()
        self.ended: float | None = None
        self._changed = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._document = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the job
        self._document.write(upload.content)
        self._document.flush()

    def start(self, reader: Reader) -> None:
        """Read in the background."""
        self._task = asyncio.create_task(self._run(reader))

    def open_document(self) -> BinaryIO:
        """The document, at its beginning, for one reader, who closes it and may outlive the job."""
        return Path(f"/proc/self/fd/{self._document.fileno()}").open("rb")

    def close(self) -> None:
        """Stop reading, and give the document back; the server drops what it has begun."""
        if self._task:
            self._task.cancel()
        self._document.close()

    async def changes(self) -> AsyncIterator[None]:
        """One item now, and one after each change, until the job has ended."""
        while True:
            changed = self._changed
            yield
            if self.state is not JobState.RUNNING:
                return
            await changed.wait()

    async def _run(self, reader: Reader) -> None:
        try:
            async for page, progress in reader.document(self.file, self.open_document(), self.options):
                self.pages.append(page)
                self.pages_selected = progress.pages_selected
                self._note()
            self._end(JobState.DONE)
        except asyncio.CancelledError:
            self._end(JobState.CANCELLED)
        except glyphwire.OcrError as error:
            self.problem = problem_of(error)
            self._end(JobState.FAILED)
        except Exception as error:  # noqa: BLE001 - nobody awaits the task: whoever asks for the job is told
            _log.error("internal_error", exc_info=error)
            self.problem = refused(500, "INTERNAL", "internal error").problem
            self._end(JobState.FAILED)

    def _end(self, state: JobState) -> None:
        self.state = state
        self.ended = time.time()
        self._note()

    def _note(self) -> None:
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()


class Jobs:
    """The jobs that are kept: at most so many, and each for so long after its end."""

    def __init__(self, reader: Reader, metrics: GatewayMetrics, most: int, kept_s: float) -> None:
        self._reader = reader
        self._metrics = metrics
        self._most = most
        self._kept_s = kept_s
        self._jobs: dict[str, Job] = {}

    def submit(self, upload: Upload, options: OcrOptions, owner: str) -> Job:
        """Begin. Raises ProblemError while there are as many running jobs as are accepted."""
        self._forget(room=1)
        if len(self._jobs) >= self._most:
            raise ProblemError(
                Problem(
                    title="Queue full",
                    status=503,
                    detail=f"there are {self._most} jobs that run, as many as are accepted",
                    reason="QUEUE_FULL",
                    retry_after_s=5,
                )
            )
        job = Job(upload, options, owner)
        self._jobs[job.id] = job
        job.start(self._reader)
        return job

    def find(self, job_id: str, owner: str) -> Job:
        """Raises ProblemError when there is none, or it is somebody else's."""
        self._forget()
        job = self._jobs.get(job_id)
        if job is None or job.owner != owner:
            raise refused(404, "JOB_NOT_FOUND", f"there is no job {job_id!r}, or not any more")
        return job

    def remove(self, job: Job) -> None:
        """Cancel it when it runs, and forget it."""
        job.close()
        self._jobs.pop(job.id, None)

    def close(self) -> None:
        """Cancel all."""
        for job in list(self._jobs.values()):
            self.remove(job)

    def show(self) -> None:
        """Count them for the metrics."""
        states = Counter(job.state for job in self._jobs.values())
        for state in JobState:
            self._metrics.jobs.labels(state).set(states[state])

    def _forget(self, room: int = 0) -> None:
        """Ended jobs go when their time is over, and the oldest first where room is needed."""
        now = time.time()
        ended = sorted((job for job in self._jobs.values() if job.ended), key=lambda job: job.ended or now)
        for job in ended:
            if len(self._jobs) + room > self._most or now - (job.ended or now) > self._kept_s:
                self.remove(job)
