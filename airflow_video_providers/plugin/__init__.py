# SPDX-License-Identifier: Apache-2.0
"""
What Airflow mounts on its API server: one plugin, found by the entry point group ``airflow.plugins``.

Every process of Airflow imports this module, so it imports nothing heavy: an app is imported at its first request.
"""

from __future__ import annotations

import asyncio
import importlib
import sys
import threading
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from airflow.plugins_manager import AirflowPlugin

Scope = MutableMapping[str, Any]

_loading = threading.Lock()


class LazyApp:
    """
    An ASGI app that is imported at its first request.

    :param path: ``package.module:name`` of the app.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self._app: Any = None

    async def __call__(
        self, scope: Scope, receive: Callable[[], Awaitable[Any]], send: Callable[[Any], Awaitable[None]]
    ) -> None:
        """Pass the request on."""
        if self._app is None:
            # In a thread: the import takes longer than the event loop of the API server should be held.
            self._app = await asyncio.to_thread(self._load)
        await self._app(scope, receive, send)

    def start_loading(self) -> None:
        """Import the app in a thread, so that the first request need not wait."""
        threading.Thread(target=self._load, name=f"load {self.path}", daemon=True).start()

    def _load(self) -> Any:
        from sqlalchemy.orm import configure_mappers

        module, _, name = self.path.partition(":")
        with _loading:
            # Airflow imports all of its models while the mappers are configured, under a lock that each model's class
            # takes too. An import of a model that comes first would hold the lock of its module, and wait for that one.
            configure_mappers()
            return getattr(importlib.import_module(module), name)


class VideoProvidersPlugin(AirflowPlugin):
    """The provider's part of the API server; a further page or app is one more entry of these lists."""

    name = "video_providers"
    fastapi_apps: list[Any] = [  # noqa: RUF012  # Airflow declares no ClassVar
        {
            "app": LazyApp("airflow_video_providers.callbacks.served:app"),
            "url_prefix": "/video-callbacks",
            "name": "Callbacks of video APIs",
        },
        {
            "app": LazyApp("airflow_video_providers.plugin.videos.app:app"),
            "url_prefix": "/videos",
            "name": "Videos",
        },
    ]
    external_views: list[Any] = [  # noqa: RUF012  # Airflow declares no ClassVar
        # No slash before it: Airflow resolves it below its own base URL. At the top of the nav as well as in its menus.
        {"name": "Videos", "href": "videos/", "destination": "nav", "url_route": "videos", "nav_top_level": True},
    ]

    @classmethod
    def on_load(cls, *args: Any, **kwargs: Any) -> None:
        """In the processes of the API server: begin to import the apps, and let the test icon work without a port."""
        if "airflow.api_fastapi.app" in sys.modules:
            from airflow_video_providers.plugin.unused_port import mend_test_icon

            mend_test_icon()
            for each in cls.fastapi_apps:
                if isinstance(each["app"], LazyApp):
                    each["app"].start_loading()
