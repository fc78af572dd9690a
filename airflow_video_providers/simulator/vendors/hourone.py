# SPDX-License-Identifier: Apache-2.0
"""Hour One as its own OpenAPI document has it: plain objects and arrays, 201 on create, 422 with a list of details."""

from __future__ import annotations

import functools
import secrets
import time
import uuid
from collections import defaultdict
from datetime import date, datetime, timezone
from typing import TYPE_CHECKING, Annotated, Any, Literal

from fastapi import Depends, FastAPI, Header, Request, Response
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ConfigDict, Field, StrictBool, StrictInt, StrictStr

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
    from airflow_video_providers.simulator.world import World

NAME = "hourone"
LIFECYCLE = Lifecycle(
    active=((0, "not_started"), (0.1, "started"), (0.2, "processing")),
    succeeded=((0, "ready"), (2, "published")),
    failed="failed",
    cancelled=("cancelled", "stopped"),
    queued=frozenset({"not_started"}),
)
LANGUAGES = Literal[
    "en", "es", "de", "pt", "it", "fr", "nl", "ja", "tr", "pl", "hu", "cz", "he", "zh", "hi", "ru", "ko", "ar"
]
ECHOED = (
    "source_draft_id", "recipe_id", "template_id", "palette_id", "character_id", "voice_id", "scenes", "metadata",
    "correlation_id", "palette", "global_media_elements",
)  # fmt: skip
WEBHOOKS = "hourone.webhooks"
Place = Annotated[str | None, Header()]


class HourOneSettings(Settings):
    """What only Hour One has."""

    list_shows: int | None = Field(None, ge=0)
    """The list shows only so many of the newest videos; None: all. Whether the real one is cut is not documented."""
    plan_has_downloads: bool = True
    """Whether a video that is ready names its file; on a free plan it may not."""


class _Open(BaseModel):
    model_config = ConfigDict(extra="allow")


class _Base(_Open):
    name: str | None = None
    metadata: dict[str, StrictStr | StrictInt | StrictBool] | None = None
    correlation_id: Annotated[str, Field(max_length=100)] | None = None


class _OverrideScene(_Open):
    name: str
    transcript: Annotated[str, Field(max_length=1000)] | None = None


class _Override(_Base):
    type: Literal["override"]
    scenes: list[_OverrideScene]


class _CreateScene(_Open):
    name: str
    layout_id: str
    transcript: Annotated[str, Field(max_length=1000)] | None = None


class _Create(_Base):
    type: Literal["create"]
    template_id: str
    character_id: str
    voice_id: str
    scenes: list[_CreateScene]


class _Workflow(_Base):
    type: Literal["workflow"]
    workflow_id: str
    variables: list[dict[str, Any]]


VideoRequest = Annotated[_Override | _Create | _Workflow, Field(discriminator="type")]


class _Subtitles(_Open):
    language_code: LANGUAGES
    format: Literal["vtt", "srt"] = "vtt"


class _VoicePreview(_Open):
    transcript: Annotated[str, Field(max_length=500)]
    source_draft_id: str


class _Webhook(_Open):
    name: str
    url: str
    events: list[str]


def _authorized(request: Request, api_key: Annotated[str | None, Header()] = None) -> None:
    if "/webhooks" in request.url.path:
        # Webhooks belong to the web session, which an API key does not open.
        if request.headers.get("authorization") != f"Bearer {KEY}":
            raise RefusedError(401, "Not authenticated")
    elif api_key != KEY:
        raise RefusedError(401, "Invalid API key")


def _error_answer(request: Request, error: RefusedError) -> Response:
    return json_answer(error_body(error.status, error.message), error.status)


def error_body(status: int, message: str) -> dict[str, Any]:
    """A list of details for 422, otherwise one text (its form is not documented)."""
    if status == 422:
        return {"detail": [{"loc": ["body"], "msg": message, "type": "value_error"}]}
    return {"detail": message}


def _put_webhook(world: World, fields: dict[str, Any]) -> dict[str, Any]:
    webhook_id = str(uuid.uuid4())
    webhook = {**fields, "status": "active", "secret": secrets.token_hex(16)}
    world.put(WEBHOOKS, webhook_id, webhook)
    return {"id": webhook_id, **webhook}


def register_webhook(world: World, url: str) -> str:
    """Register an address for both events, as in the profile's settings."""
    return str(
        _put_webhook(world, {"name": "simulator", "url": url, "events": ["video.ready", "video.failed"]})["secret"]
    )


