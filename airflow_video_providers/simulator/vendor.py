# SPDX-License-Identifier: Apache-2.0
"""What the vendors' modules share: the frame of their application, new jobs and notices."""

from __future__ import annotations

import asyncio
import hashlib
import json
import re
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from airflow_video_providers.simulator.jobs import Job

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from starlette.datastructures import UploadFile

    from airflow_video_providers.simulator.contents import Contents
    from airflow_video_providers.simulator.jobs import Lifecycle
    from airflow_video_providers.simulator.world import World

KEY = "simulator"


class RefusedError(Exception):
    """A request that the vendor refuses."""

    def __init__(self, status: int, message: str, code: str = "") -> None:
        super().__init__(message)
        self.status, self.message, self.code = status, message, code


@dataclass(frozen=True)
class Notice:
    """A call that the simulator makes to the user's receiver; sent once for each ``name`` of a job."""

    name: str
    url: str
    body: bytes | None
    method: str = "POST"
    headers: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Vendor:
    """A vendor as the rest of the simulator sees it."""

    name: str
    prefix: str
    lifecycle: Lifecycle
    operations: tuple[tuple[str, str, str], ...]
    """Method, pattern of the path below the prefix, and names of the operation for faults and counts."""
    create_app: Callable[[World, Contents], FastAPI]
    error_body: Callable[[int, str], dict[str, Any]]
    notices: Callable[[World, Contents, Job, float], list[Notice]]
    example: dict[str, Any]
    """A request that the vendor accepts, with ``{text}`` in a title or another field that tells jobs apart."""
    refused: dict[str, Any]
    """A request that the vendor refuses."""
    connection: dict[str, Any] = field(default_factory=lambda: {"password": KEY})
    """What an Airflow connection needs beside its type and its host, which is ``{url}`` (the simulator's address) and
    the prefix unless it is given here."""
    uploads: str | None = None
    """The kind of resource that holds what users have uploaded, for the control API."""
    create_upload_app: Callable[[World, Path], FastAPI] | None = None
    """Where users send uploads, at ``/upload/<name>``: a store apart from the vendor's API and its credentials."""

    def request(self, text: str) -> dict[str, Any]:
        """The example with this text (letters, digits and ``-_.``) in it."""
        return _filled(self.example, text=text)

    def connection_to(self, url: str) -> dict[str, Any]:
        """An Airflow connection, as its JSON form has it, to the simulator at this address."""
        fields = {"conn_type": self.name, "host": f"{{url}}{self.prefix}", **self.connection}
        return _filled(fields, url=url)

    def classify(self, method: str, path: str) -> tuple[str, ...]:
        """The operation that a request asks for."""
        path = path.removeprefix(self.prefix).rstrip("/")
        for wanted, pattern, names in self.operations:
            if method in wanted.split("|") and re.fullmatch(pattern, path):
                return tuple(names.split())
        return ("other",)


def _filled(template: dict[str, Any], **values: str) -> dict[str, Any]:
    text = json.dumps(template)
    for name, value in values.items():
        text = text.replace(f"{{{name}}}", value)
    filled: dict[str, Any] = json.loads(text)
    return filled


def json_answer(content: Any, status: int = 200) -> Response:
    """A JSON answer, without a framework's slow walk through large lists."""
    return Response(json.dumps(content), status, media_type="application/json")


def new_app(error_answer: Callable[[Request, RefusedError], Response], **options: Any) -> FastAPI:
    """A vendor's application, which words all its errors in the vendor's own form."""
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None, redirect_slashes=False, **options)

    async def refused(request: Request, error: Exception) -> Response:
        if isinstance(error, RequestValidationError):
            error = RefusedError(400, describe(error))
        elif isinstance(error, HTTPException):
            error = RefusedError(error.status_code, str(error.detail))
        elif not isinstance(error, RefusedError):
            error = RefusedError(500, "Internal server error")
        return error_answer(request, error)

    for kind in (RefusedError, RequestValidationError, HTTPException, Exception):
        app.add_exception_handler(kind, refused)
    return app


def describe(error: RequestValidationError) -> str:
    """All field errors in one line."""
    return "; ".join(
        f"{'.'.join(str(part) for part in item['loc'][1:]) or 'body'}: {item['msg']}" for item in error.errors()
    )


def new_job(
    world: World,
    vendor: Vendor,
    contents: Contents,
    *,
    job_id: str,
    name: str,
    request: dict[str, Any],
    texts: Sequence[object] = (),
    **fields: Any,
) -> Job:
    """Create a job; ``texts`` are the words that may ask for a failure besides the name."""
    now, settings = time.time(), world.settings.of(vendor.name)
    job = Job(vendor.name, job_id, name or "Untitled", request, now, settings.render_seconds, updated_at=now, **fields)
    trigger = settings.fail_titles_containing
    if trigger and any(trigger in str(text) for text in (name, *texts) if text is not None):
        job.outcome = "failed"
        job.error = {"code": "simulated", "message": f"The simulator fails every job that contains {trigger!r}"}
    job.ends_at = now + job.render_seconds * (0.5 if job.outcome == "failed" else 1)
    job.watched = bool(vendor.notices(world, contents, job, job.ends_at + 10 * job.render_seconds))
    if job.watched:
        world.watched[job.job_id] = job
    world.add_job(job)
    return job


async def keep_upload(file: UploadFile, path: Path) -> tuple[int, str]:
    """Put an uploaded file, which was never held in memory, in its place; returns its size in bytes and its MD5."""

    def copy() -> tuple[int, str]:
        digest = hashlib.md5(usedforsecurity=False)
        with path.open("wb") as target:
            while piece := file.file.read(1 << 20):
                digest.update(piece)
                target.write(piece)
            return target.tell(), digest.hexdigest()

    return await asyncio.to_thread(copy)


def iso_time(seconds: float | None) -> str | None:
    """Epoch seconds as ISO 8601 in UTC with milliseconds."""
    if seconds is None:
        return None
    whole = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds))
    return f"{whole}.{int(seconds * 1000) % 1000:03}Z"
