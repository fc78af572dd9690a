# SPDX-License-Identifier: Apache-2.0
"""A hook that hears callbacks, and what a test signs for it."""

from __future__ import annotations

import hashlib
import hmac
import json
from typing import Any, TypeVar
from urllib.parse import parse_qsl, urlsplit

import pytest
from airflow.sdk import Connection

from airflow_video_providers.exceptions import VideoCallbackRefusedError
from airflow_video_providers.hooks.base import VideoHook

Hook = TypeVar("Hook", bound=VideoHook)

SECRET = "a-secret-of-the-connection"
BASE = "https://airflow.example.com"


def hearing(kind: type[Hook], **extra: Any) -> Hook:
    """Return a hook whose connection has a callback secret; nothing is sent."""
    hook = kind(kind.default_conn_name)
    extras = json.dumps({"callback_secret": SECRET, **extra})
    hook.connection = Connection(conn_id=hook.conn_id, conn_type=kind.conn_type, password="k3y", extra=extras)
    return hook


def hmac_of(message: bytes, secret: str = SECRET) -> str:
    """Return HMAC-SHA256 in hex."""
    return hmac.new(secret.encode(), message, hashlib.sha256).hexdigest()


def headers_of(url: str) -> dict[str, str]:
    """Return the headers that a server makes of an address's query."""
    query = dict(parse_qsl(urlsplit(url).query))
    named = {"X-Video-Callback-Key": query.get("key"), "X-Video-Callback-Token": query.get("token")}
    return {name: value for name, value in named.items() if value is not None}


def status_of(hook: VideoHook, headers: dict[str, str], body: bytes) -> int:
    """Return the status by which a hook refuses a callback."""
    with pytest.raises(VideoCallbackRefusedError) as caught:
        hook.verify_callback(headers, body)
    return caught.value.status
