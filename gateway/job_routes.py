"""Jobs over HTTP."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Request, Response
from fastapi.responses import StreamingResponse
from pydantic import BaseModel

from gateway.answers import BatchAnswer, batch_answer, dumped, page_answer
from gateway.dependencies import Caller, Shared
from gateway.formats import formatted
from gateway.jobs import Job, JobState
from gateway.ocr_routes import body_schema
from gateway.options import OcrOptions, OutputFormat
from gateway.problems import RESPONSES, Problem, answer, refused
from gateway.uploads import Upload, read_submission

router = APIRouter(prefix="/api/jobs", tags=["jobs"], responses=RESPONSES)


_PICTURE = {"image/jpeg": {"schema": {"type": "string", "format": "binary"}}}


class JobAnswer(BaseModel):
    """State of a job. pages_selected: 0 until the document is open; seconds: that it took."""

    id: str
    state: JobState
    file: str | None = None
    pages_done: int
    pages_selected: int
    created: float
    seconds: float | None = None
    error: Problem | None = None


@router.post("", status_code=202, response_model_exclude_none=True, openapi_extra=body_schema())
async def submit(request: Request, response: Response, gateway: Shared, caller: Caller) -> JobAnswer:
    """Read one document in the background. Files and options are sent as to /api/ocr."""
    submission = await read_submission(request, 1)
    job = gateway.jobs.submit(submission.uploads[0], submission.options(OcrOptions), caller)
    response.headers["location"] = f"/api/jobs/{job.id}"
    return _job_answer(job)


@router.get("/{job_id}", response_model_exclude_none=True)
async def state(job_id: str, gateway: Shared, caller: Caller) -> JobAnswer:
    """How far it has got."""
    return _job_answer(gateway.jobs.find(job_id, caller))


@router.get("/{job_id}/result", responses={200: {"model": BatchAnswer}})
async def result(
    job_id: str,
    gateway: Shared,
    caller: Caller,
    form: Annotated[OutputFormat | None, Query(alias="format")] = None,
    first: Annotated[int, Query(ge=0, description="pages before this one, from 0, are left out")] = 0,
) -> Response:
    """The pages that are read so far; in a format other than JSON once the job is done."""
    job = gateway.jobs.find(job_id, caller)
    chosen = form or job.options.format
    if job.problem:
        return answer(job.problem)
    if chosen is OutputFormat.JSON:
        read = batch_answer(job.pages[first:], _job_answer(job).seconds or 0.0, plain=job.options.plain)
        return Response(read.model_dump_json(exclude_none=True), media_type="application/json")
    if job.state is not JobState.DONE:
        raise refused(409, "JOB_NOT_DONE", f"the job is {job.state}; only JSON can be had of a part")
    uploads = []
    if chosen is OutputFormat.PDF:
        with job.open_document() as document:
            uploads.append(Upload(job.file, document.read()))
    return await formatted(job.pages, chosen, uploads, gateway.pdfs, job.options.password)


@router.get("/{job_id}/pages/{number}/picture", response_class=Response, responses={200: {"content": _PICTURE}})
async def picture(job_id: str, number: Annotated[int, Path(ge=1)], gateway: Shared, caller: Caller) -> Response:
    """A page of the document as a JPEG, from 1, whether it has been read or not, to be shown below its polygons."""
    job = gateway.jobs.find(job_id, caller)
    content = await gateway.pictures.page(job.open_document(), number, job.options.password)
    return Response(content, media_type="image/jpeg", headers={"cache-control": "private, max-age=3600"})


@router.delete("/{job_id}", status_code=204)
async def cancel(job_id: str, gateway: Shared, caller: Caller) -> None:
    """Stop reading, and forget the job."""
    gateway.jobs.remove(gateway.jobs.find(job_id, caller))


@router.get("/{job_id}/events", response_class=StreamingResponse)
async def events(job_id: str, gateway: Shared, caller: Caller) -> StreamingResponse:
    """Server-sent events: `page` for each page, as in the result; at last `end` with the state of the job."""
    job = gateway.jobs.find(job_id, caller)
    return StreamingResponse(_events(job), media_type="text/event-stream", headers={"cache-control": "no-store"})


async def _events(job: Job) -> AsyncIterator[str]:
    yield _event("progress", dumped(_job_answer(job)))
    sent = 0
    async for _ in job.changes():
        for page in job.pages[sent:]:
            sent += 1
            more = {"pages_done": sent, "pages_selected": job.pages_selected}
            yield _event("page", dumped(page_answer(page, plain=job.options.plain)) | more)
    yield _event("end", dumped(_job_answer(job)))


def _event(name: str, data: dict[str, Any]) -> str:
    return f"event: {name}\ndata: {json.dumps(data, ensure_ascii=False)}\n\n"


def _job_answer(job: Job) -> JobAnswer:
    return JobAnswer(
        id=job.id,
        state=job.state,
        file=job.file,
        pages_done=len(job.pages),
        pages_selected=job.pages_selected,
        created=job.created,
        seconds=round(job.ended - job.created, 3) if job.ended else None,
        error=job.problem,
    )
