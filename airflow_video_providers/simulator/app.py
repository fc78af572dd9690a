# SPDX-License-Identifier: Apache-2.0
"""One application of all vendors, the links' server and the control API, behind the gate of faults."""

from __future__ import annotations

import asyncio
import contextlib
import json
import secrets
from typing import TYPE_CHECKING

from fastapi import FastAPI

from airflow_video_providers.simulator import contents, control
from airflow_video_providers.simulator.callbacks import Messenger
from airflow_video_providers.simulator.contents import Contents
from airflow_video_providers.simulator.faults import Gate
from airflow_video_providers.simulator.media import Studio
from airflow_video_providers.simulator.vendors import load_vendors

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from airflow_video_providers.simulator.world import World

ALL_VENDORS = load_vendors()


def create_app(world: World, media_directory: Path) -> Gate:
    """The whole simulator as one ASGI application."""
    studio = Studio(media_directory)
    shelf = Contents(world, studio, world.meta("link_secret", secrets.token_hex(32)))
    messenger = Messenger(world, shelf, ALL_VENDORS)

    @contextlib.asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        task = asyncio.create_task(messenger.run())
        yield
        task.cancel()
        world.flush()

    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None, lifespan=lifespan)
    app.mount("/_simulator", control.create_app(world, shelf, ALL_VENDORS))
    app.mount("/media", contents.create_app(shelf))
    for vendor in ALL_VENDORS.values():
        if vendor.create_upload_app:
            app.mount(f"/upload/{vendor.name}", vendor.create_upload_app(world, media_directory))
        app.mount(vendor.prefix, vendor.create_app(world, shelf))
    return Gate(app, world, classify, error_answer)


def classify(method: str, path: str) -> tuple[str, tuple[str, ...]] | None:
    """Vendor and operation of a request, or None for what is not a vendor's."""
    first, _, rest = path.lstrip("/").partition("/")
    if first in ("media", "upload"):
        vendor = rest.partition("/")[0]
        names = ("download",) if first == "media" else ("upload",)
        return (vendor, names) if vendor in ALL_VENDORS else None
    for vendor_ in ALL_VENDORS.values():
        if path.startswith(f"{vendor_.prefix}/"):
            return vendor_.name, vendor_.classify(method, path)
    return None


def error_answer(vendor: str, status: int, message: str) -> tuple[str, bytes]:
    """A fault's error in the vendor's form, or in an object store's for a link."""
    if vendor in ALL_VENDORS:
        return "application/json", json.dumps(ALL_VENDORS[vendor].error_body(status, message)).encode()
    store = contents.store_error(status, "AccessDenied" if status == 403 else "ServiceError", message)
    return "application/xml", bytes(store.body)
