# SPDX-License-Identifier: Apache-2.0
"""Shotstack as its OpenAPI definition has it: Edit, Serve and Ingest of two environments; no list of renders."""

from __future__ import annotations

import time
import uuid
from typing import TYPE_CHECKING, Annotated, Any

from fastapi import Depends, FastAPI, Header, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from airflow_video_providers.simulator import media
from airflow_video_providers.simulator.contents import NEVER, Contents
from airflow_video_providers.simulator.jobs import Job, Lifecycle
from airflow_video_providers.simulator.settings import DAY, Settings
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

NAME = "shotstack"
LIFECYCLE = Lifecycle(
    active=((0, "queued"), (0.1, "fetching"), (0.3, "rendering"), (0.9, "saving")),
    succeeded=((0, "done"),),
    failed="failed",
    queued=frozenset({"queued"}),
)
ENVIRONMENTS = ("v1", "stage")
UPLOADS = "shotstack.uploads"
LABELS = {"mp4": "video", "gif": "image.gif", "jpg": "image", "png": "image.png", "mp3": "audio.mp3"}
OWNER = "owner-1"


class ShotstackSettings(Settings):
    """What only Shotstack has."""

    callback_attempts: int = Field(10, ge=1, le=100)
    """How often a callback is tried until the receiver answers 2xx."""
    callback_timeout_seconds: float = Field(10, gt=0)
    """How long the receiver may take to answer."""
    file_seconds: float = Field(DAY, ge=0)
    """A render's own files are deleted after so long; the hosted copies stay for ``retention_seconds``."""
    hosting: bool = True
    """Whether files are copied to the vendor's hosting."""


class _Open(BaseModel):
    model_config = ConfigDict(extra="allow")


class _Track(_Open):
    clips: list[dict[str, Any]] = Field(min_length=1)


class _Timeline(_Open):
    tracks: list[_Track] = Field(min_length=1)


class _Output(_Open):
    format: str = "mp4"
    poster: dict[str, Any] | None = None
    thumbnail: dict[str, Any] | None = None


class _Edit(_Open):
    timeline: _Timeline
    output: _Output
    merge: list[dict[str, Any]] | None = None
    callback: str | None = None

    def clips(self) -> list[dict[str, Any]]:
        return [clip for track in self.timeline.tracks for clip in track.clips]


class _FromTemplate(_Open):
    id: str
    merge: list[dict[str, Any]] | None = None


class _Source(_Open):
    url: str


def _authorized(x_api_key: Annotated[str | None, Header()] = None) -> None:
    if x_api_key != KEY:
        raise RefusedError(403, "Forbidden")


def error_body(status: int, message: str) -> dict[str, Any]:
    """An error in the vendor's form."""
    words = {400: "Bad Request", 403: "Forbidden", 404: "Not Found", 429: "Too Many Requests"}
    return {"success": False, "message": words.get(status, "Error"), "response": {"error": message}}


def _error_answer(request: Request, error: RefusedError) -> Response:
    # A wrong key does not reach the API: the gateway before it answers.
    body = {"message": error.message} if error.status == 403 else error_body(error.status, error.message)
    return json_answer(body, error.status)


def _files(job: Job) -> list[tuple[str, str, str]]:
    """Name in the response, label and file name of each file of a render."""
    output = job.request.get("output") or {}
    form = output.get("format", "mp4")
    files = [("url", LABELS[form], f"{job.job_id}.{form}")]
    if output.get("poster"):
        files.append(("poster", "thumbnail-poster", f"{job.job_id}-poster.jpg"))
    if output.get("thumbnail"):
        files.append(("thumbnail", "thumbnail-small", f"{job.job_id}-thumb.jpg"))
    return files


