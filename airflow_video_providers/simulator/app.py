# SPDX-License-Identifier: Apache-2.0
"""One application: all vendors, the links' server, the stores for uploads, the control API and the pages."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from typing import TYPE_CHECKING

from fastapi import FastAPI

from airflow_video_providers.simulator import contents, control, pages, uploads
from airflow_video_providers.simulator.callbacks import Messenger
from airflow_video_providers.simulator.contents import Contents
from airflow_video_providers.simulator.gate import Gate
from airflow_video_providers.simulator.media import Studio
from airflow_video_providers.simulator.vendors import load_vendors

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from airflow_video_providers.simulator.world import World


def create_app(world: World, media_directory: Path) -> Gate:
    """Return the whole simulator as one ASGI application."""
    vendors = load_vendors()
    shelf = Contents(world, Studio(media_directory), world.meta("link_secret", secrets.token_hex(32)))
    shelf.key_headers = frozenset(header for vendor in vendors.values() for header in vendor.key_headers)
    messenger = Messenger(world, shelf, vendors)

    @contextlib.asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        task = asyncio.create_task(messenger.run())
        yield
        task.cancel()
        world.flush()

    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None, lifespan=lifespan)
    app.mount("/_simulator", control.create_app(world, shelf, vendors))
    app.mount("/media", contents.create_app(shelf))
    app.mount("/upload", uploads.create_app(world, shelf))
    for vendor in vendors.values():
        app.mount(vendor.prefix, vendor.create_app(world, shelf))
    app.include_router(pages.create_router(world, shelf, vendors))
    return Gate(app, world, vendors)
