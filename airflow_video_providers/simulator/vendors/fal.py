# SPDX-License-Identifier: Apache-2.0
"""
fal's queue, platform API and storage, as its client and its pages describe them.

A request that ended badly is ``COMPLETED`` with an ``error``; its path has no more of the endpoint than owner and app.
"""

from __future__ import annotations

import base64
import functools
import hashlib
import json
import time
import uuid
from typing import TYPE_CHECKING, Annotated, Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from fastapi import Depends, FastAPI, Header, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field

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

NAME = "fal"
LIFECYCLE = Lifecycle(
    active=((0, "IN_QUEUE"), (0.2, "IN_PROGRESS")),
    succeeded=((0, "COMPLETED"),),
    failed="COMPLETED",
    cancelled=("CANCELLED",),
    queued=frozenset({"IN_QUEUE"}),
)
NAMESPACES = ("workflows", "comfy")
UPLOADS = "fal.uploads"
USER_ID = "user-1"
KEYS_PATH = "/.well-known/jwks.json"
OPEN_PATHS = (KEYS_PATH, "/platform/models")
"""What needs no key."""


class FalSettings(Settings):
    """What only fal has."""

    retention_seconds: float = Field(30 * DAY, ge=0)
    """Input and result of a request are kept for so long."""
    callback_attempts: int = Field(10, ge=1, le=100)
    """How often a webhook is tried until the receiver answers 2xx."""
    callback_timeout_seconds: float = Field(15, gt=0)
    """How long the receiver may take to answer."""
    lists_running: bool = True
    """Whether the platform's list shows requests that have not ended yet."""


class _Upload(BaseModel):
    model_config = ConfigDict(extra="allow")
    file_name: str
    content_type: str


PRICES = {
    "fal-ai/kling-video/v2/master/text-to-video": (0.28, "seconds"),
    "fal-ai/veo3.1": (0.4, "seconds"),
    "fal-ai/minimax/hailuo-02/standard/text-to-video": (0.27, "videos"),
    "fal-ai/flux/dev": (0.025, "megapixels"),
}
"""Made up in the form of the vendor's: the price of a unit of a model, and what the unit is."""


def _authorized(request: Request, authorization: Annotated[str | None, Header()] = None) -> None:
    if authorization != f"Key {KEY}" and not request.url.path.endswith(OPEN_PATHS):
        raise RefusedError(401, "Authentication is required to access this application")


def error_body(status: int, message: str) -> dict[str, Any]:
    """An error of the queue; those of a model are a list."""
    if status == 422:
        return {"detail": [{"loc": ["body", "prompt"], "msg": message, "type": "value_error"}]}
    return {"detail": message}


def _error_answer(request: Request, error: RefusedError) -> Response:
    body = error_body(error.status, error.message)
    if error.code:
        body["error_type"] = error.code
    answer = json_answer(body, error.status)
    if error.code:
        answer.headers["x-fal-error-type"] = error.code
    return answer


def notices(world: World, contents: Contents, job: Job, now: float) -> list[Notice]:
    """The webhook of a request, signed with Ed25519 by a key that all users of fal share."""
    url = job.extra.get("webhook")
    if not isinstance(url, str) or not job.ended(now):
        return []
    good = job.succeeded(now)
    content: dict[str, Any] = {"request_id": job.job_id, "gateway_request_id": job.job_id}
    content |= {"status": "OK", "payload": result(contents, job)} if good else {"status": "ERROR", "error": _error(job)}
    return [json_notice("ended", url, content, functools.partial(_sign, job.job_id))]


def _sign(request_id: str, body: bytes, now: float) -> dict[str, str]:
    stamp = str(int(now))
    message = "\n".join([request_id, USER_ID, stamp, hashlib.sha256(body).hexdigest()])
    return {
        "x-fal-webhook-request-id": request_id,
        "x-fal-webhook-user-id": USER_ID,
        "x-fal-webhook-timestamp": stamp,
        "x-fal-webhook-signature": _signing_key().sign(message.encode()).hex(),
    }


def _signing_key() -> Ed25519PrivateKey:
    """Return the same key in every run, so that who keeps the public one is not fooled by a restart."""
    return Ed25519PrivateKey.from_private_bytes(hashlib.sha256(b"the simulator signs as fal").digest())


