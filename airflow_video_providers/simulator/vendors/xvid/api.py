# SPDX-License-Identifier: Apache-2.0
"""Xvid MediaHub as mediahub.xvid.com/manual documents it: OAuth 2.0 tokens of its own spelling, jobs and lists."""

from __future__ import annotations

import re
import secrets
import time
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import parse_qs

from fastapi import Depends, FastAPI, Request, Response
from pydantic import BaseModel, ConfigDict

from airflow_video_providers.simulator.contents import Contents
from airflow_video_providers.simulator.jobs import Job, Lifecycle
from airflow_video_providers.simulator.vendor import Notice, RefusedError, Vendor, json_notice, new_app, new_job
from airflow_video_providers.simulator.vendors.xvid import files as xvid_files
from airflow_video_providers.simulator.vendors.xvid import resources as xvid_resources
from airflow_video_providers.simulator.vendors.xvid.answers import (
    NAME,
    answer,
    error_answer,
    error_body,
    flag,
    milliseconds,
    reference,
)
from airflow_video_providers.simulator.vendors.xvid.authority import (
    CLIENT_ID,
    CLIENT_SECRET,
    NO_SCOPE,
    SCOPES,
    Authority,
)
from airflow_video_providers.simulator.vendors.xvid.files import Count, FileShelf, XvidSettings, outputs_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_video_providers.simulator.world import World

LIFECYCLE = Lifecycle(
    active=((0, "QUEUED"), (0.1, "PROCESSING")),
    succeeded=((0, "SUCCESS"),),
    failed="FAILURE",
    queued=frozenset({"QUEUED"}),
)
IN_PROGRESS_SECONDS = 15 * 60
GONE = "0x0050005"


class _Open(BaseModel):
    model_config = ConfigDict(extra="allow")


class _Reference(_Open):
    id: str


class _Input(_Open):
    input_name: str


class _Output(_Open):
    output_name: str | None = None
    preset: _Reference | None = None
    thumbnails: list[dict[str, Any]] | None = None


class _JobBody(_Open):
    pipeline: _Reference | None = None
    pipeline_id: str | None = None
    input: _Input
    outputs: list[_Output] | None = None
    user_data: str | None = None
    output_prefix: str | None = None


class _NewJob(BaseModel):
    job: _JobBody


def register_webhook(world: World, url: str) -> None:
    """Have the pipeline of the example ping an address when a job has ended."""
    pipeline_id = VENDOR.example["pipeline"]["id"]
    pipeline = world.resources["xvid.pipelines"].get(pipeline_id, {})
    world.put("xvid.pipelines", pipeline_id, {**pipeline, "ping_urls": {"finished": url, "error": url}})


def notices(world: World, contents: Contents, job: Job, now: float) -> list[Notice]:
    """The pipeline's ``ping_urls``; what a ping carries is not documented: here it is the job's id and status."""
    pipeline = world.resources["xvid.pipelines"].get(job.extra["pipeline_id"], {})
    urls = pipeline.get("ping_urls")
    if not isinstance(urls, dict):
        return []
    events = ["started"] if LIFECYCLE.status(job, now) != "QUEUED" else []
    if job.ended(now):
        events.append("finished" if job.succeeded(now) else "error")
    status = LIFECYCLE.status(job, now)
    body = {"job": {"id": job.job_id, "status": status}}
    return [json_notice(event, urls[event], body) for event in events if isinstance(urls.get(event), str)]