def notices(world: World, contents: Contents, job: Job, now: float) -> list[Notice]:
    """The callback of the render, and one for each hosted file; none of them is signed."""
    url = job.request.get("callback")
    if not isinstance(url, str) or not job.ended(now):
        return []
    done = job.succeeded(now)
    render = {
        "type": "edit",
        "action": "render",
        "id": job.job_id,
        "owner": OWNER,
        "status": LIFECYCLE.status(job, now),
        "url": _own_link(world, contents, job, *_files(job)[0][1:]) if done else None,
        "error": None if done else (job.error or {}).get("message"),
        "completed": iso_time(job.finished_at(now)),
    }
    due = [json_notice("render", url, render)]
    if done and world.settings.own(NAME, ShotstackSettings).hosting:
        for field, label, name in _files(job):
            hosted: dict[str, Any] = {
                "type": "serve",
                "action": "copy",
                "id": f"{job.job_id}.{field}",
                "render": job.job_id,
            }
            hosted |= {"status": "ready", "url": contents.link(job, label, name, expires=NEVER), "error": None}
            due.append(json_notice(f"copy {field}", url, hosted))
    return due


def _own_link(world: World, contents: Contents, job: Job, label: str, name: str) -> str:
    life = world.settings.own(NAME, ShotstackSettings).file_seconds
    return contents.link(job, label, name, expires=(job.ends_at or time.time()) + life)


