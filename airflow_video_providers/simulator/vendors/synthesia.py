# SPDX-License-Identifier: Apache-2.0
"""Synthesia as its OpenAPI document of version 2 has it: a raw key, 403 for a wrong one, one list with whole videos."""

from __future__ import annotations

import math
import time
import uuid
from typing import TYPE_CHECKING, Annotated, Any

from fastapi import Depends, FastAPI, Header, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from airflow_video_providers.simulator import media
from airflow_video_providers.simulator.contents import Contents
from airflow_video_providers.simulator.jobs import Job, Lifecycle
from airflow_video_providers.simulator.settings import Settings
from airflow_video_providers.simulator.vendor import (
    KEY,
    Notice,
    RefusedError,
    Vendor,
    hmac_hex,
    json_answer,
    json_notice,
    new_app,
    new_job,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airflow_video_providers.simulator.world import World

NAME = "synthesia"
LIFECYCLE = Lifecycle(
    active=((0, "in_progress"),), succeeded=((0, "complete"),), failed="error", cancelled=("deleted",)
)
VIDEOS = "/v2/videos"
WEBHOOKS = "synthesia.webhooks"
REJECTED = "[rejected]"
SOURCES = ["workspace", "my_videos", "shared_with_me"]


class SynthesiaSettings(Settings):
    """What only Synthesia has."""

    callback_timeout_seconds: float = Field(6, gt=0)
    """How long the receiver may take to answer."""
    newest_first: bool = True
    """Whether the list begins with the newest video."""


class _Open(BaseModel):
    model_config = ConfigDict(extra="allow")


class _Scene(_Open):
    avatar: str
    background: str
    scriptText: str | None = None
    scriptAudio: str | None = None


class _Common(_Open):
    title: str | None = None
    callbackId: str | None = None
    test: bool = False
    visibility: str = Field("private", pattern="^(private|public)$")


class _Video(_Common):
    input: list[_Scene] = Field(min_length=1, max_length=25)


class _FromTemplate(_Common):
    templateId: str
    templateData: dict[str, Any]


class _Changes(_Open):
    title: str | None = None
    description: str | None = None
    visibility: str | None = None


class _Webhook(_Open):
    url: str
    events: list[str] = Field(min_length=1)


def _authorized(authorization: Annotated[str | None, Header()] = None) -> None:
    if authorization != KEY:
        raise RefusedError(403, "Forbidden - Wrong API key")


def error_body(status: int, message: str) -> dict[str, Any]:
    """An error in the vendor's form."""
    return {"error": message, "context": "simulator"}


def _error_answer(request: Request, error: RefusedError) -> Response:
    return json_answer(error_body(error.status, error.message), error.status)


def limit_headers(wait: float) -> dict[str, str]:
    """Seconds until the window ends; there is no ``Retry-After``."""
    return {"ratelimit-limit": "60", "ratelimit-reset": str(math.ceil(wait))}


def _put_webhook(world: World, url: str, events: list[str]) -> dict[str, Any]:
    webhook_id = str(uuid.uuid4())
    webhook = {"id": webhook_id, "url": url, "events": events, "secret": uuid.uuid4().hex}
    world.put(WEBHOOKS, webhook_id, webhook)
    return webhook


def register_webhook(world: World, url: str) -> str:
    """Register an address for both events."""
    return str(_put_webhook(world, url, ["video.completed", "video.failed"])["secret"])


def notices(world: World, contents: Contents, job: Job, now: float) -> list[Notice]:
    """A webhook for each registered address, signed over its timestamp and its body."""
    if not job.ended(now):
        return []
    kind = "video.completed" if job.succeeded(now) else "video.failed"

    def signer(secret: str) -> Any:
        def sign(body: bytes, at: float) -> Mapping[str, str]:
            stamp = str(int(at))
            signature = hmac_hex(secret, stamp.encode() + b"." + body)
            return {"synthesia-timestamp": stamp, "synthesia-signature": signature}

        return sign

    content = {"type": kind, "data": shown(contents, job, now)}
    return [
        json_notice(f"{kind} {webhook['id']}", webhook["url"], content, signer(webhook["secret"]))
        for webhook in world.resources[WEBHOOKS].values()
        if kind in webhook["events"]
    ]


def shown(contents: Contents, job: Job, now: float) -> dict[str, Any]:
    """The video object."""
    status = LIFECYCLE.status(job, now)
    if status == "error" and (job.error or {}).get("code") == "rejected":
        status = "rejected"
    video: dict[str, Any] = {
        "id": job.job_id,
        "title": job.request.get("title") or "Untitled",
        "callbackId": job.request.get("callbackId"),
        "status": status,
        "createdAt": int(job.created_at),
        "lastUpdatedAt": int(job.finished_at(now) or job.updated_at),
        "visibility": job.request.get("visibility", "private"),
        "test": bool(job.request.get("test")),
    }
    video = {name: value for name, value in video.items() if value is not None}
    if status == "complete":
        video["duration"] = f"0:00:{media.duration_seconds(job.name):02}"
        video["download"] = contents.link(job, "video")
        video["captions"] = {"vtt": contents.link(job, "subtitles"), "srt": contents.link(job, "subtitles.srt")}
        video["thumbnail"] = {"image": contents.link(job, "thumbnail"), "gif": contents.link(job, "image.gif")}
    return video


def create_app(world: World, contents: Contents) -> FastAPI:
    """The vendor's application; its paths begin after ``/synthesia``."""
    app = new_app(_error_answer, dependencies=[Depends(_authorized)])

    def create(request: dict[str, Any], name: str, status: int) -> Response:
        job = new_job(
            world,
            VENDOR,
            contents,
            job_id=str(uuid.uuid4()),
            name=name,
            request=request,
            keys={"callbackId": request.get("callbackId")},
        )
        if REJECTED in name:
            job.outcome, job.error = "failed", {"code": "rejected", "message": "moderation"}
            world.save_job(job)
        world.watch_active(NAME)
        return json_answer(shown(contents, job, time.time()), status)

    def find(video_id: str) -> Job:
        job = world.find_job(NAME, video_id)
        if job is None:
            raise RefusedError(404, "Video not found")
        return job

    @app.post(VIDEOS)
    async def create_video(request: Request, body: _Video) -> Response:
        return create(await request.json(), body.title or body.input[0].scriptText or "Untitled", 200)

    @app.post(f"{VIDEOS}/fromTemplate")
    async def create_from_template(request: Request, body: _FromTemplate) -> Response:
        name = body.title or next((str(value) for value in body.templateData.values()), body.templateId)
        return create(await request.json(), name, 201)

    @app.get(VIDEOS)
    async def list_videos(
        limit: Annotated[int, Query(ge=1, le=100)] = 20,
        offset: Annotated[int, Query(ge=0)] = 0,
        source: Annotated[list[str], Query()] = SOURCES,
    ) -> Response:
        if set(source) - set(SOURCES):
            raise RefusedError(400, f"source must be one of {', '.join(SOURCES)}")
        now = time.time()
        jobs = world.listed_jobs(NAME, now) if {"workspace", "my_videos"} & set(source) else []
        if world.settings.own(NAME, SynthesiaSettings).newest_first:
            jobs.reverse()
        page: dict[str, Any] = {"videos": [shown(contents, job, now) for job in jobs[offset : offset + limit]]}
        if offset + limit < len(jobs):
            page["nextOffset"] = offset + limit
        return json_answer(page)

    @app.get(f"{VIDEOS}/{{video_id}}")
    async def get_video(video_id: str) -> Response:
        return json_answer(shown(contents, find(video_id), time.time()))

    @app.patch(f"{VIDEOS}/{{video_id}}")
    async def update_video(video_id: str, body: _Changes) -> Response:
        job = find(video_id)
        job.request |= body.model_dump(exclude_unset=True)
        world.save_job(job)
        return json_answer(shown(contents, job, time.time()))

    @app.delete(f"{VIDEOS}/{{video_id}}")
    async def delete_video(video_id: str) -> Response:
        world.delete_job(find(video_id))
        return Response(status_code=204)

    @app.get("/v2/templates")
    async def get_templates(limit: int = 20, offset: int = 0) -> Response:
        templates = [{"id": "9cd2e5f3-0000-4000-8000-000000000001", "title": "Onboarding"}]
        return json_answer({"templates": templates[offset : offset + limit]})

    @app.post("/v2/webhooks")
    async def create_webhook(body: _Webhook) -> Response:
        webhook = _put_webhook(world, body.url, body.events)
        world.watch_active(NAME)
        return json_answer({**webhook, "status": "active"}, 201)

    return app


VENDOR = Vendor(
    name=NAME,
    prefix="/synthesia",
    lifecycle=LIFECYCLE,
    operations=(
        ("POST", f"{VIDEOS}(/fromTemplate)?", "create"),
        ("GET", VIDEOS, "list"),
        ("GET", f"{VIDEOS}/[^/]+", "status video"),
        ("PATCH", f"{VIDEOS}/[^/]+", "update"),
        ("DELETE", f"{VIDEOS}/[^/]+", "delete"),
        ("GET", "/v2/templates", "catalogue"),
        ("POST", "/v2/webhooks", "webhooks"),
    ),
    create_app=create_app,
    error_body=error_body,
    notices=notices,
    register_webhook=register_webhook,
    example={
        "templateId": "9cd2e5f3-0000-4000-8000-000000000001",
        "templateData": {"name": "Ada"},
        "title": "{text}",
        "test": True,
    },
    refused={"templateId": "9cd2e5f3-0000-4000-8000-000000000001"},
    limit_headers=limit_headers,
    settings=SynthesiaSettings,
)
