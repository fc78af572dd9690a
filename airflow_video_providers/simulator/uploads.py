# SPDX-License-Identifier: Apache-2.0
"""
The stores that take users' files, at ``/upload/{vendor}/{upload id}``: apart from the vendors' APIs and their keys.

A vendor's module makes a resource of the kind ``{vendor}.uploads``, and gives the client either a signed link for one
PUT (``Contents.upload_link``) or a signed form for one POST (the resource's ``form``: fields that must come back as
they are, before the ``file``). What arrives is added to the resource: ``path``, ``size``, ``md5`` and ``mime_type``.
"""

from __future__ import annotations

import asyncio
import hashlib
from typing import TYPE_CHECKING, Any

from fastapi import FastAPI, Request, Response
from starlette.datastructures import UploadFile

from airflow_video_providers.simulator.contents import store_error

if TYPE_CHECKING:
    from pathlib import Path

    from airflow_video_providers.simulator.contents import Contents
    from airflow_video_providers.simulator.world import World


def create_app(world: World, contents: Contents) -> FastAPI:
    """Return the application of all stores (path ``/upload``)."""
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)

    @app.put("/{vendor}/{upload_id}")
    async def put_file(request: Request, vendor: str, upload_id: str) -> Response:
        if reason := contents.refusal(request, f"upload/{vendor}/{upload_id}"):
            return store_error(403, *reason)
        if upload_id not in world.resources[f"{vendor}.uploads"]:
            return store_error(404, "NoSuchUpload", "The specified upload does not exist")
        path = contents.studio.directory / f"upload-{upload_id}"
        digest, size = hashlib.md5(usedforsecurity=False), 0
        with path.open("wb") as target:
            async for piece in request.stream():
                digest.update(piece)
                size += await asyncio.to_thread(target.write, piece)
        media_type = request.headers.get("content-type", "application/octet-stream")
        _keep(world, vendor, upload_id, path=str(path), size=size, md5=digest.hexdigest(), mime_type=media_type)
        return Response(headers={"etag": f'"{digest.hexdigest()}"'})

    @app.post("/{vendor}/{upload_id}")
    async def post_form(request: Request, vendor: str, upload_id: str) -> Response:
        upload = world.resources[f"{vendor}.uploads"].get(upload_id)
        if upload is None or "form" not in upload:
            return store_error(404, "NoSuchUpload", "The specified upload does not exist")
        if any(name in request.headers for name in contents.key_headers):
            return store_error(403, "InvalidArgument", "The form is signed, send no credentials")
        async with request.form() as form:
            names = [name for name, _ in form.multi_items()]
            if any(form.get(name) != value for name, value in upload["form"].items()):
                return store_error(403, "AccessDenied", "The policy or its signature is wrong")
            file = form.get("file")
            if not isinstance(file, UploadFile) or names[-1] != "file":
                return store_error(400, "InvalidArgument", "The last field of the form must be the file")
            path = contents.studio.directory / f"upload-{upload_id}"
            size, md5 = await keep_upload(file, path)
        _keep(world, vendor, upload_id, path=str(path), size=size, md5=md5)
        return Response(status_code=204)

    return app


def _keep(world: World, vendor: str, upload_id: str, **what: Any) -> None:
    kind = f"{vendor}.uploads"
    world.put(kind, upload_id, {**world.resources[kind][upload_id], **what})
    world.count(vendor, "upload_bytes", what["size"])


async def keep_upload(file: UploadFile, path: Path) -> tuple[int, str]:
    """Put an uploaded file, which was never held in memory, in its place; return its size in bytes and its MD5."""

    def copy() -> tuple[int, str]:
        digest = hashlib.md5(usedforsecurity=False)
        with path.open("wb") as target:
            while piece := file.file.read(1 << 20):
                digest.update(piece)
                target.write(piece)
            return target.tell(), digest.hexdigest()

    return await asyncio.to_thread(copy)
