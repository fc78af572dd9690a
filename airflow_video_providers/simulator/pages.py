# SPDX-License-Identifier: Apache-2.0
"""What a browser shows: the newest renders at ``/``, and a page for each. Plain HTML without scripts."""

from __future__ import annotations

import json
import time
from html import escape
from typing import TYPE_CHECKING

from fastapi import APIRouter, Depends, HTTPException
from fastapi.responses import HTMLResponse

from airflow_video_providers.simulator.jobs import job_as_json
from airflow_video_providers.simulator.same_origin import check_page

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airflow_video_providers.simulator.contents import Contents
    from airflow_video_providers.simulator.jobs import Job
    from airflow_video_providers.simulator.vendor import Vendor
    from airflow_video_providers.simulator.world import World

MOST = 200
STYLE = (
    "body{font:15px/1.5 system-ui,sans-serif;max-width:70rem;margin:2rem auto;padding:0 1rem}"
    "table{border-collapse:collapse;width:100%}th,td{text-align:left;padding:.3rem .6rem;border-bottom:1px solid #ddd}"
    "pre{background:#f4f4f4;padding:1rem;overflow:auto}video,img{max-width:100%}"
)


def create_router(world: World, contents: Contents, vendors: Mapping[str, Vendor]) -> APIRouter:
    """Return the pages."""
    router = APIRouter(dependencies=[Depends(check_page)])

    @router.get("/")
    async def show_renders() -> HTMLResponse:
        now = time.time()
        jobs = sorted((job for jobs in world.jobs.values() for job in jobs.values()), key=lambda job: -job.sequence)
        rows = "".join(_row(job, vendors[job.vendor], now) for job in jobs[:MOST])
        more = f"<p>The newest {MOST} of {len(jobs)}.</p>" if len(jobs) > MOST else ""
        table = (
            f"<table><tr><th>render</th><th>vendor</th><th>status</th><th>done</th><th>created</th></tr>{rows}</table>"
        )
        return _page("Renders", (table if jobs else "<p>No render was submitted yet.</p>") + more)

    @router.get("/renders/{vendor}/{job_id}")
    async def show_render(vendor: str, job_id: str) -> HTMLResponse:
        job = world.jobs.get(vendor, {}).get(job_id)
        if job is None:
            raise HTTPException(404, "No such render")
        now = time.time()
        shown = job_as_json(job, vendors[vendor].lifecycle, now)
        film = ""
        if contents.job_has_files(job, now):
            link, poster = escape(contents.link(job, "video")), escape(contents.link(job, "thumbnail"))
            film = f'<video controls src="{link}" poster="{poster}"></video><p><a href="{link}">the file</a></p>'
        text = escape(json.dumps(shown, indent=2, ensure_ascii=True))
        return _page(job.name, f'{film}<pre>{text}</pre><p><a href="/">all renders</a></p>')

    def _page(title: str, body: str) -> HTMLResponse:
        title = escape(title.encode("utf-8", "replace").decode())
        text = (
            f'<!DOCTYPE html><html lang="en"><head><meta charset="utf-8"><title>{title}</title><style>{STYLE}</style>'
        )
        # Titles come from requests: whatever they hold, nothing is run and nothing is loaded from elsewhere.
        origin = world.media_origin
        policy = (
            f"default-src 'none'; style-src 'unsafe-inline'; img-src {origin}; media-src {origin}; "
            "frame-ancestors 'none'"
        )
        headers = {"content-security-policy": policy, "referrer-policy": "no-referrer", "cache-control": "no-store"}
        return HTMLResponse(f"{text}</head><body><h1>{title}</h1>{body}</body></html>", headers=headers)

    return router


def _row(job: Job, vendor: Vendor, now: float) -> str:
    created = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(job.created_at))
    cells = (job.vendor, vendor.lifecycle.status(job, now), f"{job.fraction(now):.0%}", f"{created} UTC")
    link = f'<a href="/renders/{escape(job.vendor)}/{escape(job.job_id)}">{escape(_text(job.name))}</a>'
    return f"<tr><td>{link}</td>{''.join(f'<td>{escape(_text(cell))}</td>' for cell in cells)}</tr>"


def _text(value: str) -> str:
    return value[:200].encode("utf-8", "replace").decode()
