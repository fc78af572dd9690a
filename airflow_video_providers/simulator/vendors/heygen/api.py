# SPDX-License-Identifier: Apache-2.0
"""HeyGen's API v3, as its reference and its command line client describe it: idempotency keys, two sets of words."""

from __future__ import annotations

import asyncio
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
    RefusedError,
    Replays,
    Vendor,
    json_answer,
    new_app,
    new_job,
)
from airflow_video_providers.simulator.vendors.heygen.webhooks import NAME, add_routes, notices, register_webhook

if TYPE_CHECKING:
    from airflow_video_providers.simulator.world import World

LIFECYCLE = Lifecycle(
    active=((0, "pending"), (0.1, "processing")),
    succeeded=((0, "completed"),),
    failed="failed",
    cancelled=("deleted",),
    queued=frozenset({"pending"}),
)
VIDEOS = "/v3/videos"
UPLOADS = "heygen.uploads"
IN_STATUSES = {"pending": "queued"}
DAY = 86400.0


class HeyGenSettings(Settings):
    """What only HeyGen has."""

    replay_seconds: float = Field(DAY, ge=0)
    """For so long the response to a create is given again to a request with the same idempotency key."""
    create_seconds: float = Field(0, ge=0)
    """For so long a create is worked on; meanwhile the same key is answered 409."""
    max_concurrent: int | None = Field(None, ge=0)
    """A create beyond so many videos in the making is answered 429."""
    balance: float = 100.0
    """USD in the wallet; below 0.1 a create is answered 402."""


class _Open(BaseModel):
    model_config = ConfigDict(extra="allow")


class _Video(_Open):
    type: str
    title: str | None = None
    callback_id: str | None = None
    callback_url: str | None = None


class _Template(_Open):
    variables: dict[str, Any]
    title: str | None = None
    callback_id: str | None = None


class _Agent(_Open):
    prompt: str = Field(min_length=1, max_length=10_000)


class _Batch(_Open):
    videos: list[dict[str, Any]] = Field(min_length=1, max_length=100)


class _Upload(_Open):
    filename: str
    content_type: str
    size_bytes: int = Field(ge=0)


def _authorized(
    x_api_key: Annotated[str | None, Header()] = None, authorization: Annotated[str | None, Header()] = None
) -> None:
    if x_api_key != KEY and authorization != f"Bearer {KEY}":
        raise RefusedError(401, "Invalid API key", "unauthorized")


CODES = {400: "invalid_parameter", 402: "insufficient_credit", 403: "forbidden", 404: "not_found", 409: "conflict"}


def error_body(status: int, message: str) -> dict[str, Any]:
    """An error in the vendor's form."""
    code = "rate_limit_exceeded" if status == 429 else CODES.get(status, "internal_error")
    return {"error": {"code": code, "message": message, "param": None, "doc_url": None}}


def _error_answer(request: Request, error: RefusedError) -> Response:
    body = error_body(error.status, error.message)
    if error.code:
        body["error"]["code"] = error.code
    return json_answer(body, error.status)


def shown(world: World, contents: Contents, job: Job, now: float) -> dict[str, Any]:
    """The video object; it holds no ``callback_id``."""
    video: dict[str, Any] = {
        "id": job.job_id,
        "title": job.request.get("title") or job.name,
        "status": LIFECYCLE.status(job, now),
        "created_at": int(job.created_at),
        "folder_id": job.request.get("folder_id"),
        "video_page_url": world.page_url(job),
    }
    if job.ended(now):
        video["completed_at"] = int(job.finished_at(now) or now)
    if video["status"] == "failed":
        error = job.error or {}
        video |= {"failure_code": error.get("code", "internal_error"), "failure_message": error.get("message")}
    if job.succeeded(now):
        webm = ".webm" if job.request.get("output_format") == "webm" else ""
        video |= {
            "duration": media.duration_seconds(job.name),
            "video_url": contents.link(job, f"video{webm}"),
            "thumbnail_url": contents.link(job, "thumbnail"),
            "gif_url": contents.link(job, "image.gif"),
            "subtitle_url": contents.link(job, "subtitles.srt"),
        }
        if job.request.get("caption"):
            video["captioned_video_url"] = contents.link(job, "video-captioned")
    return video


