# SPDX-License-Identifier: Apache-2.0
"""Xvid MediaHub's files: what a job made, links to download it, and uploads in four steps."""

from __future__ import annotations

import asyncio
import hashlib
import mimetypes
import secrets
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import RedirectResponse
from pydantic import BaseModel, Field

from airflow_video_providers.simulator import media
from airflow_video_providers.simulator.contents import FORMATS, extension_of, kind_of
from airflow_video_providers.simulator.jobs import Job
from airflow_video_providers.simulator.settings import DAY, Settings
from airflow_video_providers.simulator.vendor import RefusedError
from airflow_video_providers.simulator.vendors.xvid.answers import NAME, answer, base_url, milliseconds, reference

if TYPE_CHECKING:
    from airflow_video_providers.simulator.contents import Contents
    from airflow_video_providers.simulator.world import World

UPLOADS = "xvid.uploads"
SUBTYPES = {"video": "video", "thumbnail": "image", "archive": "zip"}
MP4_MEDIA_TYPE = "video/quicktime, variant=(string)iso"
"""What the vendor's own example says of an MP4: words of GStreamer, no media type."""
Count = Annotated[int, Query(ge=0, le=2**53)]


class XvidSettings(Settings):
    """What only Xvid has."""

    token_seconds: float = Field(7200, le=366 * DAY)
    """Life of an access token, unless the token request asks for another."""
    token_expires_in_text: bool = True
    """``expires_in`` of a token is text, as in the vendor's wiki, or a number, as its client reads it."""
    upload_final_status: str = "COMPLETED"
    """The status of a finished upload, whose name is not documented."""


@dataclass(frozen=True)
class Output:
    """One file of a job: its id, which output it is, and its name at the vendor."""

    job: Job
    file_id: str
    label: str
    name: str


class _UploadDone(BaseModel):
    nb_chunks: int = Field(ge=1)


class _UploadChange(BaseModel):
    upload: _UploadDone


def file_id_of(job_id: str, label: str) -> str:
    """The id of a job's file, in the vendor's form of 24 hex digits."""
    return hashlib.sha256(f"{job_id}/{label}".encode()).hexdigest()[:24]


def outputs_of(job: Job) -> list[Output]:
    """All files that a job makes: the videos, their thumbnails and the zips of those."""
    found = []
    for index, output in enumerate(job.request.get("outputs") or [{}]):
        name = str(output.get("output_name") or job.name)
        labels = [(f"video-{index}", f"{name}.mp4")]
        thumbnails = output.get("thumbnails") or ()
        for number, wish in enumerate(thumbnails):
            pattern = str(wish.get("thumbnail_names") or f"{name}_{number}")
            label = f"thumbnail-{index}-{number}"
            labels.append((label, pattern.replace("{resolution}", f"{media.WIDTH}x{media.HEIGHT}") + ".jpg"))
        if thumbnails:
            labels.append((f"archive-{index}", f"{name}_thumbnails.zip"))
        found += [Output(job, file_id_of(job.job_id, label), label, name) for label, name in labels]
    return found


