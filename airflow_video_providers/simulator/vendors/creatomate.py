# SPDX-License-Identifier: Apache-2.0
"""Creatomate as its API reference has it: one render a request, a link before there is a file, no list, no cancel."""

from __future__ import annotations

import time
import uuid
from typing import TYPE_CHECKING, Annotated, Any

from fastapi import Depends, FastAPI, Header, Request, Response
from pydantic import Field

from airflow_video_providers.simulator import media
from airflow_video_providers.simulator.contents import Contents
from airflow_video_providers.simulator.jobs import Job, Lifecycle
from airflow_video_providers.simulator.settings import DAY, Settings
from airflow_video_providers.simulator.vendor import (
    KEY,
    Notice,
    RefusedError,
    Vendor,
    json_answer,
    json_notice,
    new_app,
    new_job,
)

if TYPE_CHECKING:
    from airflow_video_providers.simulator.world import World

NAME = "creatomate"
LIFECYCLE = Lifecycle(
    active=((0, "planned"), (0.1, "waiting"), (0.2, "transcribing"), (0.3, "rendering")),
    succeeded=((0, "succeeded"),),
    failed="failed",
    queued=frozenset({"planned", "waiting"}),
)
LABELS = {"mp4": "video", "jpg": "image", "png": "image.png", "gif": "image.gif"}
TEMPLATES = [{"id": "template-1", "name": "Welcome"}, {"id": "template-2", "name": "Product spot"}]


class CreatomateSettings(Settings):
    """What only Creatomate has."""

    retention_seconds: float = Field(30 * DAY, ge=0)
    """A render and its file are removed after so long."""
    credits_are_used_up: bool = False
    """Every create is answered 402."""


def _authorized(authorization: Annotated[str | None, Header()] = None) -> None:
    if authorization != f"Bearer {KEY}":
        raise RefusedError(401, "The API key is invalid.")


def error_body(status: int, message: str) -> dict[str, Any]:
    """Every failure has a hint."""
    return {"hint": message}


def _error_answer(request: Request, error: RefusedError) -> Response:
    return json_answer(error_body(error.status, error.message), error.status)


def notices(world: World, contents: Contents, job: Job, now: float) -> list[Notice]:
    """The webhook: the render object, sent without a signature when the render has ended."""
    url = job.request.get("webhook_url")
    if not isinstance(url, str) or not job.ended(now):
        return []
    return [json_notice("ended", url, shown(contents, job, now))]


def faults_of(body: dict[str, Any]) -> list[str]:
    """What is wrong with a request; an empty list for a good one."""
    if "template_id" not in body and "elements" not in body and "source" not in body:
        return ["The parameter 'template_id' is missing."]
    wrong = [name for name in ("template_id", "metadata", "webhook_url") if not isinstance(body.get(name, ""), str)]
    if not isinstance(body.get("modifications", {}), dict):
        wrong.append("modifications")
    if body.get("output_format", "mp4") not in LABELS:
        wrong.append("output_format")
    return [f"The parameter '{name}' is invalid." for name in wrong]


def shown(contents: Contents, job: Job, now: float) -> dict[str, Any]:
    """The render object; ``url`` is there from the start, and its file only at the end."""
    label = LABELS[job.extra["format"]]
    status = LIFECYCLE.status(job, now)
    render: dict[str, Any] = {
        "id": job.job_id,
        "status": status,
        "url": contents.link(job, label, expires=job.created_at + 10 * 365 * DAY),
        "template_id": job.request.get("template_id"),
        "template_name": job.name,
        "template_tags": [],
        "output_format": job.extra["format"],
        "modifications": job.request.get("modifications", {}),
        "webhook_url": job.request.get("webhook_url"),
        "metadata": job.request.get("metadata"),
    }
    if status == "failed":
        render["error_message"] = (job.error or {}).get("message", "The render failed.")
    if status == "succeeded":
        render |= {"width": media.WIDTH, "height": media.HEIGHT, "frame_rate": media.FRAMES_PER_SECOND}
        if job.extra["format"] == "mp4":
            render["duration"] = media.duration_seconds(job.name)
        render["snapshot_url"] = contents.link(job, "thumbnail", expires=job.created_at + 10 * 365 * DAY)
    return render


def create_app(world: World, contents: Contents) -> FastAPI:
    """The vendor's application; its paths begin after ``/creatomate``."""
    app = new_app(_error_answer, dependencies=[Depends(_authorized)])

    async def body_of(request: Request) -> dict[str, Any]:
        body = await request.json()
        if not isinstance(body, dict):
            raise RefusedError(400, "The body must be a JSON object.")
        return body

    def create(body: dict[str, Any]) -> Job:
        if problems := faults_of(body):
            raise RefusedError(400, problems[0])
        if world.settings.own(NAME, CreatomateSettings).credits_are_used_up:
            raise RefusedError(402, "There are not enough credits to render this video.")
        modifications = body.get("modifications", {})
        name = str(next(iter(modifications.values()), None) or body.get("template_id") or "RenderScript")
        return new_job(
            world,
            VENDOR,
            contents,
            job_id=str(uuid.uuid4()),
            name=name,
            request=body,
            keys={"metadata": body.get("metadata")},
            extra={"format": body.get("output_format", "mp4")},
        )

    async def full(job: Job) -> dict[str, Any]:
        now = time.time()
        render = shown(contents, job, now)
        if contents.job_has_files(job, now):
            render["file_size"] = (await contents.of_job(job, LABELS[job.extra["format"]])).size
        return render

    @app.post("/v2/renders")
    async def create_render(request: Request) -> Response:
        body = await body_of(request)
        if body.pop("dry_run", False):
            problems = faults_of(body)
            return json_answer({"valid": not problems, "errors": problems, "warnings": [], "source": body})
        return json_answer(await full(create(body)), 202)

    @app.post("/v1/renders")
    async def create_renders(request: Request) -> Response:
        body = await body_of(request)
        tags = body.pop("tags", None)
        bodies = [body] if tags is None else [{**body, "template_id": template["id"]} for template in TEMPLATES]
        return json_answer([await full(create(one)) for one in bodies], 202)

    @app.get("/{version}/renders/{render_id}")
    async def get_render(version: str, render_id: str) -> Response:
        job = world.find_job(NAME, render_id)
        if job is None or time.time() > job.created_at + world.settings.of(NAME).retention_seconds:
            raise RefusedError(404, "The render was not found.")
        return json_answer(await full(job))

    @app.get("/v2/templates")
    async def get_templates() -> Response:
        return json_answer(TEMPLATES)

    return app


VENDOR = Vendor(
    name=NAME,
    prefix="/creatomate",
    lifecycle=LIFECYCLE,
    operations=(
        ("POST", "/v[12]/renders", "create"),
        ("GET", "/v[12]/renders/[^/]+", "status video"),
        ("GET", "/v2/templates", "catalogue"),
    ),
    create_app=create_app,
    error_body=error_body,
    notices=notices,
    example={"template_id": "template-1", "modifications": {"Title.text": "{text}"}},
    refused={"modifications": {"Title.text": "no template"}},
    settings=CreatomateSettings,
)
