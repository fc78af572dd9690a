# SPDX-License-Identifier: Apache-2.0
"""Runway as its OpenAPI document of version 2024-11-06 has it: one task a create, no list, no field for a key."""

from __future__ import annotations

import secrets
import time
import uuid
from typing import TYPE_CHECKING, Annotated, Any

from fastapi import Depends, FastAPI, Header, Request, Response
from pydantic import BaseModel, ConfigDict, Field, model_validator

from airflow_video_providers.simulator.contents import Contents
from airflow_video_providers.simulator.jobs import Job, Lifecycle
from airflow_video_providers.simulator.settings import Settings
from airflow_video_providers.simulator.vendor import (
    KEY,
    Notice,
    RefusedError,
    Vendor,
    iso_time,
    json_answer,
    new_app,
    new_job,
)

if TYPE_CHECKING:
    from airflow_video_providers.simulator.world import World

NAME = "runway"
LIFECYCLE = Lifecycle(
    active=((0, "PENDING"), (0.1, "THROTTLED"), (0.2, "RUNNING")),
    succeeded=((0, "SUCCEEDED"),),
    failed="FAILED",
    cancelled=("CANCELLED",),
    queued=frozenset({"PENDING", "THROTTLED"}),
)
VERSION = "2024-11-06"
UPLOADS = "runway.uploads"
CREDITS_PER_SECOND = 12
UNSAFE = "[unsafe]"
LABELS = {"prores": "video", "png_sequence": "archive"}
OTHERS = ("video_to_video", "video_upscale", "video_to_hdr", "video_to_audio", "avatar_videos")
"""Further calls that create a task; what they take is not checked."""
CREATES = ("text_to_video", "image_to_video", "generate/video", *OTHERS)


class RunwaySettings(Settings):
    """What only Runway has."""

    cancelled_seconds: float = Field(60, ge=0)
    """A cancelled task is shown for so long; then it is not found."""
    daily_limit: int | None = Field(None, ge=0)
    """More creates than this are answered 429."""
    credits: int = 100_000
    """The account's credits before the first task; each second of video costs 12."""


class _Open(BaseModel):
    model_config = ConfigDict(extra="allow")


class _Generation(_Open):
    model: str
    promptText: str | None = None
    promptImage: str | list[dict[str, Any]] | None = None
    duration: float = Field(5, ge=2, le=10)
    outputFormat: str | None = None

    @model_validator(mode="after")
    def _length(self) -> _Generation:
        if self.promptText is not None and not 1 <= len(self.promptText.encode("utf-16-le")) // 2 <= 1000:
            raise ValueError("promptText must have 1 to 1000 UTF-16 code units")
        return self


class _TextToVideo(_Generation):
    promptText: str


class _ImageToVideo(_Generation):
    promptImage: str | list[dict[str, Any]]


class _Upload(_Open):
    filename: str
    type: str


def _authorized(
    authorization: Annotated[str | None, Header()] = None,
    x_runway_version: Annotated[str | None, Header()] = None,
) -> None:
    if authorization != f"Bearer {KEY}":
        raise RefusedError(401, "You did not provide a valid API key.")
    if x_runway_version != VERSION:
        raise RefusedError(400, f"The X-Runway-Version header must be {VERSION}.")


def error_body(status: int, message: str) -> dict[str, Any]:
    """An error in the vendor's form."""
    return {"error": message}


def _error_answer(request: Request, error: RefusedError) -> Response:
    return json_answer(error_body(error.status, error.message), error.status)


def notices(world: World, contents: Contents, job: Job, now: float) -> list[Notice]:
    """None: the vendor documents no webhooks."""
    return []


