# SPDX-License-Identifier: Apache-2.0
"""Xvid MediaHub's small objects: pipelines, presets and job templates."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Any

from fastapi import APIRouter, Request, Response

from airflow_video_providers.simulator.vendor import RefusedError
from airflow_video_providers.simulator.vendors.xvid.answers import answer, reference
from airflow_video_providers.simulator.vendors.xvid.files import Count

if TYPE_CHECKING:
    from airflow_video_providers.simulator.world import World


def create_router(world: World, kind: str, path: str, envelope: str) -> APIRouter:
    """Create, list, read and change small objects that lie under their type's name."""
    router, store = APIRouter(prefix=path), f"xvid.{kind}s"

    async def body_of(request: Request) -> dict[str, Any]:
        try:
            content = await request.json()
        except (ValueError, RecursionError):
            raise RefusedError(400, "The body is not JSON") from None
        inner = content.get(envelope) if isinstance(content, dict) else None
        if not isinstance(inner, dict):
            raise RefusedError(400, f"{envelope}: Field required")
        return inner

    def shown(request: Request, identifier: str) -> dict[str, Any]:
        return {**world.resources[store][identifier], **reference(request, path.strip("/"), identifier)}

    @router.post("")
    async def create(request: Request) -> Response:
        identifier = secrets.token_hex(12)
        world.put(store, identifier, await body_of(request))
        return answer(request, {envelope: shown(request, identifier)})

    @router.get("")
    async def list_all(request: Request, start: Count = 0, limit: Count = 1000) -> Response:
        found = [shown(request, identifier) for identifier in world.resources[store]]
        page = found[start : start + min(limit, 5000)]
        return answer(request, {f"{envelope}s": page, "start": start, "limit": limit, "total": len(found)})

    @router.get("/{identifier}")
    async def get(request: Request, identifier: str) -> Response:
        check(identifier)
        return answer(request, {envelope: shown(request, identifier)})

    @router.put("/{identifier}")
    async def change(request: Request, identifier: str) -> Response:
        check(identifier)
        world.put(store, identifier, {**world.resources[store][identifier], **await body_of(request)})
        return answer(request, {envelope: shown(request, identifier)})

    def check(identifier: str) -> None:
        if identifier not in world.resources[store]:
            raise RefusedError(404, f"{kind.replace('_', ' ').capitalize()} does not exist", "0x0000004")

    return router
