# SPDX-License-Identifier: Apache-2.0
"""Mux as its OpenAPI document has it: assets, whose files are ready later than they are; direct uploads; a list."""

from __future__ import annotations

import base64
import secrets
import time
from typing import TYPE_CHECKING, Annotated, Any

from fastapi import Depends, FastAPI, Header, Request, Response
from fastapi.responses import RedirectResponse
from pydantic import BaseModel, ConfigDict, Field

from airflow_video_providers.simulator import media
from airflow_video_providers.simulator.contents import Contents
from airflow_video_providers.simulator.jobs import Job, Lifecycle
from airflow_video_providers.simulator.settings import DAY, Settings
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

NAME = "mux"
LIFECYCLE = Lifecycle(active=((0, "preparing"),), succeeded=((0, "ready"),), failed="errored")
TOKEN_ID, TOKEN_SECRET = "simulator-id", KEY
UPLOADS = "mux.uploads"
ASSETS = "/video/v1/assets"
RESOLUTIONS = ("highest", "audio-only", "2160p", "1440p", "1080p", "720p", "540p", "480p", "360p", "270p")


class MuxSettings(Settings):
    """What only Mux has."""

    rendition_seconds: float = Field(0, ge=0)
    """For so long after an asset is ready its static renditions are still prepared."""
    rendition_status: str = Field("ready", pattern="^(ready|skipped|errored)$")
    """What becomes of them then."""
    webhook_url: str | None = None
    """Where the environment's webhooks go."""
    webhook_secret: str = "simulator-secret"
    """What they are signed with."""
    newest_first: bool = True
    """Whether the list begins with the newest asset."""


class _Open(BaseModel):
    model_config = ConfigDict(extra="allow")


class _Input(_Open):
    url: str


class _Rendition(_Open):
    resolution: str


class _Meta(_Open):
    title: str | None = Field(None, max_length=512)
    creator_id: str | None = Field(None, max_length=128)
    external_id: str | None = Field(None, max_length=128)


class _Settings(_Open):
    playback_policies: list[str] | None = None
    playback_policy: list[str] | None = None
    passthrough: str | None = Field(None, max_length=255)
    meta: _Meta | None = None
    static_renditions: list[_Rendition] | None = None
    master_access: str | None = None


class _Asset(_Settings):
    inputs: list[_Input] | None = Field(None, min_length=1)
    input: list[_Input] | str | None = None


class _Upload(_Open):
    new_asset_settings: _Settings = Field(default_factory=_Settings)
    cors_origin: str | None = None


def _authorized(authorization: Annotated[str | None, Header()] = None) -> None:
    expected = base64.b64encode(f"{TOKEN_ID}:{TOKEN_SECRET}".encode()).decode()
    if authorization != f"Basic {expected}":
        raise RefusedError(401, "Unauthorized request", "unauthorized")


def error_body(status: int, message: str) -> dict[str, Any]:
    """An error in the vendor's form."""
    kinds = {401: "unauthorized", 404: "not_found", 429: "too_many_requests"}
    return {"error": {"type": kinds.get(status, "invalid_parameters"), "messages": [message]}}


def _error_answer(request: Request, error: RefusedError) -> Response:
    return json_answer(error_body(error.status, error.message), error.status)


def _sign(secret: str, body: bytes, now: float) -> Mapping[str, str]:
    stamp = str(int(now))
    return {"mux-signature": f"t={stamp},v1={hmac_hex(secret, stamp.encode() + b'.' + body)}"}


def register_webhook(world: World, url: str) -> str:
    """Name the address of the environment's webhooks, as in the dashboard."""
    world.settings.patch({NAME: {"webhook_url": url}})
    world.save_settings()
    return world.settings.own(NAME, MuxSettings).webhook_secret