def public_keys() -> dict[str, Any]:
    """The document of the keys: the one in use, and one that was used before."""
    former = Ed25519PrivateKey.from_private_bytes(hashlib.sha256(b"a former key").digest())
    keys = []
    for name, key in (("former", former), ("now", _signing_key())):
        raw = key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
        x = base64.urlsafe_b64encode(raw).decode().rstrip("=")
        keys.append({"kty": "OKP", "crv": "Ed25519", "kid": name, "x": x})
    return {"keys": keys}


def _error(job: Job) -> str:
    return str((job.error or {}).get("message", "the model failed"))


def result(contents: Contents, job: Job) -> dict[str, Any]:
    """What most models of video give: one file, and what it was made from; it lives as long as the create asked for."""
    life = json.loads(job.extra.get("lifetime") or "{}").get("expiration_duration_seconds")
    expires = NEVER if life is None else (job.ends_at or time.time()) + life
    video = {"url": contents.link(job, "video", "output.mp4", expires=expires), "content_type": "video/mp4"}
    return {"video": {**video, "file_name": "output.mp4"}, "seed": job.request.get("seed", 7)}


def create_app(world: World, contents: Contents) -> FastAPI:
    """The vendor's three hosts: the queue, the platform API under ``/platform``, the storage under ``/rest``."""
    app = new_app(_error_answer, dependencies=[Depends(_authorized)])

    def app_of(endpoint: str) -> str:
        parts = endpoint.split("/")
        return "/".join(parts[: 3 if parts[0] in NAMESPACES else 2])

    def find(app_id: str, request_id: str) -> Job:
        job = world.find_job(NAME, request_id)
        if job is None or job.cancelled_at is not None or app_of(job.extra["endpoint"]) != app_id:
            raise RefusedError(404, "Request not found")
        return job

    @app.get(f"/rest{KEYS_PATH}")
    async def get_public_keys() -> Response:
        return json_answer(public_keys())

    @app.get("/platform/models")
    async def get_models(limit: int = 50) -> Response:
        models = [{"endpoint_id": "fal-ai/veo3.1"}, {"endpoint_id": "fal-ai/kling-video/v2/master/text-to-video"}]
        return json_answer({"models": models[:limit], "has_more": False, "next_cursor": None})

    @app.get("/platform/models/pricing")
    async def get_prices(endpoint_id: str) -> Response:
        prices = [
            {"endpoint_id": one, "unit_price": price, "unit": unit, "currency": "USD"}
            for one, (price, unit) in PRICES.items()
            if one in endpoint_id.split(",")
        ]
        return json_answer({"prices": prices, "has_more": False, "next_cursor": None})

    @app.get("/platform/models/requests/by-endpoint")
    async def list_requests(
        endpoint_id: str,
        start: str = "",
        end: str = "",
        status: str = "",
        request_id: str = "",
        expand: str = "",
        limit: Annotated[int, Query(ge=1, le=100)] = 50,
        cursor: int = 0,
    ) -> Response:
        now, items = time.time(), []
        for job in reversed(world.listed_jobs(NAME, now)):
            ended = job.ended(now)
            if job.extra["endpoint"] not in endpoint_id.split(",") or (iso_time(job.created_at) or "") < start:
                continue
            if (end and (iso_time(job.created_at) or "") > end) or request_id not in ("", job.job_id):
                continue
            if status and (not ended or status != ("success" if job.succeeded(now) else "user_error")):
                continue
            if not ended and not world.settings.own(NAME, FalSettings).lists_running:
                continue
            item: dict[str, Any] = {"request_id": job.job_id, "endpoint_id": job.extra["endpoint"]}
            item |= {"sent_at": iso_time(job.created_at), "started_at": iso_time(job.created_at)}
            item |= {"ended_at": iso_time(job.finished_at(now)), "status_code": None}
            if ended:
                item |= {"status_code": 200 if job.succeeded(now) else 422, "duration": job.render_seconds}
            if "payloads" in expand and job.extra.get("stored", True):
                item["json_input"] = job.request
            items.append(item)
        more = cursor + limit < len(items)
        page = {"items": items[cursor : cursor + limit], "has_more": more}
        return json_answer({**page, "next_cursor": str(cursor + limit) if more else None})

    @app.delete("/platform/models/requests/{request_id}/payloads")
    async def delete_payloads(request_id: str) -> Response:
        job = world.find_job(NAME, request_id)
        if job is None:
            raise RefusedError(404, "Request not found")
        world.delete_job(job)
        return Response(status_code=204)

    @app.post("/rest/storage/upload/initiate")
    async def start_upload(body: _Upload) -> Response:
        upload_id = uuid.uuid4().hex
        world.put(UPLOADS, upload_id, {"id": upload_id, "name": body.file_name})
        file_url = contents.link_to(NAME, upload_id, "upload", body.file_name, NEVER)
        return json_answer({"upload_url": contents.upload_link(NAME, upload_id), "file_url": file_url})

    @app.get("/queue/{app_id:path}/requests/{request_id}/status")
    async def get_status(app_id: str, request_id: str, logs: bool = False) -> Response:
        job, now = find(app_id, request_id), time.time()
        shown: dict[str, Any] = {"status": LIFECYCLE.status(job, now), "request_id": request_id}
        if shown["status"] == "IN_QUEUE":
            shown["queue_position"] = 0
        elif logs:
            shown["logs"] = [{"message": "generating", "timestamp": iso_time(job.created_at)}]
        if job.ended(now) and not job.succeeded(now):
            shown |= {"error": _error(job), "error_type": (job.error or {}).get("code", "internal_error")}
        return json_answer(shown, 200 if shown["status"] == "COMPLETED" else 202)

    @app.get("/queue/{app_id:path}/requests/{request_id}")
    async def get_result(app_id: str, request_id: str) -> Response:
        job, now = find(app_id, request_id), time.time()
        if not job.ended(now):
            raise RefusedError(400, "Request is still in progress")
        if not job.succeeded(now):
            raise RefusedError(422, _error(job))
        shown = result(contents, job)
        if contents.job_has_files(job, now):
            shown["video"]["file_size"] = (await contents.of_job(job, "video")).size
        return json_answer(shown)

    @app.put("/queue/{app_id:path}/requests/{request_id}/cancel")
    async def cancel(app_id: str, request_id: str) -> Response:
        job, now = find(app_id, request_id), time.time()
        if job.ended(now):
            return json_answer({"status": "ALREADY_COMPLETED"}, 400)
        world.delete_job(job)
        return json_answer({"status": "CANCELLATION_REQUESTED"}, 202)

    @app.post("/queue/{endpoint:path}")
    async def submit(request: Request, endpoint: str, fal_webhook: str | None = None) -> Response:
        body = await request.json()
        if len(endpoint.split("/")) < 2:
            raise RefusedError(404, f"Application {endpoint!r} not found")
        if not isinstance(body, dict) or not isinstance(body.get("prompt"), str):
            raise RefusedError(422, "Field required")
        request_id = str(uuid.uuid4())
        job = new_job(
            world,
            VENDOR,
            contents,
            job_id=request_id,
            client_id=f"{endpoint}|{request_id}",
            name=body["prompt"],
            request=body,
            keys={"input": body},
            extra={
                "endpoint": endpoint,
                "lifetime": request.headers.get("x-fal-object-lifecycle-preference"),
                "priority": request.headers.get("x-fal-queue-priority"),
                "stored": request.headers.get("x-fal-store-io") != "0",
                "webhook": fal_webhook,
            },
        )
        base = f"{request.url.scheme}://{request.url.netloc}/fal/queue/{app_of(endpoint)}/requests/{job.job_id}"
        urls = {"response_url": base, "status_url": f"{base}/status", "cancel_url": f"{base}/cancel"}
        return json_answer({"request_id": job.job_id, **urls, "queue_position": 0})

    return app