def notices(world: World, contents: Contents, job: Job, now: float) -> list[Notice]:
    """The account's webhooks, signed with HMAC-SHA256 of the raw body."""
    if not job.ended(now):
        return []
    event = "ready" if job.succeeded(now) else "failed"
    data = {key: _shown(world, job, now)[key] for key in ("id", "req_id", "draft_id", "status")}
    body = {"event_name": f"video_{event}", "data": data}
    return [
        json_notice(webhook_id, webhook["url"], body, functools.partial(_sign, webhook["secret"]))
        for webhook_id, webhook in world.resources[WEBHOOKS].items()
        if webhook["status"] == "active" and {f"video.{event}", f"video_{event}"} & set(webhook["events"])
    ]


def _sign(secret: str, body: bytes, now: float) -> dict[str, str]:
    return {"x-hourone-signature": hmac_hex(secret, body)}


def _span(day: date, breakdown: str) -> tuple[tuple[str, int], ...]:
    """Return what names a day, week or month in the analytics; their form is not documented."""
    if breakdown == "daily":
        return (("year", day.year), ("month", day.month), ("day", day.day))
    if breakdown == "weekly":
        return (("year", day.isocalendar().year), ("week", day.isocalendar().week))
    return (("year", day.year), ("month", day.month))


def _progress(job: Job, now: float) -> Any:
    if job.progress is not None:
        return job.progress
    status = LIFECYCLE.status(job, now)
    if status in ("not_started", "failed", "cancelled", "stopped"):
        return -1
    return int(job.fraction(now) * 100)


def _shown(world: World, job: Job, now: float) -> dict[str, Any]:
    return {
        "id": job.job_id,
        "name": job.name,
        "status": LIFECYCLE.status(job, now),
        "progress": _progress(job, now),
        "req_id": job.extra["req_id"],
        "draft_id": job.extra["draft_id"],
        **{name: job.request[name] for name in ECHOED if name in job.request},
        "video_player_url": world.page_url(job),
    }