def notices(world: World, contents: Contents, job: Job, now: float) -> list[Notice]:
    """The environment's webhooks: the asset's end, and each static rendition that is ready."""
    own = world.settings.own(NAME, MuxSettings)
    url, secret = own.webhook_url, own.webhook_secret
    if url is None or not job.ended(now):
        return []

    def notice(kind: str) -> Notice:
        content = {
            "type": f"video.asset.{kind}",
            "id": f"event-{job.job_id}-{kind}",
            "created_at": str(int(now)),
            "object": {"type": "asset", "id": job.job_id},
            "environment": {"name": "Simulator", "id": "environment-1"},
            "data": shown(world, contents, job, now),
            "attempts": [],
        }
        return json_notice(kind, url, content, lambda body, at: _sign(secret, body, at))

    due = [notice("ready" if job.succeeded(now) else "errored")]
    if job.succeeded(now) and _renditions_are_ready(world, job, now) and job.request.get("static_renditions"):
        due.append(notice("static_rendition.ready"))
    return due


def _renditions_are_ready(world: World, job: Job, now: float) -> bool:
    return now >= (job.ends_at or now) + world.settings.own(NAME, MuxSettings).rendition_seconds


def _label(resolution: str) -> str:
    return "audio" if resolution == "audio-only" else f"video-{resolution}"


def shown(
    world: World, contents: Contents, job: Job, now: float, sizes: Mapping[str, int] | None = None
) -> dict[str, Any]:
    """The asset object."""
    request, status = job.request, LIFECYCLE.status(job, now)
    succeeded = job.succeeded(now)
    done = job.progress if job.progress is not None else int(job.fraction(now) * 100)
    policies = request.get("playback_policies") or request.get("playback_policy") or []
    asset: dict[str, Any] = {
        "id": job.job_id,
        "status": status,
        "created_at": str(int(job.created_at)),
        "progress": {"state": "transcoding", "progress": done},
        "playback_ids": [
            {"id": f"{job.job_id}{number:02}", "policy": policy} for number, policy in enumerate(policies)
        ],
        "tracks": [{"id": "track-1", "type": "video", "max_width": media.WIDTH, "max_height": media.HEIGHT}],
        "passthrough": request.get("passthrough"),
        "meta": request.get("meta"),
        "master_access": request.get("master_access") or "none",
        "upload_id": job.extra.get("upload_id"),
    }
    asset = {name: value for name, value in asset.items() if value is not None}
    if status == "errored":
        asset["progress"] = {"state": "errored", "progress": -1}
        error = {"code": "simulated", "message": "unknown"} | (job.error or {})
        kind = "invalid_input" if error["code"] == "simulated" else error["code"]
        asset["errors"] = {"type": kind, "messages": [error["message"]]}
    if request.get("test"):
        asset["test"] = True
    if succeeded:
        asset |= {"duration": media.duration_seconds(job.name), "aspect_ratio": "16:9"}
        asset["progress"] = {"state": "completed", "progress": 100}
        if any("subtitles" in str(item) for item in request.get("inputs") or []):
            asset["tracks"].append({"id": "track-2", "type": "text", "status": "ready", "language_code": "en"})
    if wanted := request.get("static_renditions"):
        ready = succeeded and _renditions_are_ready(world, job, now)
        files, outcome = [], world.settings.own(NAME, MuxSettings).rendition_status
        for item in wanted:
            resolution, ext = item["resolution"], "m4a" if item["resolution"] == "audio-only" else "mp4"
            name = f"{'audio' if ext == 'm4a' else resolution}.{ext}"
            file = {"id": f"file-{resolution}", "name": name, "ext": ext, "resolution": resolution, "type": "standard"}
            file["status"] = outcome if ready else "preparing"
            if file["status"] == "ready" and sizes and _label(resolution) in sizes:
                file["filesize"] = str(sizes[_label(resolution)])
            files.append(file)
        asset["static_renditions"] = {"status": "ready" if ready else "preparing", "files": files}
    if request.get("master_access") == "temporary":
        asset["master"] = {"status": "ready" if succeeded else "preparing"}
        if succeeded:
            asset["master"]["url"] = contents.link(job, "video-master")
    return asset


