# SPDX-License-Identifier: Apache-2.0
"""HeyGen's webhooks: the addresses of an account, what is posted to them, and how it is signed."""

from __future__ import annotations

import uuid
from functools import partial
from typing import TYPE_CHECKING, Any

from fastapi import FastAPI, Response
from pydantic import BaseModel, ConfigDict

from airflow_video_providers.simulator.contents import Contents
from airflow_video_providers.simulator.jobs import Job
from airflow_video_providers.simulator.vendor import Notice, RefusedError, hmac_hex, json_answer, json_notice

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airflow_video_providers.simulator.world import World

NAME = "heygen"
WEBHOOKS, EVENTS = "heygen.webhooks", "heygen.events"


class _Webhook(BaseModel):
    model_config = ConfigDict(extra="allow")

    url: str
    events: list[str] | None = None


def _signed(secret: str, event_id: str, body: bytes, now: float) -> Mapping[str, str]:
    return {
        "heygen-signature": hmac_hex(secret, body),
        "heygen-timestamp": str(int(now)),
        "heygen-event-id": event_id,
    }


def _put_webhook(world: World, url: str, events: list[str] | None) -> dict[str, Any]:
    endpoint_id = uuid.uuid4().hex
    webhook = {"endpoint_id": endpoint_id, "url": url, "events": events, "secret": uuid.uuid4().hex}
    world.put(WEBHOOKS, endpoint_id, webhook)
    return webhook


def register_webhook(world: World, url: str) -> str:
    """Register an address for all events."""
    return str(_put_webhook(world, url, None)["secret"])


def notices(world: World, contents: Contents, job: Job, now: float) -> list[Notice]:
    """A webhook to each registered address, signed, and one to the request's ``callback_url``, unsigned."""
    if not job.ended(now):
        return []
    done = job.succeeded(now)
    data: dict[str, Any] = {"video_id": job.job_id, "callback_id": job.request.get("callback_id")}
    data |= {"url": contents.link(job, "video")} if done else {"msg": (job.error or {}).get("message", "failed")}
    kind = f"avatar_video.{'success' if done else 'fail'}"
    content = {"event_type": kind, "event_data": data}
    due: list[Notice] = []
    if isinstance(url := job.request.get("callback_url"), str):
        due.append(json_notice("callback", url, content))
    for webhook in world.resources[WEBHOOKS].values():
        if webhook["events"] is None or kind in webhook["events"]:
            secret, event_id = webhook["secret"], f"{job.job_id}.{webhook['endpoint_id']}"
            if event_id not in world.resources[EVENTS]:
                world.put(EVENTS, event_id, {**content, "entity_id": job.job_id})
            due.append(
                json_notice(
                    webhook["endpoint_id"],
                    webhook["url"],
                    content,
                    partial(_signed, secret, event_id),
                )
            )
    return due


def add_routes(app: FastAPI, world: World) -> None:
    """Add what manages the webhooks of the account."""

    @app.post("/v3/webhooks/endpoints")
    async def create_webhook(body: _Webhook) -> Response:
        webhook = _put_webhook(world, body.url, body.events)
        world.watch_active(NAME)
        return json_answer({"data": {**webhook, "status": "enabled", "created_at": "2026-11-26T00:00:00Z"}})

    @app.get("/v3/webhooks/endpoints")
    async def get_webhooks() -> Response:
        found = [
            {**{name: webhook[name] for name in ("endpoint_id", "url", "events")}, "status": "enabled"}
            for webhook in world.resources[WEBHOOKS].values()
        ]
        return json_answer({"data": found, "has_more": False, "next_token": None})

    @app.post("/v3/webhooks/endpoints/{endpoint_id}/rotate-secret")
    async def rotate(endpoint_id: str) -> Response:
        if endpoint_id not in world.resources[WEBHOOKS]:
            raise RefusedError(404, "The endpoint was not found", "not_found")
        secret = uuid.uuid4().hex
        world.put(WEBHOOKS, endpoint_id, {**world.resources[WEBHOOKS][endpoint_id], "secret": secret})
        return json_answer({"data": {"endpoint_id": endpoint_id, "secret": secret}})

    @app.delete("/v3/webhooks/endpoints/{endpoint_id}")
    async def delete_webhook(endpoint_id: str) -> Response:
        world.drop(WEBHOOKS, endpoint_id)
        return json_answer({"data": {}})

    @app.get("/v3/webhooks/events")
    async def get_events(event_type: str | None = None, entity_id: str | None = None) -> Response:
        events = [
            event
            for event in world.resources[EVENTS].values()
            if event_type in (None, event["event_type"]) and entity_id in (None, event["entity_id"])
        ]
        return json_answer({"data": events, "has_more": False, "next_token": None})