VENDOR = Vendor(
    name=NAME,
    prefix="/fal",
    lifecycle=LIFECYCLE,
    operations=(
        ("GET", "/queue/.*/requests/[^/]+/status", "status"),
        ("GET", "/queue/.*/requests/[^/]+", "video"),
        ("PUT", "/queue/.*/requests/[^/]+/cancel", "cancel delete"),
        ("POST", "/queue/.*", "create"),
        ("GET", "/platform/models/requests/by-endpoint", "list"),
        ("GET", "/platform/models", "catalogue"),
        ("GET", "/platform/models/pricing", "catalogue"),
        ("DELETE", "/platform/.*", "delete"),
        ("POST", "/rest/.*", "upload"),
        ("GET", f"/rest{KEYS_PATH}", "keys"),
    ),
    create_app=create_app,
    error_body=error_body,
    notices=notices,
    example={"endpoint": "fal-ai/kling-video/v2/master/text-to-video", "prompt": "{text}", "duration": "5"},
    refused={"endpoint": "fal-ai/kling-video/v2/master/text-to-video", "prompt": 7},
    connection={
        "host": "{url}/fal/queue",
        "password": KEY,
        "extra": {"platform_url": "{url}/fal/platform", "storage_url": "{url}/fal/rest"},
    },
    settings=FalSettings,
)