def create_app(world: World, contents: Contents) -> FastAPI:
    """The vendor's application; its paths begin after ``/shotstack``."""
    app = new_app(_error_answer, dependencies=[Depends(_authorized)])

    def check(environment: str) -> None:
        if environment not in ENVIRONMENTS:
            raise RefusedError(404, "Not Found")

    def create(environment: str, request: dict[str, Any], name: str) -> Response:
        check(environment)
        merge = {str(item.get("find")): str(item.get("replace")) for item in request.get("merge") or []}
        job = new_job(
            world,
            VENDOR,
            contents,
            job_id=str(uuid.uuid4()),
            name=next(iter(merge.values()), name),
            request=request,
            keys={"callback": request.get("callback")},
            extra={"environment": environment},
        )
        response = {"message": "Render Successfully Queued", "id": job.job_id}
        return json_answer({"success": True, "message": "Created", "response": response}, 201)

    def find(environment: str, render_id: str) -> Job:
        check(environment)
        job = world.find_job(NAME, render_id)
        if job is None or job.extra["environment"] != environment:
            raise RefusedError(404, "Not Found")
        return job

    @app.post("/edit/{environment}/render")
    async def render(request: Request, environment: str, body: _Edit) -> Response:
        if body.output.format not in LABELS:
            raise RefusedError(400, '"output.format" must be one of [mp4, gif, jpg, png, mp3]')
        titles = (clip["asset"].get("text") for clip in body.clips() if isinstance(clip.get("asset"), dict))
        return create(environment, await request.json(), next((str(title) for title in titles if title), "Timeline"))

    @app.post("/edit/{environment}/templates/render")
    async def render_template(request: Request, environment: str, body: _FromTemplate) -> Response:
        raw = await request.json()
        if set(raw) - {"id", "merge"}:
            raise RefusedError(400, f'"{min(set(raw) - {"id", "merge"})}" is not allowed')
        return create(environment, raw, f"Template {body.id}")

    @app.get("/edit/{environment}/render/{render_id}")
    async def get_render(environment: str, render_id: str, data: bool = True) -> Response:
        job, now = find(environment, render_id), time.time()
        status = LIFECYCLE.status(job, now)
        shown: dict[str, Any] = {"id": job.job_id, "owner": OWNER, "plan": "basic", "status": status, "error": None}
        if status == "failed":
            shown["error"] = (job.error or {}).get("message", "The render failed")
        if status == "done":
            shown |= {"duration": media.duration_seconds(job.name), "renderTime": job.render_seconds * 1000}
            for field, label, name in _files(job):
                shown[field] = _own_link(world, contents, job, label, name)
        shown |= {"created": iso_time(job.created_at), "updated": iso_time(job.finished_at(now) or job.updated_at)}
        if data:
            shown["data"] = job.request
        return json_answer({"success": True, "message": "OK", "response": shown})

    @app.get("/edit/{environment}/templates")
    async def get_templates(environment: str) -> Response:
        check(environment)
        templates = [{"id": "template-1", "name": "Welcome"}]
        return json_answer({"success": True, "message": "OK", "response": {"owner": OWNER, "templates": templates}})

    @app.get("/edit/{environment}/templates/{template_id}")
    async def get_template(environment: str, template_id: str) -> Response:
        check(environment)
        return json_answer({"success": True, "message": "OK", "response": {"id": template_id, "name": "Welcome"}})

    def hosted(job: Job, field: str, label: str, name: str) -> dict[str, Any]:
        attributes = {"id": f"{job.job_id}.{field}", "owner": OWNER, "renderId": job.job_id, "filename": name}
        attributes["status"] = "ready" if contents.job_has_files(job, time.time()) else "deleted"
        attributes["url"] = contents.link(job, label, name, expires=NEVER)
        return {"type": "asset", "attributes": attributes}

    @app.get("/serve/{environment}/assets/render/{render_id}")
    async def get_render_assets(environment: str, render_id: str) -> Response:
        job = find(environment, render_id)
        if not job.succeeded(time.time()) or not world.settings.own(NAME, ShotstackSettings).hosting:
            return json_answer({"data": []})
        return json_answer({"data": [hosted(job, *file) for file in _files(job)]})

    @app.api_route("/serve/{environment}/assets/{asset_id}", methods=["GET", "DELETE"])
    async def get_asset(request: Request, environment: str, asset_id: str) -> Response:
        render_id, _, field = asset_id.partition(".")
        job = find(environment, render_id)
        if request.method == "DELETE":
            world.delete_job(job)
            return Response(status_code=204)
        for file in _files(job):
            if file[0] == field:
                return json_answer({"data": hosted(job, *file)})
        raise RefusedError(404, "Not Found")

    def source(upload: dict[str, Any]) -> dict[str, Any]:
        ready = "path" in upload or "input" in upload
        attributes = {"id": upload["id"], "status": "ready" if ready else "queued"}
        if ready:
            attributes["source"] = upload.get("input") or contents.link_to(NAME, upload["id"], "upload", "source")
        return {"data": {"type": "source", "id": upload["id"], "attributes": attributes}}

    @app.post("/ingest/{environment}/upload")
    async def create_upload(environment: str) -> Response:
        check(environment)
        upload_id = uuid.uuid4().hex
        world.put(UPLOADS, upload_id, {"id": upload_id})
        attributes = {"id": upload_id, "url": contents.upload_link(NAME, upload_id)}
        return json_answer({"data": {"type": "upload", "attributes": attributes}})

    @app.post("/ingest/{environment}/sources")
    async def create_source(environment: str, body: _Source) -> Response:
        check(environment)
        upload = {"id": uuid.uuid4().hex, "input": body.url}
        world.put(UPLOADS, upload["id"], upload)
        return json_answer(source(upload), 201)

    @app.get("/ingest/{environment}/sources/{source_id}")
    async def get_source(environment: str, source_id: str) -> Response:
        upload = world.resources[UPLOADS].get(source_id)
        if upload is None:
            raise RefusedError(404, "Not Found")
        return json_answer(source(upload))

    return app


VENDOR = Vendor(
    name=NAME,
    prefix="/shotstack",
    lifecycle=LIFECYCLE,
    operations=(
        ("POST", "/edit/[^/]+(/templates)?/render", "create"),
        ("GET", "/edit/[^/]+/render/[^/]+", "status video"),
        ("GET", "/edit/[^/]+/templates.*", "catalogue"),
        ("GET", "/serve/.*", "files"),
        ("DELETE", "/serve/.*", "delete"),
        ("GET|POST", "/ingest/.*", "upload"),
    ),
    create_app=create_app,
    error_body=error_body,
    notices=notices,
    example={
        "timeline": {"tracks": [{"clips": [{"asset": {"type": "title", "text": "{text}"}, "start": 0, "length": 2}]}]},
        "output": {"format": "mp4", "resolution": "sd"},
    },
    refused={"id": "template-1", "size": "huge"},
    key_headers=("x-api-key",),
    settings=ShotstackSettings,
)
