# SPDX-License-Identifier: Apache-2.0
"""The app behind the Videos page: the page itself, the list of renders, and the stored files."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from airflow.api_fastapi.common.db.common import SessionDep
from fastapi import FastAPI, HTTPException, Query, Request, Response
from fastapi.responses import FileResponse, StreamingResponse
from starlette.concurrency import run_in_threadpool

from airflow_video_providers.plugin.videos.access import ReadableDagIds, reads_xcoms
from airflow_video_providers.plugin.videos.files import NotServedError, TaskKey, etag_of, find_file, open_file
from airflow_video_providers.plugin.videos.ranges import UnsatisfiableRangeError, body, read_range
from airflow_video_providers.plugin.videos.renders import MOST, BadCursorError, Filter, count_renders, find_renders

_STATIC = Path(__file__).parent / "static"
_PAGE_TYPES = {
    "index.html": "text/html; charset=utf-8",
    **{path.name: "text/javascript; charset=utf-8" for path in _STATIC.glob("*.js")},
    **{path.name: "text/css; charset=utf-8" for path in _STATIC.glob("*.css")},
}
_ALWAYS = {"X-Content-Type-Options": "nosniff", "Referrer-Policy": "same-origin"}
_PAGE_HEADERS = {
    **_ALWAYS,
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; media-src 'self'; "
        "connect-src 'self'; frame-ancestors 'self'; base-uri 'none'; form-action 'none'"
    ),
    "Cache-Control": "no-cache",
}
# A file is shown, never run, whatever it holds.
_FILE_HEADERS = {
    **_ALWAYS,
    "Content-Security-Policy": "default-src 'none'; media-src 'self'; img-src 'self'; sandbox",
    "Cache-Control": "private, no-cache",
    "Accept-Ranges": "bytes",
}
_INLINE = ("video/", "audio/", "image/")

_NO_NUL = r"^[^\x00]*$"  # which no database takes in a text
_MOST_INDEX = 2**31 - 1

Name = Annotated[str | None, Query(max_length=250, pattern=_NO_NUL)]
GivenName = Annotated[str, Query(max_length=250, pattern=_NO_NUL)]
Limit = Annotated[int, Query(ge=1, le=MOST)]

app = FastAPI(title="Videos", docs_url=None, redoc_url=None, openapi_url=None)


@app.get("/")
@app.get("/{name}", name="page_part")
def read_page(name: str = "index.html") -> Response:
    """Serve a part of the page. It holds no data: these come from the routes below."""
    if name not in _PAGE_TYPES:
        raise HTTPException(404, "There is no such page.")
    return FileResponse(_STATIC / name, media_type=_PAGE_TYPES[name], headers=_PAGE_HEADERS)


@app.get("/api/renders", dependencies=[reads_xcoms])
def list_renders(
    session: SessionDep,
    response: Response,
    dag_ids: ReadableDagIds,
    dag_id: Name = None,
    run_id: Name = None,
    state: Name = None,
    vendor: Name = None,
    cursor: Annotated[str | None, Query(max_length=2000)] = None,
    limit: Limit = 24,
) -> dict[str, Any]:
    """List what tasks have recorded, newest first, in DAGs that the user may see."""
    response.headers.update({**_ALWAYS, "Cache-Control": "no-store"})
    wanted = Filter(dag_ids, dag_id, run_id, state, vendor)
    try:
        return find_renders(session, wanted, cursor=cursor, limit=limit)
    except BadCursorError as error:
        raise HTTPException(400, str(error)) from None


@app.get("/api/counts", dependencies=[reads_xcoms])
def read_counts(
    session: SessionDep, response: Response, dag_ids: ReadableDagIds, dag_id: Name = None, run_id: Name = None
) -> dict[str, dict[str, int]]:
    """Count the renders by state, vendor and DAG."""
    response.headers.update({**_ALWAYS, "Cache-Control": "no-store"})
    return count_renders(session, Filter(dag_ids, dag_id, run_id))


@app.api_route("/api/files/{dag_id}", methods=["GET", "HEAD"], dependencies=[reads_xcoms])
async def read_file(
    request: Request,
    session: SessionDep,
    dag_ids: ReadableDagIds,
    dag_id: str,
    run_id: GivenName,
    task_id: GivenName,
    uri: Annotated[str, Query(max_length=2048)],
    map_index: Annotated[int, Query(ge=-1, le=_MOST_INDEX)] = -1,
    download: bool = False,
) -> Response:
    """Stream a file that a task of this DAG has stored; ranges are served, so that a player can seek."""
    if dag_id not in dag_ids:
        raise HTTPException(404, "There is no such file.", headers=_ALWAYS)
    try:
        found = await run_in_threadpool(find_file, session, TaskKey(dag_id, run_id, task_id, map_index), uri)
        stream, stored, media_type = await run_in_threadpool(open_file, found)
    except NotServedError as error:
        raise HTTPException(404, str(error), headers=_ALWAYS) from None
    etag = etag_of(stored)
    inline = media_type.startswith(_INLINE) and not download
    headers = {
        **_FILE_HEADERS,
        "ETag": etag,
        "Content-Type": media_type,
        "Content-Disposition": "inline" if inline else f'attachment; filename="{_file_name(found.file.uri)}"',
    }
    if etag in request.headers.get("if-none-match", ""):
        stream.close()
        return Response(status_code=304, headers={"ETag": etag})
    try:
        whole = request.headers.get("if-range", etag) != etag
        part = None if whole else read_range(request.headers.get("range"), stored.size)
    except UnsatisfiableRangeError:
        stream.close()
        return Response(status_code=416, headers={**_ALWAYS, "Content-Range": f"bytes */{stored.size}"})
    start, end = part or (0, stored.size)
    headers["Content-Length"] = str(end - start)
    if part:
        headers["Content-Range"] = f"bytes {start}-{end - 1}/{stored.size}"
    status = 206 if part else 200
    if request.method == "HEAD":
        stream.close()
        return Response(status_code=status, headers=headers)
    return StreamingResponse(body(stream, start, end - start), status_code=status, headers=headers)


def _file_name(uri: str) -> str:
    """Return the last part of a URI as a file name that a header can hold."""
    name = uri.rpartition("/")[2]
    return "".join(c if c.isascii() and (c.isalnum() or c in "._-") else "_" for c in name)[-120:] or "video"
