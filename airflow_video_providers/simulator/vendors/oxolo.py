# SPDX-License-Identifier: Apache-2.0
"""Oxolo as its documentation had it until the service closed: one ``results`` envelope, a raw key in the header."""

from __future__ import annotations

import json
import secrets
import time
import uuid
from typing import TYPE_CHECKING, Annotated, Any, Literal

from fastapi import Depends, FastAPI, File, Form, Header, Query, Request, Response, UploadFile
from pydantic import BaseModel, ConfigDict, Field

from airflow_video_providers.simulator import media
from airflow_video_providers.simulator.contents import Contents
from airflow_video_providers.simulator.jobs import Job, Lifecycle
from airflow_video_providers.simulator.settings import Settings
from airflow_video_providers.simulator.uploads import keep_upload
from airflow_video_providers.simulator.vendor import (
    KEY,
    Notice,
    RefusedError,
    Vendor,
    iso_time,
    json_answer,
    new_app,
    new_job,
)

if TYPE_CHECKING:
    from airflow_video_providers.simulator.world import World

NAME = "oxolo"
LIFECYCLE = Lifecycle(active=((0, "in_progress"),), succeeded=((0, "done"),), failed="failed", queued=frozenset())
PRICE = 5
MEDIA, SUBSCRIPTIONS = "oxolo.uploads", "oxolo.subscriptions"
CATALOGUE = {
    kind: {
        f"{kind.lower()}-{number}": {"name": f"{kind.title()} {number}", "type": kind, "isActive": True}
        for number in (1, 2, 3)
    }
    for kind in ("ACTOR", "VOICE", "TEMPLATE", "MUSIC")
}


class WebhookSystem(BaseModel):
    """A receiver that Oxolo's support would register by hand: where events go, and the token in their header."""

    model_config = ConfigDict(extra="forbid")

    webhookUrl: str
    method: Literal["GET", "POST"] = "POST"
    header: str = Field("authorization", pattern=r"[A-Za-z0-9-]+")
    token: str = ""


class OxoloSettings(Settings):
    """What only Oxolo has."""

    credits: int = 100_000
    """The account's credits before the first video; each video costs 5."""
    webhook_systems: dict[str, WebhookSystem] = Field(default_factory=dict)
    """Receivers registered "by support", by their system id."""


class _Open(BaseModel):
    model_config = ConfigDict(extra="allow")


class _Url(_Open):
    url: str


class _FormMode(_Open):
    title: str
    text: str
    media: list[str]


class _Product(_Open):
    title: str
    short_description: str
    long_description: str
    media: list[str]


Event = Literal["videoUpdateStatus", "videoProgress", "userCredit", "all"]


class _Subscription(_Open):
    eventType: list[Event] | Event
    systemId: str
    apiKey: str | None = None


def _authorized(authorization: Annotated[str | None, Header()] = None) -> None:
    if authorization != KEY:
        raise RefusedError(401, "Unauthorized: wrong API key")


def _error_answer(request: Request, error: RefusedError) -> Response:
    return json_answer(error_body(error.status, error.message), error.status)


def error_body(status: int, message: str) -> dict[str, Any]:
    """A message in JSON is all that is documented; the names of the keys are not."""
    return {"statusCode": status, "message": message}


def results(content: Any) -> Response:
    """An answer in Oxolo's envelope."""
    return json_answer({"results": content})


def register_webhook(world: World, url: str) -> None:
    """Register a system, as the vendor's support does, and subscribe it to the statuses of videos."""
    system_id = secrets.token_hex(4)
    systems = world.settings.own(NAME, OxoloSettings).webhook_systems
    known = {name: system.model_dump() for name, system in systems.items()}
    world.settings.patch({NAME: {"webhook_systems": {**known, system_id: {"webhookUrl": url}}}})
    world.save_settings()
    fields = {"eventType": ["videoUpdateStatus"], "apiKey": KEY, "systemId": system_id}
    world.put(SUBSCRIPTIONS, secrets.token_hex(8), fields)


def notices(world: World, contents: Contents, job: Job, now: float) -> list[Notice]:
    """The account's subscriptions; the body of an event is not documented."""
    events: list[tuple[str, str, dict[str, Any]]] = [("userCredit", "created", {"credits": _credits(world)})]
    percent = int(job.fraction(now) * 100)
    events += [
        ("videoProgress", f"progress-{step}", {"identifier": job.job_id, "progress": str(step)})
        for step in (25, 50, 75, 100)
        if percent >= step
    ]
    if job.ended(now):
        status = LIFECYCLE.status(job, now)
        events.append(("videoUpdateStatus", "ended", {"identifier": job.job_id, "status": status}))
    found = []
    for subscription_id, subscription in world.resources[SUBSCRIPTIONS].items():
        system = world.settings.own(NAME, OxoloSettings).webhook_systems.get(subscription["systemId"])
        if system is None:
            continue
        for kind, name, data in events:
            if {kind, "all"} & set(subscription["eventType"]):
                body = json.dumps({"eventType": kind, "data": data}).encode() if system.method == "POST" else None
                headers = {system.header: system.token, "content-type": "application/json"}
                notice_name = f"{subscription_id}/{kind}/{name}"
                found.append(Notice(notice_name, system.webhookUrl, body, system.method, headers))
    return found