def create_app(world: World, contents: Contents) -> FastAPI:
    """The vendor's application; its paths begin after ``/hourone/api/v1``."""
    app = new_app(_error_answer, dependencies=[Depends(_authorized)])

    async def invalid(request: Request, error: Exception) -> Response:
        details = error.errors() if isinstance(error, RequestValidationError) else []
        listed = [{"loc": item["loc"], "msg": item["msg"], "type": item["type"]} for item in details]
        return json_answer({"detail": listed}, 422)

    app.add_exception_handler(RequestValidationError, invalid)

    def shown(job: Job, now: float) -> dict[str, Any]:
        fields = _shown(world, job, now)
        if contents.job_has_files(job, now) and world.settings.own(NAME, HourOneSettings).plan_has_downloads:
            fields["download_url"] = contents.link(job, "video")
        return fields

    @app.post("/videos")
    async def create_video(request: Request, body: VideoRequest) -> Response:
        raw = await request.json()
        job = new_job(
            world,
            VENDOR,
            contents,
            job_id=str(uuid.uuid4()),
            name=body.name or "",
            request=raw,
            texts=(raw.get("correlation_id"),),
            keys={"correlation_id": raw.get("correlation_id"), "metadata": raw.get("metadata")},
            extra={"req_id": str(uuid.uuid4()), "draft_id": str(uuid.uuid4())},
        )
        return json_answer(shown(job, time.time()), 201)

    @app.get("/videos")
    async def list_videos() -> Response:
        now, most = time.time(), world.settings.own(NAME, HourOneSettings).list_shows
        jobs = world.listed_jobs(NAME, now)
        return json_answer([shown(job, now) for job in (jobs if most is None else jobs[len(jobs) - most :])])

    @app.get("/videos/{video_id}")
    async def get_video(video_id: str) -> Response:
        return json_answer(shown(find(video_id), time.time()))

    @app.get("/videos/{video_id}/metadata")
    async def get_metadata(video_id: str) -> Response:
        job = find(video_id)
        total = media.duration_seconds(job.name)
        scenes = max(len(job.request.get("scenes") or ()), 1)
        each = total / scenes
        parts = [{"scene_index": i, "start_time": i * each, "duration": each} for i in range(scenes)]
        return json_answer({"duration": total, "scenes_metadata": parts})

    @app.post("/videos/{video_id}/subtitles")
    async def create_subtitles(video_id: str, body: _Subtitles) -> Response:
        job = find(video_id)
        if not contents.job_has_files(job, time.time()):
            raise RefusedError(400, "Subtitles can be made only of a video that is ready")
        label = f"subtitles-{body.language_code}.{body.format}"
        url = contents.link(job, label, f"{job.name}.{body.language_code}.{body.format}")
        return json_answer({"language_code": body.language_code, "format": body.format, "url": url}, 201)

    @app.delete("/videos/{video_id}")
    async def delete_video(video_id: str) -> Response:
        world.delete_job(find(video_id))
        return Response(status_code=204)

    @app.post("/voice-preview")
    async def create_preview(body: _VoicePreview, workspace_id: Place = None, team_id: Place = None) -> Response:
        preview = {"id": str(uuid.uuid4()), "req_id": str(uuid.uuid4()), "created": time.time()}
        world.put("hourone.previews", str(preview["id"]), preview)
        return json_answer({"id": preview["id"], "req_id": preview["req_id"], "status": "in_progress", "url": None})

    @app.get("/voice-preview/{task_id}")
    async def get_preview(task_id: str) -> Response:
        preview = world.resources["hourone.previews"].get(task_id)
        if preview is None:
            raise RefusedError(404, "Task not found")
        ready = time.time() >= preview["created"] + world.settings.of(NAME).render_seconds / 10
        fields: dict[str, Any] = {"id": task_id, "req_id": preview["req_id"], "status": "in_progress", "url": None}
        if ready:
            fields.update(status="ready", url=contents.link_to(NAME, task_id, "preview.wav", "preview.wav"))
        return json_answer(fields)

    @app.get("/analytics/summary")
    async def get_summary(
        breakdown: Literal["daily", "weekly", "monthly"] = "monthly",
        from_date: date | None = None,
        to_date: date | None = None,
        correlation_id: str | None = None,
    ) -> Response:
        now, spans = time.time(), defaultdict[tuple[tuple[str, int], ...], list[Job]](list)
        for job in world.jobs[NAME].values():
            day = datetime.fromtimestamp(job.created_at, timezone.utc).date()
            if (from_date or day) <= day <= (to_date or day) and correlation_id in (None, job.keys["correlation_id"]):
                spans[_span(day, breakdown)].append(job)
        summary = [
            {
                "videos_created": len(jobs),
                "total_duration": sum(media.duration_seconds(job.name) for job in jobs if job.succeeded(now)),
                **dict(span),
            }
            for span, jobs in sorted(spans.items())
        ]
        return json_answer(summary)

    @app.post("/webhooks")
    async def create_webhook(body: _Webhook) -> Response:
        webhook = _put_webhook(world, body.model_dump())
        world.watch_active(NAME)
        return json_answer(webhook, 201)

    @app.get("/webhooks/{webhook_id}")
    async def get_webhook(webhook_id: str) -> Response:
        webhook = world.resources[WEBHOOKS].get(webhook_id)
        if webhook is None:
            raise RefusedError(404, "Webhook not found")
        return json_answer({"id": webhook_id, **{k: v for k, v in webhook.items() if k != "secret"}})

    @app.delete("/webhooks/{webhook_id}")
    async def delete_webhook(webhook_id: str) -> Response:
        if not world.drop(WEBHOOKS, webhook_id):
            raise RefusedError(404, "Webhook not found")
        return Response(status_code=204)

    def find(video_id: str) -> Job:
        job = world.find_job(NAME, video_id)
        if job is None:
            raise RefusedError(404, "Video not found")
        return job

    return app


VENDOR = Vendor(
    name=NAME,
    prefix="/hourone/api/v1",
    key_headers=("api-key", "authorization"),
    settings=HourOneSettings,
    connection={"password": KEY, "extra": {"list_complete_below": 1_000_000}},
    lifecycle=LIFECYCLE,
    operations=(
        ("POST", "/videos", "create"),
        ("GET", "/videos", "list"),
        ("GET", "/videos/[^/]+", "status video"),
        ("GET", "/videos/[^/]+/metadata", "metadata"),
        ("POST", "/videos/[^/]+/subtitles", "subtitles"),
        ("DELETE", "/videos/[^/]+", "delete"),
        ("GET|POST", "/voice-preview.*", "voice_preview"),
        ("GET", "/analytics/summary", "analytics"),
        ("GET|POST|DELETE", "/webhooks.*", "webhooks"),
    ),
    create_app=create_app,
    error_body=error_body,
    notices=notices,
    register_webhook=register_webhook,
    example={
        "type": "override",
        "source_draft_id": "draft-1",
        "name": "{text}",
        "scenes": [{"name": "greeting", "transcript": "Welcome to the team."}],
    },
    refused={"type": "override"},
)