class FileShelf:
    """Finds files by id and describes them."""

    def __init__(self, world: World, contents: Contents) -> None:
        self.world, self.contents = world, contents

    def outputs(self, job: Job, now: float) -> list[Output]:
        """The files of a job that are there now."""
        return outputs_of(job) if self.contents.job_has_files(job, now) else []

    def find(self, file_id: str, now: float) -> Output | dict[str, Any]:
        """An output or an upload by its file id; refuses with 404."""
        kept = self.world.resources["xvid.files"].get(file_id)
        if kept and (job := self.world.find_job(NAME, kept["job_id"])):
            for output in self.outputs(job, now):
                if output.file_id == file_id:
                    return output
        for upload in self.world.resources[UPLOADS].values():
            if upload["file_id"] == file_id and "path" in upload:
                return upload
        raise RefusedError(404, "File does not exist", "0x0060005")

    def id_of(self, object_key: str | None, pipeline_id: str | None) -> str:
        """Return the id of an upload's file by the key under which it was stored; refuses where there is none."""
        for upload in self.world.resources[UPLOADS].values():
            if (upload["object_key"], upload["pipeline_id"]) == (object_key, pipeline_id):
                return str(upload["file_id"])
        if object_key is None:
            raise RefusedError(400, "Either file_id, or object_key with pipeline_id, is required", "0x0060001")
        raise RefusedError(404, "File does not exist", "0x0060005")

    async def describe(self, request: Request, output: Output, now: float, *, make: bool = True) -> dict[str, Any]:
        """The file object of an output; ``make=False`` leaves out size and MD5 rather than render the file now."""
        job, kind, extension = output.job, kind_of(output.label), extension_of(output.label)
        shown: dict[str, Any] = {
            **reference(request, "files", output.file_id),
            "name": output.name,
            "title": job.name,
            "type": "file",
            "subtype": SUBTYPES[kind],
            "mime_type": MP4_MEDIA_TYPE if kind == "video" else FORMATS[extension],
            "container": extension,
            "size": None,
            "size_on_disk": None,
            "md5_checksum": None,
            "uri": f"{base_url(request)}/files/downloads/?file_id={output.file_id}",
            "job": reference(request, "jobs", job.job_id),
            "pipeline": reference(request, "pipelines", job.extra["pipeline_id"]),
            "created_at": milliseconds(job.created_at),
            "finished_at": milliseconds(job.finished_at(now)),
            "expires_at": milliseconds((job.ends_at or now) + self.world.settings.of(NAME).retention_seconds),
            "user_data": job.request.get("user_data"),
            "autograph": bool(job.request.get("autograph")),
        }
        if kind == "video":
            shown["duration"] = media.duration_seconds(job.name) * 1000
            shown["video_tracks"] = [{"codec": "h264", "width": media.WIDTH, "height": media.HEIGHT}]
            shown["audio_tracks"] = []
        if make:
            content = await self.contents.of_job(job, output.label)
            shown["size"] = shown["size_on_disk"] = content.size
            shown["md5_checksum"] = await asyncio.to_thread(content.md5)
        return shown


def upload_file(request: Request, upload: dict[str, Any]) -> dict[str, Any]:
    """The file object of an upload."""
    return {
        **reference(request, "files", upload["file_id"]),
        "name": upload["object_key"],
        "title": upload["object_key"],
        "type": "file",
        "mime_type": upload["mime_type"],
        "size": upload["size"],
        "size_on_disk": upload["size"],
        "md5_checksum": upload["md5"],
        "uri": f"{base_url(request)}/files/downloads/?file_id={upload['file_id']}",
        "pipeline": reference(request, "pipelines", upload["pipeline_id"]),
        "created_at": upload["created_at"],
        "expires_at": upload["expires_at"],
    }