def _credits(world: World) -> int:
    return world.settings.own(NAME, OxoloSettings).credits - PRICE * len(world.jobs[NAME])


def _video_document(contents: Contents, job: Job, now: float) -> str:
    """The object of one video as JSON text: the key ``generated_from`` stands in it twice, as documented."""
    progress = job.progress if job.progress is not None else str(int(job.fraction(now) * 100))
    ended = job.ended(now)
    left = max((job.ends_at or now) - now, 0)
    files = contents.job_has_files(job, now)
    link = contents.link(job, "video") if files else None
    first = {
        "isActive": True,
        "createDateTime": iso_time(job.created_at),
        "createdBy": None,
        "lastChangedDateTime": iso_time(job.finished_at(now) or job.updated_at),
        "lastChangedBy": None,
        "internalComment": None,
        "isVerified": False,
        **({"website": job.request.get("url")} if job.extra["mode"] == "URL" else {}),
        "identifier": job.job_id,
        "generation_id": job.extra["generation_id"],
        "generated_from": "API",
    }
    second = {
        "status": LIFECYCLE.status(job, now),
        "progress": progress,
        "remainingTime": str(int(left)),
        "stagText": "Done" if ended else "Rendering the video",
        "thumbnail": contents.link(job, "thumbnail") if files else None,
        "is_updating": False,
        "show_popup": False,
        "delete_at": None,
        "generated_from": job.extra["mode"],
        "s3_vtt_path": contents.link(job, "subtitles") if files else None,
        "batch_id": None,
        "duration": str(media.duration_seconds(job.name)) if files else None,
        "title": job.name,
        "un_wateremark_link": link,
        "video_link": link,
        "target_platform": None,
        "target_language": None,
    }
    # No dict can hold a key twice, so the two halves are joined as text.
    return f'{{"results": {json.dumps(first)[:-1]}, {json.dumps(second)[1:]}}}'