def create_app(world: World, contents: Contents) -> FastAPI:
    """The vendor's application; its paths begin after ``/runway``."""
    app = new_app(_error_answer, dependencies=[Depends(_authorized)])

    def own() -> RunwaySettings:
        return world.settings.own(NAME, RunwaySettings)

    def create(endpoint: str, request: dict[str, Any]) -> Job:
        limit = own().daily_limit
        if limit is not None and len(world.jobs[NAME]) >= limit:
            raise RefusedError(429, "You have reached the daily limit of generations of this model.")
        text = str(request.get("promptText") or request.get("input", {}).get("promptText") or endpoint)
        credits_ = CREDITS_PER_SECOND * float(request.get("duration") or 5)
        extra = {"credits": credits_, "endpoint": endpoint}
        job = new_job(world, VENDOR, contents, job_id=str(uuid.uuid4()), name=text, request=request, extra=extra)
        if UNSAFE in text:
            job.outcome = "failed"
            job.error = {"code": "SAFETY.INPUT.TEXT", "message": "The input was refused by the content moderation."}
            world.save_job(job)
        return job

    def created(job: Job) -> Response:
        return json_answer({"id": job.job_id, "estimatedCost": {"credits": job.extra["credits"]}})

    @app.post("/v1/text_to_video")
    async def text_to_video(request: Request, body: _TextToVideo) -> Response:
        return created(create("text_to_video", await request.json()))

    @app.post("/v1/image_to_video")
    async def image_to_video(request: Request, body: _ImageToVideo) -> Response:
        return created(create("image_to_video", await request.json()))

    @app.post("/v1/recipes/{name}")
    async def run_recipe(request: Request, name: str) -> Response:
        return created(create(f"recipes/{name}", await request.json()))

    async def create_other(request: Request) -> Response:
        return created(create(request.url.path.rpartition("/")[2], await request.json()))

    for other in OTHERS:
        app.post(f"/v1/{other}")(create_other)

    @app.post("/v1/generate/video")
    async def route(request: Request) -> Response:
        body = await request.json()
        if not isinstance(body, dict) or not isinstance(body.get("input"), dict) or "configId" not in body:
            raise RefusedError(400, "Validation of body failed: configId and input are required")
        job = create("generate/video", body)
        return json_answer({"id": job.job_id, "routing": {"model": "gen4.5", "estimatedCredits": job.extra["credits"]}})

    @app.post("/v1/workflows/{workflow_id}")
    async def run_workflow(request: Request, workflow_id: str) -> Response:
        job = create(f"workflows/{workflow_id}", await request.json())
        return json_answer({"id": job.job_id})

    @app.get("/v1/workflows")
    async def get_workflows() -> Response:
        return json_answer({"data": [{"id": "workflow-1", "name": "Product spot"}]})

    @app.get("/v1/tasks/{task_id}")
    async def get_task(task_id: str) -> Response:
        return json_answer(shown(find(task_id, workflow=False)))

    @app.get("/v1/workflow_invocations/{invocation_id}")
    async def get_invocation(invocation_id: str) -> Response:
        task = shown(find(invocation_id, workflow=True))
        if "output" in task:
            task["output"] = {"node-1": task["output"]}
        task.pop("estimatedCost", None)
        return json_answer(task)

    @app.delete("/v1/tasks/{task_id}")
    async def delete_task(task_id: str) -> Response:
        world.delete_job(find(task_id, workflow=False))
        return Response(status_code=204)

    @app.get("/v1/organization")
    async def organization() -> Response:
        jobs = world.jobs[NAME].values()
        balance = own().credits - sum(job.extra["credits"] for job in jobs)
        limits = {"maxConcurrentGenerations": 2, "maxDailyGenerations": own().daily_limit}
        return json_answer(
            {
                "creditBalance": balance,
                "tier": {"maxMonthlyCreditSpend": 10_000, "models": {"gen4.5": limits}},
                "usage": {"models": {"gen4.5": {"dailyGenerations": len(jobs)}}},
            }
        )

    @app.post("/v1/organization/usage")
    async def usage() -> Response:
        return json_answer({"models": ["gen4.5"], "results": []})

    @app.get("/v1/routers/{router_id}/requests")
    async def router_requests(router_id: str) -> Response:
        routed = [job for job in world.jobs[NAME].values() if job.extra["endpoint"] == "generate/video"]
        items = [
            {"id": f"decision-{job.sequence}", "createdAt": iso_time(job.created_at), "status": "routed"}
            for job in routed
        ]
        return json_answer({"data": items})

    @app.post("/v1/uploads")
    async def start_upload(body: _Upload) -> Response:
        if body.type != "ephemeral":
            raise RefusedError(400, "Validation of body failed: type must be 'ephemeral'")
        upload_id = secrets.token_hex(12)
        fields = {"key": f"uploads/{upload_id}/{body.filename}", "policy": secrets.token_hex(16)}
        world.put(UPLOADS, upload_id, {"id": upload_id, "name": body.filename, "form": fields})
        url = f"{world.media_origin}/upload/{NAME}/{upload_id}"
        return json_answer({"uploadUrl": url, "fields": fields, "runwayUri": f"runway://{upload_id}"})

    def find(task_id: str, *, workflow: bool) -> Job:
        job, now = world.find_job(NAME, task_id), time.time()
        if job is None or job.extra["endpoint"].startswith("workflows/") != workflow:
            raise RefusedError(404, "The task was not found.")
        if job.cancelled_at is not None and now > job.cancelled_at + own().cancelled_seconds:
            raise RefusedError(404, "The task was not found.")
        return job

    def shown(job: Job) -> dict[str, Any]:
        now = time.time()
        status = LIFECYCLE.status(job, now)
        task: dict[str, Any] = {"id": job.job_id, "status": status, "createdAt": iso_time(job.created_at)}
        if status == "RUNNING":
            task["progress"] = job.progress if job.progress is not None else round(job.fraction(now), 4)
        if status == "FAILED":
            error = job.error or {}
            task["failure"] = error.get("message", "An unexpected error occurred.")
            # What a user asks for by a title or by hand has the code of a failure that may be repeated.
            code = error.get("code", "simulated")
            task["failureCode"] = "INTERNAL.BAD_OUTPUT.CODE01" if code == "simulated" else code
        if status == "SUCCEEDED":
            label = LABELS.get(job.request.get("outputFormat", ""), "video")
            task["output"] = [contents.link(job, "audio" if job.extra["endpoint"] == "video_to_audio" else label)]
        if status in ("SUCCEEDED", "FAILED", "CANCELLED"):
            task["cost"] = {"credits": int(job.extra["credits"]) if status == "SUCCEEDED" else 0}
        else:
            task["estimatedCost"] = {"credits": job.extra["credits"]}
        return task

    return app


VENDOR = Vendor(
    name=NAME,
    prefix="/runway",
    lifecycle=LIFECYCLE,
    operations=(
        ("POST", f"/v1/({'|'.join(CREATES)}|(workflows|recipes)/[^/]+)", "create"),
        ("GET", "/v1/(tasks|workflow_invocations)/[^/]+", "status video"),
        ("DELETE", "/v1/tasks/[^/]+", "delete"),
        ("POST", "/v1/uploads", "upload"),
        ("GET|POST", "/v1/organization(/usage)?", "account"),
        ("GET", "/v1/workflows", "catalogue"),
        ("GET", "/v1/routers/[^/]+/requests", "routers"),
    ),
    create_app=create_app,
    error_body=error_body,
    notices=notices,
    example={
        "endpoint": "text_to_video",
        "model": "gen4.5",
        "promptText": "{text}",
        "ratio": "1280:720",
        "duration": 5,
    },
    refused={"endpoint": "text_to_video", "model": "gen4.5", "promptText": "x", "duration": 60},
    settings=RunwaySettings,
)
