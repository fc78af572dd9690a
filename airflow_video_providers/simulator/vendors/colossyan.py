# SPDX-License-Identifier: Apache-2.0
"""Colossyan as docs.colossyan.com documents it: a job id to poll with, a video id for the result, no list at all."""

from __future__ import annotations

import time
import uuid
from typing import TYPE_CHECKING, Annotated, Any

from fastapi import Depends, FastAPI, Header, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from airflow_video_providers.simulator import media
from airflow_video_providers.simulator.contents import Contents
from airflow_video_providers.simulator.jobs import Job, Lifecycle
from airflow_video_providers.simulator.vendor import (
    KEY,
    Notice,
    RefusedError,
    Vendor,
    iso_time,
    json_answer,
    json_notice,
    new_app,
    new_job,
)

if TYPE_CHECKING:
    from airflow_video_providers.simulator.world import World

NAME = "colossyan"
LIFECYCLE = Lifecycle(
    active=((0, "in_queue"), (0.1, "preprocessing"), (0.2, "preprocessing_finished"), (0.3, "generating")),
    succeeded=((0, "finished"),),
    failed="failed",
    cancelled=("deleted",),
    queued=frozenset({"in_queue"}),
)
MAXIMUM_PROGRESS = 240
JOBS = "/v1/video-generation-jobs"
VIDEOS = "/v1/generated-videos"
ASSETS = "/v1/assets"


class _Open(BaseModel):
    model_config = ConfigDict(extra="allow")


class _Settings(_Open):
    name: str | None = None
    videoSize: dict[str, Any] | None = None


class _Scene(_Open):
    tracks: list[dict[str, Any]] = Field(default_factory=list)


class _Creative(_Open):
    settings: _Settings = Field(default_factory=_Settings)
    scenes: list[_Scene]


class _Definition(_Open):
    videoCreative: _Creative
    dynamicVariables: dict[str, Any] | None = None
    callback: str | None = None
    callbackPayload: dict[str, Any] | None = None


class _TemplateJob(_Open):
    templateJobId: str
    dynamicVariables: dict[str, Any]
    callbackUrl: str | None = None
    callbackPayload: dict[str, Any] | None = None


class _Chapter(_Open):
    title: str
    script: str


class _Summary(_Open):
    title: str
    description: str | None = None
    chapters: list[_Chapter]


class _Draft(_Open):
    summary: _Summary
    templateId: str | None = None


class _Actor(_Open):
    displayName: str
    sourceFileUrl: str
    gender: str | None = None


def _authorized(authorization: Annotated[str | None, Header()] = None) -> None:
    if authorization != f"Bearer {KEY}":
        raise RefusedError(401, "Unauthorized: the API token is wrong or missing")


def _error_answer(request: Request, error: RefusedError) -> Response:
    return json_answer(error_body(error.status, error.message), error.status)


def error_body(status: int, message: str) -> dict[str, Any]:
    """The form of errors is not documented; this one is plain."""
    return {"message": message}


def notices(world: World, contents: Contents, job: Job, now: float) -> list[Notice]:
    """The callback: the payload and the variables at top level, and our own four fields over them."""
    url = job.request.get("callback") or job.request.get("callbackUrl")
    if not url or not job.ended(now):
        return []
    ours: dict[str, Any] = {"status": LIFECYCLE.status(job, now)}
    if job.succeeded(now):
        share = world.page_url(job)
        ours.update(url=contents.link(job, "video"), videoUrl=share, shareUrl=share)
    payload = job.request.get("callbackPayload") or {}
    variables = job.request.get("dynamicVariables") or {}
    return [json_notice("callback", url, {**variables, **payload, **ours})]


def _progress(job: Job, now: float) -> dict[str, Any]:
    """Null while the job waits, then zeros, then frames of a film of 240."""
    status = LIFECYCLE.status(job, now)
    if job.progress is not None:
        return {"progress": job.progress, "maximumProgress": MAXIMUM_PROGRESS}
    if status == "in_queue":
        return {"progress": None, "maximumProgress": None}
    if status == "preprocessing":
        return {"progress": 0, "maximumProgress": 0}
    if status == "preprocessing_finished":
        return {"progress": 0, "maximumProgress": MAXIMUM_PROGRESS}
    return {"progress": int(job.fraction(now) * MAXIMUM_PROGRESS), "maximumProgress": MAXIMUM_PROGRESS}