class _Jobs:
    """Shows jobs, with the objects they refer to embedded where the request asks for it."""

    def __init__(self, world: World, shelf: FileShelf) -> None:
        self.world, self.shelf = world, shelf

    async def show(self, request: Request, job: Job, now: float, *, one: bool = True) -> dict[str, Any]:
        body = job.request
        expand = {part.strip() for part in request.query_params.get("expand", "").split(",")}
        everything = flag(request, "expand_all")

        files: dict[str, dict[str, Any]] = {}
        for output in self.shelf.outputs(job, now):
            files[output.label] = reference(request, "files", output.file_id)
            if everything or "file" in expand:
                files[output.label] = await self.shelf.describe(request, output, now, make=one)

        def refer(kind: str, identifier: str) -> dict[str, Any]:
            known = self.world.resources[f"xvid.{kind}s"].get(identifier)
            shown: dict[str, Any] = dict(reference(request, f"{kind}s", identifier))
            return {**known, **shown} if known and (everything or kind in expand) else shown

        status = LIFECYCLE.status(job, now)
        percent = job.progress if job.progress is not None else int(job.fraction(now) * 100)
        error = job.error or {}
        source = body.get("input") or {}
        return {
            "pipeline": refer("pipeline", job.extra["pipeline_id"]),
            "application": reference(request, "applications", "simulator"),
            "user_data": body.get("user_data"),
            "input": {
                "input_name": source.get("input_name"),
                "start_time": source.get("start_time"),
                "force_container": source.get("force_container"),
                "force_aspect_ratio": source.get("force_aspect_ratio"),
                "force_framerate": source.get("framerate"),
                "force_interlaced": source.get("interlaced"),
                "file": self._input_file(request, source.get("input_name")),
            },
            "autograph": body.get("autograph"),
            "output_prefix": (body.get("output_prefix") or "{job_id}/").replace("{job_id}", job.job_id),
            "outputs": [
                self._output(output, index, files, percent, refer) for index, output in enumerate(_outputs(body))
            ],
            "status": status,
            "percentage_completed": percent,
            "error_msg": error.get("message"),
            "error_code": error.get("code") if error else None,
            "created_at": milliseconds(job.created_at),
            "updated_at": milliseconds(job.finished_at(now) or job.updated_at),
            "finished_at": milliseconds(job.finished_at(now)),
            "version": 1,
            "user": reference(request, "users", "simulator"),
            **reference(request, "jobs", job.job_id),
        }

    def _input_file(self, request: Request, name: str | None) -> dict[str, str] | None:
        for upload in self.world.resources["xvid.uploads"].values():
            if name in (upload["object_key"], upload["form"]["key"]):
                return reference(request, "files", upload["file_id"])
        return None

    @staticmethod
    def _output(output: dict[str, Any], index: int, files: dict[str, Any], percent: Any, refer: Any) -> dict[str, Any]:
        preset = (output.get("preset") or {}).get("id")
        archive = files.get(f"archive-{index}")
        return {
            "output_name": output.get("output_name"),
            "percentage_completed": percent,
            "preset": refer("preset", preset) if preset else None,
            "file": files.get(f"video-{index}"),
            "thumbnail_zip": {"file": archive} if archive else None,
            "thumbnails": [
                {**thumbnail, "file": files.get(f"thumbnail-{index}-{number}")}
                for number, thumbnail in enumerate(output.get("thumbnails") or ())
            ],
            "logos": output.get("logos"),
            "settings": output.get("settings"),
        }

    def matching(self, request: Request, now: float) -> list[Job]:
        """The jobs that the list's parameters select."""
        wanted = request.query_params
        jobs = self.world.listed_jobs(NAME, now)
        if "user_data" in wanted:
            jobs = [job for job in jobs if job.request.get("user_data") == wanted["user_data"]]
        if "pipeline.id" in wanted:
            jobs = [job for job in jobs if job.extra["pipeline_id"] == wanted["pipeline.id"]]
        if "input.file.name" in wanted:
            part = wanted["input.file.name"].casefold()
            jobs = [job for job in jobs if part in job.request["input"]["input_name"].casefold()]
        if flag(request, "autograph"):
            jobs = [job for job in jobs if job.request.get("autograph")]
        if "status" in wanted:
            jobs = [job for job in jobs if LIFECYCLE.status(job, now) == wanted["status"]]
        if flag(request, "inprogress"):
            jobs = [job for job in jobs if (job.finished_at(now) or now) > now - IN_PROGRESS_SECONDS]
        return jobs


def _may_mark(world: World, request: Request) -> bool:
    token = world.find_token(request.headers.get("authorization", "").partition(" ")[2])
    return token is None or not token["scopes"] or "autograph" in token["scopes"]  # None: the URL is signed


def _outputs(body: dict[str, Any]) -> list[dict[str, Any]]:
    return body.get("outputs") or [{}]


SORT_KEYS: dict[str, Callable[[Job, float], Any]] = {
    "created_at": lambda job, now: job.created_at,
    "updated_at": lambda job, now: job.finished_at(now) or job.updated_at,
    "finished_at": lambda job, now: job.finished_at(now) or float("inf"),
    "status": lambda job, now: LIFECYCLE.status(job, now),
    "user_data": lambda job, now: job.request.get("user_data") or "",
    "id": lambda job, now: job.job_id,
}