def create_router(world: World, contents: Contents, shelf: FileShelf) -> APIRouter:
    """The endpoints below ``/files``."""
    router = APIRouter(prefix="/files")

    @router.get("")
    async def list_files(request: Request, start: Count = 0, limit: Count = 1000, type: str | None = None) -> Response:
        now, wanted = time.time(), request.query_params
        if "job.id" in wanted:
            job = world.find_job(NAME, wanted["job.id"])
            jobs = [job] if job else []
        else:
            jobs = world.listed_jobs(NAME, now)
        if "pipeline.id" in wanted:
            jobs = [job for job in jobs if job.extra["pipeline_id"] == wanted["pipeline.id"]]
        found = [output for job in jobs for output in shelf.outputs(job, now)]
        if type not in (None, "file"):
            found = []
        page = found[start : start + min(limit, 5000)]
        files = [await shelf.describe(request, output, now, make="job.id" in wanted) for output in page]
        return answer(request, {"files": files, "start": start, "limit": limit, "total": len(found)})

    @router.get("/downloads")
    async def get_download(
        request: Request,
        file_id: str | None = None,
        object_key: str | None = None,
        pipeline_id: str | None = None,
        redirect: bool = False,
        expiry_time: Annotated[float | None, Query(allow_inf_nan=False)] = None,
        autograph_tag: str | None = None,
    ) -> Response:
        found = shelf.find(file_id or shelf.id_of(object_key, pipeline_id), time.time())
        if expiry_time is not None and expiry_time < 1e9:
            expiry_time += time.time()
        if isinstance(found, Output):
            label, marked = found.label, bool(found.job.request.get("autograph"))
            if autograph_tag is not None and not (marked and label.startswith("video")):
                raise RefusedError(400, "autograph_tag: the file is not prepared for AutoGraph")
            if marked and label.startswith("video"):
                # No two viewers get the same copy; one viewer, who is known by the tag, gets the same one again.
                viewer = secrets.token_hex(8) if autograph_tag is None else autograph_tag
                label += f"~{hashlib.sha256(viewer.encode('utf-8', 'replace')).hexdigest()[:16]}"
            url = contents.link(found.job, label, found.name, expiry_time)
        else:
            url = contents.link_to(NAME, found["id"], "upload", found["object_key"].split("/")[-1], expiry_time)
        if redirect:
            return RedirectResponse(url, 302)
        shown = found.file_id if isinstance(found, Output) else found["file_id"]
        return answer(request, {"download": {"file": reference(request, "files", shown), "url": url}})

    @router.post("/uploads")
    async def start_upload(
        request: Request, object_key: str, pipeline_id: str, expires_at: int | None = None
    ) -> Response:
        upload_id, now = secrets.token_hex(12), time.time()
        policy = secrets.token_hex(16)
        upload = {
            "id": upload_id,
            "file_id": secrets.token_hex(12),
            "object_key": object_key,
            "pipeline_id": pipeline_id,
            "status": "UPLOADING",
            "form": {"policy": policy, "signature": secrets.token_hex(16), "key": f"uploads/{policy}/{object_key}"},
            "created_at": milliseconds(now),
            "expires_at": int((now + 7 * DAY) * 1000) if expires_at is None else expires_at,
            "mime_type": mimetypes.guess_type(object_key)[0] or "application/octet-stream",
        }
        world.put(UPLOADS, upload_id, upload)
        return answer(request, {"upload": shown_upload(request, upload)})

    @router.put("/uploads/{upload_id}")
    async def complete_upload(request: Request, upload_id: str, body: _UploadChange) -> Response:
        upload = find_upload(upload_id)
        if "path" not in upload:
            raise RefusedError(400, "No file was posted to form_post_url", "0x0230002")
        done = time.time() + world.settings.of(NAME).render_seconds / 10
        world.put(UPLOADS, upload_id, {**upload, "status": "COMPLETING", "done_at": done})
        world.count(NAME, "uploads")
        return answer(request, {"upload": shown_upload(request, find_upload(upload_id), now=done - 1)})

    @router.get("/uploads/{upload_id}")
    async def get_upload(request: Request, upload_id: str) -> Response:
        return answer(request, {"upload": shown_upload(request, find_upload(upload_id))})

    @router.get("/{file_id}")
    async def get_file(request: Request, file_id: str) -> Response:
        now = time.time()
        found = shelf.find(file_id, now)
        if isinstance(found, Output):
            return answer(request, {"file": await shelf.describe(request, found, now)})
        return answer(request, {"file": upload_file(request, found)})

    def find_upload(upload_id: str) -> dict[str, Any]:
        upload = world.resources[UPLOADS].get(upload_id)
        if upload is None:
            raise RefusedError(404, "Upload does not exist", "0x0230001")
        return upload

    def shown_upload(request: Request, upload: dict[str, Any], now: float | None = None) -> dict[str, Any]:
        status = upload["status"]
        if (now or time.time()) >= upload.get("done_at", float("inf")):
            status = world.settings.own(NAME, XvidSettings).upload_final_status
        shown = {
            **reference(request, "files/uploads", upload["id"]),
            "status": status,
            "object_key": upload["object_key"],
            "file": reference(request, "files", upload["file_id"]),
            "pipeline": reference(request, "pipelines", upload["pipeline_id"]),
            "created_at": upload["created_at"],
            "expires_at": upload["expires_at"],
        }
        if status == "UPLOADING":
            shown["form_post_url"] = f"{world.media_origin}/upload/xvid/{upload['id']}"
            shown["form_post_params"] = upload["form"]
        return shown

    return router