def create_app(world: World, contents: Contents) -> FastAPI:
    """The vendor's application; its paths begin after ``/colossyan/api``."""
    app = new_app(_error_answer, dependencies=[Depends(_authorized)])

    def create(request: dict[str, Any], name: str | None) -> Response:
        job = new_job(
            world,
            VENDOR,
            contents,
            job_id=str(uuid.uuid4()),
            video_id=str(uuid.uuid4()),
            name=name or "",
            request=request,
            keys={"callbackPayload": request.get("callbackPayload")},
        )
        world.put("colossyan.videos", job.video_id or "", {"job_id": job.job_id})
        return json_answer({"id": job.job_id, "videoId": job.video_id})

    @app.post(JOBS)
    async def create_video(request: Request, body: _Definition) -> Response:
        return create(await request.json(), body.videoCreative.settings.name)

    @app.post(f"{JOBS}/template-jobs")
    async def create_from_template(request: Request, body: _TemplateJob) -> Response:
        name = body.dynamicVariables.get("name") or f"Template {body.templateJobId}"
        return create(await request.json(), str(name))

    @app.get(f"{JOBS}/{{job_id}}")
    async def get_job(job_id: str) -> Response:
        job, now = find_job(job_id), time.time()
        shown = {
            **job.request,
            "id": job.job_id,
            "videoId": job.video_id,
            "status": LIFECYCLE.status(job, now),
            **_progress(job, now),
            "creationDate": iso_time(job.created_at),
            "folderId": None,
            "isAPIGenerated": True,
            "sharded": False,
            "userId": "simulator",
        }
        return json_answer(shown)

    @app.delete(f"{JOBS}/{{job_id}}")
    async def delete_job(job_id: str) -> Response:
        world.delete_job(find_job(job_id))
        return json_answer({"message": "The video generation job was deleted"})

    @app.get(f"{VIDEOS}/{{video_id}}")
    async def get_video(video_id: str) -> Response:
        job, now = find_video(video_id), time.time()
        if not job.succeeded(now):
            raise RefusedError(404, "The video has not been generated")
        shown: dict[str, Any] = {
            "id": job.video_id,
            "jobId": job.job_id,
            "name": job.name,
            "createdAt": iso_time(job.finished_at(now)),
            "folderId": None,
            "key": f"videos/{job.video_id}.mp4",
            "shareId": (job.video_id or "").replace("-", ""),
            "userId": "simulator",
            "publicUrl": contents.link(job, "video"),
            "thumbnailUrl": contents.link(job, "thumbnail"),
            "videoSizeBytes": None,
            "videoDurationSeconds": media.duration_seconds(job.name),
            "vttSubtitleString": media.subtitles(job.name),
        }
        if contents.job_has_files(job, now):
            video = await contents.of_job(job, "video")
            shown["videoSizeBytes"] = video.size
        return json_answer(shown)

    @app.delete(f"{VIDEOS}/{{video_id}}")
    async def delete_video(video_id: str) -> Response:
        world.delete_job(find_video(video_id))
        return json_answer({"message": "The generated video was deleted"})

    @app.get(f"{ASSETS}/actors")
    async def get_actors() -> Response:
        stock = {"name": "karen", "display_name": "Karen", "gender": "female", "preview_url": None}
        return json_answer([stock, *world.resources["colossyan.actors"].values()])

    @app.post(f"{ASSETS}/actors")
    async def create_actor(body: _Actor) -> Response:
        name = str(uuid.uuid4())
        actor = {
            "name": name,
            "display_name": body.displayName,
            "gender": body.gender,
            "preview_url": body.sourceFileUrl,
        }
        world.put("colossyan.actors", name, actor)
        return json_answer({"name": name}, 201)

    @app.get(f"{ASSETS}/voices")
    async def get_voices() -> Response:
        voice = {"id": "voice-1", "name": "Jane", "language": "en-US", "provider": "simulator"}
        return json_answer({"voices": [voice]})

    @app.post("/knowledge-to-draft/generate-draft")
    async def generate_draft(body: _Draft) -> Response:
        return json_answer({"url": f"https://app.colossyan.com/editor/{uuid.uuid4()}"})

    def find_job(job_id: str) -> Job:
        job = world.find_job(NAME, job_id)
        if job is None:
            raise RefusedError(404, "Video generation job not found")
        return job

    def find_video(video_id: str) -> Job:
        # The ids are of two kinds: a job id finds no video.
        kept = world.resources["colossyan.videos"].get(video_id)
        job = world.find_job(NAME, kept["job_id"]) if kept else None
        if job is None:
            raise RefusedError(404, "Generated video not found")
        return job

    return app


VENDOR = Vendor(
    name=NAME,
    prefix="/colossyan/api",
    lifecycle=LIFECYCLE,
    operations=(
        ("POST", f"{JOBS}(/template-jobs)?", "create"),
        ("GET", f"{JOBS}/[^/]+", "status"),
        ("GET", f"{VIDEOS}/[^/]+", "video"),
        ("DELETE", f"({JOBS}|{VIDEOS})/[^/]+", "delete"),
        ("GET|POST", f"{ASSETS}/actors", "actors"),
        ("GET", f"{ASSETS}/voices", "voices"),
        ("POST", "/knowledge-to-draft/.*", "draft"),
    ),
    create_app=create_app,
    error_body=error_body,
    notices=notices,
    example={"templateJobId": "onboarding", "dynamicVariables": {"name": "{text}"}},
    refused={"templateJobId": "onboarding"},
    connection={"host": "{url}/colossyan/api/v1", "password": KEY},
)