def create_app(world: World, contents: Contents) -> FastAPI:
    """The vendor's application; its paths begin after ``/xvid/v1``."""
    app = new_app(error_answer, dependencies=[Depends(Authority(world))])
    shelf = FileShelf(world, contents)
    jobs = _Jobs(world, shelf)

    @app.post("/oauth2/token")
    async def create_token(request: Request) -> Response:
        form = {name: values[0] for name, values in parse_qs((await request.body()).decode()).items()}
        if form.get("grant_type") != "client_credential":
            raise RefusedError(400, "grant_type must be client_credential")
        if (form.get("client_id"), form.get("client_secret")) != (CLIENT_ID, CLIENT_SECRET):
            raise RefusedError(403, "Invalid client credentials", "0x0000003")
        scopes = [scope for scope in form.get("scope", "").split(",") if scope]
        if unknown := set(scopes) - SCOPES:
            raise RefusedError(400, f"Unknown scope (scopes are separated by commas): {', '.join(sorted(unknown))}")
        settings, asked = world.settings.own(NAME, XvidSettings), form.get("expires_in", "")
        if asked and not re.fullmatch(r"[1-9][0-9]{0,7}", asked):
            raise RefusedError(400, "expires_in: seconds, at most 8 digits")
        lifetime = float(asked or settings.token_seconds)
        token = world.issue_token(lifetime, scopes=scopes)
        world.count(NAME, "tokens")
        expires = str(int(lifetime)) if settings.token_expires_in_text else int(lifetime)
        return answer(request, {"access_token": token, "expires_in": expires})

    @app.post("/jobs")
    async def create_job(request: Request, body: _NewJob) -> Response:
        pipeline_id = body.job.pipeline.id if body.job.pipeline else body.job.pipeline_id
        if not pipeline_id:
            raise RefusedError(400, "job.pipeline.id: Field required", "0x0050001")
        raw = (await request.json())["job"]
        if raw.get("autograph") and not _may_mark(world, request):
            raise RefusedError(403, "Insufficient scope: needs autograph", NO_SCOPE)
        stem = PurePosixPath(body.job.input.input_name).stem
        names = [output.output_name for output in body.job.outputs or () if output.output_name]
        job = new_job(
            world,
            VENDOR,
            contents,
            job_id=secrets.token_hex(12),
            name=names[0] if names else stem,
            request=raw,
            texts=(*names, stem, body.job.user_data),
            keys={"user_data": body.job.user_data, "unique_custom_key": raw.get("unique_custom_key")},
            extra={"pipeline_id": pipeline_id, **({"mark": secrets.token_hex(8)} if raw.get("autograph") else {})},
        )
        for output in outputs_of(job):
            world.put("xvid.files", output.file_id, {"job_id": job.job_id})
        return answer(request, {"job": await jobs.show(request, job, time.time())})

    @app.get("/jobs")
    async def list_jobs(
        request: Request,
        start: Count = 0,
        limit: Count = 1000,
        sort: str = "created_at",
        direction: Literal["1", "-1"] = "1",
    ) -> Response:
        now, limit = time.time(), min(limit, 5000)
        if sort not in SORT_KEYS:
            raise RefusedError(400, f"sort: cannot sort by {sort}")
        found = jobs.matching(request, now)
        if sort != "created_at":
            found.sort(key=lambda job: SORT_KEYS[sort](job, now))
        if direction == "-1":
            found.reverse()
        page = [await jobs.show(request, job, now, one=False) for job in found[start : start + limit]]
        return answer(request, {"jobs": page, "start": start, "limit": limit, "total": len(found)})

    app.include_router(xvid_resources.create_router(world, "job_template", "/jobs/templates", "template"))
    app.include_router(xvid_resources.create_router(world, "pipeline", "/pipelines", "pipeline"))
    app.include_router(xvid_resources.create_router(world, "preset", "/presets", "preset"))
    app.include_router(xvid_files.create_router(world, contents, shelf))

    @app.get("/jobs/{job_id}")
    async def get_job(request: Request, job_id: str) -> Response:
        job = find(job_id)
        wanted = request.query_params.get("user_data")
        if wanted is not None and job.request.get("user_data") != wanted:
            raise RefusedError(404, "Job does not exist", GONE)
        return answer(request, {"job": await jobs.show(request, job, time.time())})

    @app.delete("/jobs/{job_id}")
    async def delete_job(request: Request, job_id: str) -> Response:
        job = find(job_id)
        world.delete_job(job)
        job.deleted_at = job.deleted_at or time.time()  # a cancelled job answers with 404 as well
        return answer(request, {"result": {"status": "SUCCESS"}})

    def find(job_id: str) -> Job:
        job = world.find_job(NAME, job_id)
        if job is None:
            raise RefusedError(404, "Job does not exist", GONE)
        return job

    return app


VENDOR = Vendor(
    name=NAME,
    prefix="/xvid/v1",
    lifecycle=LIFECYCLE,
    operations=(
        ("POST", "/oauth2/token", "token"),
        ("POST", "/jobs", "create"),
        ("GET", "/jobs", "list"),
        ("GET|POST|PUT", "/jobs/templates.*", "templates"),
        ("GET", "/jobs/[^/]+", "status"),
        ("DELETE", "/jobs/[^/]+", "delete"),
        ("GET", "/files/downloads", "link"),
        ("GET|POST|PUT", "/files/uploads.*", "upload"),
        ("GET", "/files", "files"),
        ("GET", "/files/[^/]+", "file"),
        ("GET|POST|PUT", "/pipelines.*", "pipelines"),
        ("GET|POST|PUT", "/presets.*", "presets"),
    ),
    create_app=create_app,
    error_body=error_body,
    notices=notices,
    register_webhook=register_webhook,
    example={
        "pipeline": {"id": "pipeline-1"},
        "input": {"input_name": "archive/{text}.mp4"},
        "outputs": [{"preset": {"id": "preset-1"}, "output_name": "web"}],
        "user_data": "{text}",
    },
    refused={"pipeline": {"id": "pipeline-1"}},
    connection={"login": CLIENT_ID, "password": CLIENT_SECRET},
    settings=XvidSettings,
)