def create_app(world: World, contents: Contents) -> FastAPI:
    """The vendor's application; its paths begin after ``/heygen``."""
    app = new_app(_error_answer, dependencies=[Depends(_authorized)])

    replays = Replays(world, NAME, DAY)

    def own() -> HeyGenSettings:
        return world.settings.own(NAME, HeyGenSettings)

    def create(request: dict[str, Any], name: str, **extra: Any) -> Job:
        settings, now = own(), time.time()
        if settings.balance < 0.1:
            raise RefusedError(402, "Insufficient credit", "insufficient_credit")
        active = [job for job in world.jobs[NAME].values() if LIFECYCLE.state(job, now) in ("queued", "running")]
        if settings.max_concurrent is not None and len(active) >= settings.max_concurrent:
            raise RefusedError(429, "Too many videos are in the making", "quota_exceeded")
        keys = {"title": request.get("title"), "callback_id": request.get("callback_id")}
        job = new_job(
            world, VENDOR, contents, job_id=uuid.uuid4().hex, name=name, request=request, keys=keys, extra=extra
        )
        world.watch_active(NAME)
        return job

    async def replayed(scope: str, key: str | None, make: Any) -> Response:
        async def slowly() -> Response:
            await asyncio.sleep(own().create_seconds)
            answer: Response = make()
            return answer

        replays.seconds = own().replay_seconds
        return await replays.answer(scope, key, slowly)

    def find(video_id: str) -> Job:
        job = world.find_job(NAME, video_id)
        if job is None or job.cancelled_at is not None:
            raise RefusedError(404, "The video was not found", "video_not_found")
        return job

    def check(body: dict[str, Any]) -> str:
        """The name of a video, after a look at what its type needs."""
        needs = {"avatar": "avatar_id", "image": "image", "cinematic_avatar": "prompt", "studio": "scenes"}
        kind = body.get("type")
        if kind not in needs:
            raise RefusedError(400, "type must be one of avatar, image, cinematic_avatar, studio", "invalid_parameter")
        if needs[kind] not in body:
            raise RefusedError(400, f"{needs[kind]} is required", "invalid_parameter")
        if kind == "cinematic_avatar" and {"callback_id", "callback_url"} & set(body):
            raise RefusedError(400, "callback_id is not known here", "invalid_parameter")
        return str(body.get("title") or body.get("script") or body.get("prompt") or "Untitled")

    @app.post(VIDEOS)
    async def create_video(
        request: Request, body: _Video, idempotency_key: Annotated[str | None, Header()] = None
    ) -> Response:
        raw = await request.json()

        def make() -> Response:
            job = create(raw, check(raw))
            data = {"video_id": job.job_id, "status": "waiting", "output_format": raw.get("output_format", "mp4")}
            return json_answer({"data": data})

        return await replayed("videos", idempotency_key, make)

    @app.post("/v3/templates/{template_id}")
    async def create_from_template(
        request: Request,
        template_id: str,
        body: _Template,
        idempotency_key: Annotated[str | None, Header()] = None,
    ) -> Response:
        raw = await request.json()

        def make() -> Response:
            job = create(raw, str(raw.get("title") or template_id), template_id=template_id)
            return json_answer({"data": shown(world, contents, job, time.time())})

        return await replayed(f"templates/{template_id}", idempotency_key, make)

    @app.post("/v3/video-agents")
    async def create_agent(request: Request, body: _Agent) -> Response:
        job = create(await request.json(), body.prompt)
        data = {"session_id": f"session-{job.job_id}", "video_id": job.job_id, "status": "generating"}
        return json_answer({"data": {**data, "created_at": int(job.created_at)}})

    @app.post(f"{VIDEOS}/batches")
    async def create_batch(request: Request, body: _Batch) -> Response:
        batch_id = uuid.uuid4().hex
        for index, video in enumerate(body.videos):
            create(video, check(video), batch_id=batch_id, item_index=index)
        return json_answer({"data": {"batch_id": batch_id}})

    @app.get(f"{VIDEOS}/batches/{{batch_id}}")
    async def get_batch(batch_id: str) -> Response:
        lines = [line(job, time.time()) for job in world.jobs[NAME].values() if job.extra.get("batch_id") == batch_id]
        if not lines:
            raise RefusedError(404, "The batch was not found", "not_found")
        counts: dict[str, int] = {}
        for item in lines:
            counts[item["status"]] = counts.get(item["status"], 0) + 1
        ended = set(counts) <= {"completed", "failed"}
        data = {"batch_id": batch_id, "status": "completed" if ended else "processing", "counts_by_status": counts}
        return json_answer({"data": {**data, "items": lines, "has_more": False, "next_token": None}})

    def line(job: Job, now: float) -> dict[str, Any]:
        status = LIFECYCLE.status(job, now)
        return {
            "video_id": job.job_id,
            "batch_id": job.extra.get("batch_id"),
            "item_index": job.extra.get("item_index"),
            "status": IN_STATUSES.get(status, status),
            "error": job.error if status == "failed" else None,
        }

    @app.get(f"{VIDEOS}/statuses")
    async def get_statuses(video_ids: str = "", batch_ids: str = "") -> Response:
        now, ids = time.time(), [video_id for video_id in video_ids.split(",") if video_id]
        if len(ids) > 100:
            raise RefusedError(400, "video_ids: 100 at most", "invalid_parameter")
        lines = []
        for video_id in ids:
            job = world.find_job(NAME, video_id)
            gone = job is None or job.cancelled_at is not None
            lines.append({"video_id": video_id, "status": "not_found"} if gone or job is None else line(job, now))
        batches = set(batch_ids.split(","))
        lines += [line(job, now) for job in world.jobs[NAME].values() if job.extra.get("batch_id") in batches]
        return json_answer({"data": lines})

    @app.get(VIDEOS)
    async def list_videos(
        limit: Annotated[int, Query(ge=1, le=100)] = 10, token: int = 0, title: str = "", folder_id: str | None = None
    ) -> Response:
        now = time.time()
        jobs = [job for job in reversed(world.listed_jobs(NAME, now)) if job.cancelled_at is None]
        videos = [shown(world, contents, job, now) for job in jobs]
        videos = [video for video in videos if title.lower() in video["title"].lower()]
        more = token + limit < len(videos)
        page = {"data": videos[token : token + limit], "has_more": more}
        return json_answer({**page, "next_token": str(token + limit) if more else None})

    @app.get(f"{VIDEOS}/{{video_id}}")
    async def get_video(video_id: str) -> Response:
        return json_answer({"data": shown(world, contents, find(video_id), time.time())})

    @app.delete(f"{VIDEOS}/{{video_id}}")
    async def delete_video(video_id: str) -> Response:
        world.delete_job(find(video_id))
        return json_answer({"data": {"id": video_id, "deleted": True}})

    @app.get("/v3/users/me")
    async def get_user() -> Response:
        wallet = {"remaining_balance": own().balance, "currency": "usd"}
        return json_answer({"data": {"username": "simulator", "billing_type": "wallet", "wallet": wallet}})

    @app.post("/v3/assets/direct-uploads")
    async def start_upload(body: _Upload) -> Response:
        asset_id = uuid.uuid4().hex
        world.put(UPLOADS, asset_id, {"id": asset_id, "name": body.filename, "wanted": body.size_bytes})
        data = {"asset_id": asset_id, "upload_url": contents.upload_link(NAME, asset_id), "expires_in_seconds": 3600}
        headers = {"Content-Type": body.content_type}
        return json_answer(
            {"data": {**data, "upload_headers": headers, "max_bytes": 1 << 30, "status": "pending_upload"}}
        )

    @app.post("/v3/assets/{asset_id}/complete")
    async def complete_upload(asset_id: str) -> Response:
        upload = world.resources[UPLOADS].get(asset_id)
        if upload is None or "path" not in upload or upload["size"] != upload["wanted"]:
            raise RefusedError(400, "The file has not arrived", "invalid_parameter")
        url = contents.link_to(NAME, asset_id, "upload", upload["name"])
        data = {"asset_id": asset_id, "url": url, "mime_type": upload["mime_type"], "size_bytes": upload["size"]}
        return json_answer({"data": {**data, "status": "processing"}})

    add_routes(app, world)
    return app


VENDOR = Vendor(
    name=NAME,
    prefix="/heygen",
    lifecycle=LIFECYCLE,
    operations=(
        ("POST", f"{VIDEOS}(/batches)?|/v3/templates/[^/]+|/v3/video-agents", "create"),
        ("GET", f"{VIDEOS}/statuses", "statuses list"),
        ("GET", f"{VIDEOS}/batches/[^/]+", "batches"),
        ("GET", VIDEOS, "list"),
        ("GET", f"{VIDEOS}/[^/]+", "status video"),
        ("DELETE", f"{VIDEOS}/[^/]+", "delete"),
        ("GET", "/v3/users/me", "account"),
        ("POST", "/v3/assets/.*", "upload"),
        ("GET|POST|DELETE", "/v3/webhooks/.*", "webhooks"),
    ),
    create_app=create_app,
    error_body=error_body,
    notices=notices,
    register_webhook=register_webhook,
    example={"type": "avatar", "avatar_id": "avatar-1", "voice_id": "voice-1", "script": "Hello!", "title": "{text}"},
    refused={"type": "avatar", "script": "Hello!"},
    key_headers=("x-api-key", "authorization"),
    settings=HeyGenSettings,
)