def create_app(world: World, contents: Contents) -> FastAPI:
    """The vendor's application; its paths begin after ``/mux``, those of its delivery hosts after that."""
    app = new_app(_error_answer)
    api = [Depends(_authorized)]

    def create(body: dict[str, Any], **extra: Any) -> Job:
        meta = body.get("meta") or {}
        source = (body.get("inputs") or [{}])[0].get("url", "upload")
        return new_job(
            world,
            VENDOR,
            contents,
            job_id=secrets.token_hex(22),
            name=str(meta.get("title") or source.rsplit("/", 1)[-1]),
            request=body,
            keys={"passthrough": body.get("passthrough"), "external_id": meta.get("external_id")},
            extra=extra,
        )

    def check(settings: _Settings) -> None:
        for item in settings.static_renditions or []:
            if item.resolution not in RESOLUTIONS:
                raise RefusedError(400, f"static_renditions: {item.resolution!r} is no resolution")

    def find(asset_id: str) -> Job:
        job = world.find_job(NAME, asset_id)
        over = job is not None and job.request.get("test") and time.time() > job.created_at + DAY
        if job is None or job.cancelled_at is not None or over:
            raise RefusedError(404, "The requested asset either doesn't exist or you don't have access to it.")
        return job

    async def full(job: Job) -> dict[str, Any]:
        now, sizes = time.time(), {}
        if contents.job_has_files(job, now):
            for item in job.request.get("static_renditions") or []:
                label = _label(item["resolution"])
                sizes[label] = (await contents.of_job(job, label)).size
        return shown(world, contents, job, now, sizes)

    @app.post(ASSETS, dependencies=api)
    async def create_asset(request: Request, body: _Asset) -> Response:
        raw = await request.json()
        if body.inputs is None and body.input is None:
            raise RefusedError(400, "inputs is required")
        if "inputs" not in raw:
            given = raw.pop("input")
            raw["inputs"] = [{"url": given}] if isinstance(given, str) else given
        check(body)
        return json_answer({"data": await full(create(raw))}, 201)

    @app.get(ASSETS, dependencies=api)
    async def list_assets(limit: int = 25, page: int = 1, upload_id: str | None = None) -> Response:
        if not 1 <= limit <= 100 or page < 1:
            raise RefusedError(400, "limit must be 1 to 100, page 1 or more")
        now = time.time()
        jobs = [job for job in world.listed_jobs(NAME, now) if job.cancelled_at is None]
        if upload_id is not None:
            jobs = [job for job in jobs if job.extra.get("upload_id") == upload_id]
        if world.settings.own(NAME, MuxSettings).newest_first:
            jobs.reverse()
        # Without the sizes of files: each of them would have to be made for that. One asset tells its own.
        page_ = jobs[(page - 1) * limit : page * limit]
        return json_answer({"data": [shown(world, contents, job, now) for job in page_]})

    @app.get(f"{ASSETS}/{{asset_id}}", dependencies=api)
    async def get_asset(asset_id: str) -> Response:
        return json_answer({"data": await full(find(asset_id))})

    @app.patch(f"{ASSETS}/{{asset_id}}", dependencies=api)
    async def update_asset(request: Request, asset_id: str, body: _Settings) -> Response:
        job, changes = find(asset_id), await request.json()
        job.request |= {name: changes[name] for name in ("passthrough", "meta") if name in changes}
        world.save_job(job)
        return json_answer({"data": await full(job)})

    @app.delete(f"{ASSETS}/{{asset_id}}", dependencies=api)
    async def delete_asset(asset_id: str) -> Response:
        world.delete_job(find(asset_id))
        return Response(status_code=204)

    @app.post(f"{ASSETS}/{{asset_id}}/static-renditions", dependencies=api)
    async def add_rendition(asset_id: str, body: _Rendition) -> Response:
        job = find(asset_id)
        check(_Settings(static_renditions=[body]))
        job.request.setdefault("static_renditions", []).append({"resolution": body.resolution})
        world.save_job(job)
        return json_answer({"data": {"resolution": body.resolution, "status": "preparing"}}, 201)

    @app.put(f"{ASSETS}/{{asset_id}}/master-access", dependencies=api)
    async def set_master_access(asset_id: str, body: _Settings) -> Response:
        job = find(asset_id)
        job.request["master_access"] = body.master_access
        world.save_job(job)
        return json_answer({"data": await full(job)})

    @app.post("/video/v1/uploads", dependencies=api)
    async def create_upload(request: Request, body: _Upload) -> Response:
        check(body.new_asset_settings)
        upload_id, raw = secrets.token_hex(16), await request.json()
        settings = raw.get("new_asset_settings") or {}
        world.put(UPLOADS, upload_id, {"id": upload_id, "status": "waiting", "new_asset_settings": settings})
        upload = {**world.resources[UPLOADS][upload_id], "url": contents.upload_link(NAME, upload_id), "timeout": 3600}
        return json_answer({"data": upload}, 201)

    @app.get("/video/v1/uploads/{upload_id}", dependencies=api)
    async def get_upload(upload_id: str) -> Response:
        upload = world.resources[UPLOADS].get(upload_id)
        if upload is None:
            raise RefusedError(404, "The requested upload doesn't exist.")
        if "path" in upload and "asset_id" not in upload:
            # The asset is made once the file has arrived.
            job = create(dict(upload["new_asset_settings"]), upload_id=upload_id)
            upload = {**upload, "status": "asset_created", "asset_id": job.job_id}
            world.put(UPLOADS, upload_id, upload)
        names = ("id", "status", "asset_id", "new_asset_settings")
        return json_answer({"data": {name: upload[name] for name in names if name in upload}})

    def deliver(playback_id: str, label: str, token: str | None) -> Response:
        job = world.find_job(NAME, playback_id[:-2])
        policies = [] if job is None else job.request.get("playback_policies") or job.request.get("playback_policy")
        number = int(playback_id[-2:]) if playback_id[-2:].isdigit() else 99
        if job is None or not policies or number >= len(policies):
            raise RefusedError(404, "Not found")
        # What a token says is proved by its key, which the simulator does not have; here it only has to be there.
        if policies[number] != "public" and not token:
            raise RefusedError(403, "A token is required")
        return RedirectResponse(contents.link(job, label), 302)

    @app.get("/stream/{playback_id}/{name}")
    async def stream(playback_id: str, name: str, token: str | None = None) -> Response:
        stem = name.rpartition(".")[0]
        return deliver(playback_id, "audio" if stem == "audio" else f"video-{stem}", token)

    @app.get("/stream/{playback_id}/text/{name}")
    async def text(playback_id: str, name: str, token: str | None = None) -> Response:
        return deliver(playback_id, "subtitles", token)

    @app.get("/image/{playback_id}/thumbnail.jpg")
    async def thumbnail(playback_id: str, token: str | None = None) -> Response:
        return deliver(playback_id, "thumbnail", token)

    return app


VENDOR = Vendor(
    name=NAME,
    prefix="/mux",
    lifecycle=LIFECYCLE,
    operations=(
        ("POST", ASSETS, "create"),
        ("GET", ASSETS, "list"),
        ("GET", f"{ASSETS}/[^/]+", "status video"),
        ("PATCH", f"{ASSETS}/[^/]+", "update"),
        ("DELETE", f"{ASSETS}/[^/]+", "delete"),
        ("POST|PUT", f"{ASSETS}/[^/]+/[^/]+", "update"),
        ("GET|POST", "/video/v1/uploads.*", "upload"),
        ("GET", "/(stream|image)/.*", "link"),
    ),
    create_app=create_app,
    error_body=error_body,
    notices=notices,
    register_webhook=register_webhook,
    example={
        "inputs": [{"url": "https://example.com/archive/{text}.mp4"}],
        "playback_policies": ["public"],
        "static_renditions": [{"resolution": "highest"}],
    },
    refused={"playback_policies": ["public"]},
    connection={
        "login": TOKEN_ID,
        "password": TOKEN_SECRET,
        "extra": {"stream_url": "{url}/mux/stream", "image_url": "{url}/mux/image"},
    },
    settings=MuxSettings,
)