def create_app(world: World, contents: Contents) -> FastAPI:
    """The vendor's application; its paths begin after ``/oxolo/v1/api``."""
    app = new_app(_error_answer, dependencies=[Depends(_authorized)])

    def create(mode: str, request: dict[str, Any], name: str) -> Response:
        if _credits(world) < PRICE:
            raise RefusedError(400, "Not enough credits")
        job = new_job(
            world,
            VENDOR,
            contents,
            job_id=str(uuid.uuid4()),
            name=name,
            request=request,
            keys={"title": request.get("title"), "url": request.get("url"), "metadata": request.get("metadata")},
            extra={"mode": mode, "generation_id": str(uuid.uuid4())},
        )
        return results({"identifier": job.job_id})

    @app.post("/videos/create/url")
    async def create_from_url(request: Request, body: _Url) -> Response:
        return create("URL", await request.json(), body.url)

    @app.post("/videos/create/form")
    async def create_from_form(request: Request, body: _FormMode) -> Response:
        return create("FORM", await request.json(), body.title)

    @app.post("/videos/create/product")
    async def create_from_product(request: Request, body: _Product) -> Response:
        return create("PRODUCT", await request.json(), body.title)

    @app.get("/videos")
    async def list_videos(
        sortField: Literal["created", "updated"] = "created", sortType: Literal["asc", "desc"] = "asc"
    ) -> Response:
        now = time.time()
        times = [
            (job.created_at, job.finished_at(now) or job.updated_at, job.job_id) for job in world.listed_jobs(NAME, now)
        ]
        times.sort(key=lambda row: row[0 if sortField == "created" else 1], reverse=sortType == "desc")
        return results(
            [{"identifier": job_id, "created": iso_time(made), "updated": iso_time(at)} for made, at, job_id in times]
        )

    @app.get("/videos/{video_id}/status")
    async def get_status(video_id: str) -> Response:
        return results(LIFECYCLE.status(find(video_id), time.time()))

    @app.get("/videos/{video_id}")
    async def get_video(video_id: str) -> Response:
        document = _video_document(contents, find(video_id), time.time())
        return Response(document, media_type="application/json")

    @app.delete("/videos/{video_id}/del")
    async def delete_video(video_id: str) -> Response:
        job = find(video_id)
        world.delete_job(job)
        # Oxolo knows no cancelled status: a job deleted while it runs is gone too.
        job.deleted_at = job.deleted_at or time.time()
        return results(job.job_id)

    @app.post("/assets/media/request")
    @app.post("/assets/media")
    async def upload_media(media_type: Annotated[str, Form()], file: Annotated[UploadFile, File()]) -> Response:
        if media_type != "IMAGE":
            raise RefusedError(400, "media_type: only IMAGE is allowed")
        media_id = str(uuid.uuid4())
        path = contents.studio.directory / f"media-{media_id}"
        size, md5 = await keep_upload(file, path)
        record = {
            "id": media_id,
            "name": file.filename,
            "type": media_type,
            "size": size,
            "md5": md5,
            "created": iso_time(time.time()),
        }
        world.put(MEDIA, media_id, record)
        world.count(NAME, "upload_bytes", size)
        return results(media_id)

    @app.get("/assets/media")
    async def list_media(skip: Annotated[int, Query(ge=0)] = 0, take: Annotated[int, Query(ge=0)] = 100) -> Response:
        return results(list(world.resources[MEDIA].values())[skip : skip + take])

    @app.get("/assets/IMAGE/{media_id}")
    async def get_media(media_id: str) -> Response:
        if media_id not in world.resources[MEDIA]:
            raise RefusedError(404, "Media not found")
        return results(world.resources[MEDIA][media_id])

    @app.delete("/assets/media/{media_id}")
    async def delete_media(media_id: str) -> Response:
        if not world.drop(MEDIA, media_id):
            raise RefusedError(404, "Media not found")
        (contents.studio.directory / f"media-{media_id}").unlink(missing_ok=True)
        return results(media_id)

    @app.get("/catalogue")
    async def get_catalogue(
        filter: Literal["ACTOR", "VOICE", "TEMPLATE", "MUSIC"] | None = None, skip: int = 0, take: int = 100
    ) -> Response:
        kinds = [filter] if filter else list(CATALOGUE)
        items = [pair for kind in kinds for pair in CATALOGUE[kind].items()]
        return results(dict(items[skip : skip + take]))

    @app.get("/catalogue/{item_id}")
    async def get_catalogue_item(item_id: str) -> Response:
        for items in CATALOGUE.values():
            if item_id in items:
                return results(items[item_id])
        raise RefusedError(404, "Catalogue item not found")

    @app.get("/account/credits")
    async def get_credits() -> Response:
        return results(_credits(world))

    @app.get("/account/plan")
    async def get_plan() -> Response:
        return results(
            {"name": "simulator", "credits": world.settings.own(NAME, OxoloSettings).credits, "watermark": False}
        )

    @app.post("/webhooks")
    async def subscribe(body: _Subscription) -> Response:
        system = world.settings.own(NAME, OxoloSettings).webhook_systems.get(body.systemId)
        if system is None:
            raise RefusedError(404, "System not found: support has to register it (setting webhook_systems)")
        events = [body.eventType] if isinstance(body.eventType, str) else body.eventType
        fields = {**body.model_dump(), "eventType": events}
        world.put(SUBSCRIPTIONS, secrets.token_hex(8), fields)
        world.watch_active(NAME)
        shown = {"id": body.systemId, "name": body.systemId, "webhookUrl": system.webhookUrl}
        return results({**fields, "createdAt": time.strftime("%Y/%m/%d %H:%M:%S", time.gmtime()), "system": shown})

    def find(video_id: str) -> Job:
        job = world.find_job(NAME, video_id)
        if job is None:
            raise RefusedError(404, "Video not found")
        return job

    return app


VENDOR = Vendor(
    name=NAME,
    prefix="/oxolo/v1/api",
    lifecycle=LIFECYCLE,
    operations=(
        ("POST", "/videos/create/(url|form|product)", "create"),
        ("GET", "/videos", "list"),
        ("GET", "/videos/[^/]+/status", "status"),
        ("GET", "/videos/[^/]+", "video status"),
        ("DELETE", "/videos/[^/]+/del", "delete"),
        ("POST", "/assets/media(/request)?", "media upload"),
        ("GET|DELETE", "/assets/.*", "media"),
        ("GET", "/catalogue.*", "catalogue"),
        ("GET", "/account/credits", "credits"),
        ("GET", "/account/plan", "plan"),
        ("POST", "/webhooks", "webhooks"),
    ),
    create_app=create_app,
    error_body=error_body,
    notices=notices,
    register_webhook=register_webhook,
    example={"mode": "url", "url": "https://shop.example/{text}", "template_id": "t-1"},
    refused={"mode": "url", "template_id": "t-1"},
    settings=OxoloSettings,
)
