# SPDX-License-Identifier: Apache-2.0
"""Callbacks of a vendor that does not sign, and the app that receives them, in process."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from airflow_video_providers.callbacks.app import make_app
from airflow_video_providers.callbacks.connections import find_hook
from airflow_video_providers.hooks.base import VideoHook
from tests.support.vendors import HOOKS

SECRET = "a secret of 24 characters"
CONN_ID = "calls_back"
UNSIGNED = next(name for name, hook in HOOKS.items() if hook.verify_callback is VideoHook.verify_callback)
"""A vendor whose callbacks are proved by the token of their address."""
KEY = "avp-" + "0123456789" * 4


@dataclass
class Caller:
    """Posts to the app as a vendor does."""

    client: httpx.AsyncClient
    hook: VideoHook

    async def post(self, body: Any = None, *, key: str | None = KEY, url: str | None = None, **options: Any) -> int:
        """Post a callback for a key; return the status of the response, which must say nothing else."""
        parts = urlsplit(url or self.hook.callback_url("http://airflow.example", key))
        target = f"{parts.path.removeprefix('/video-callbacks')}?{parts.query}"
        content = body if isinstance(body, bytes) else json.dumps({} if body is None else body).encode()
        options.setdefault("headers", {"Content-Type": "application/json"})
        answer = await self.client.post(target, content=content, **options)
        assert answer.content == b"" or answer.status_code in (404, 405)
        return answer.status_code


def make_caller(monkeypatch: pytest.MonkeyPatch) -> Caller:
    """Return a caller of a fresh app, and set the connection that it calls."""
    fields = {"conn_type": UNSIGNED, "password": "the key", "extra": {"callback_secret": SECRET}}
    monkeypatch.setenv(f"AIRFLOW_CONN_{CONN_ID.upper()}", json.dumps(fields))
    find_hook(CONN_ID)  # the first look-up of a process makes Airflow read its providers
    transport = httpx.ASGITransport(app=make_app(), raise_app_exceptions=False)
    return Caller(httpx.AsyncClient(transport=transport, base_url="http://airflow.example"), HOOKS[UNSIGNED](CONN_ID))
