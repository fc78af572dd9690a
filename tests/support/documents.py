# SPDX-License-Identifier: Apache-2.0
"""The vendors' documents in ``tests/recorded``, as responses of a local server."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, TypeVar

import pytest

from airflow_video_providers.hooks.base import VideoHook
from tests.support.local_api import Answer, LocalApi

Hook = TypeVar("Hook", bound=VideoHook)

RECORDED = Path(__file__).parents[1] / "recorded"


def document(vendor: str, name: str, status: int = 200) -> Answer:
    """Return a response with a vendor's document."""
    return Answer(status=status, json=json.loads((RECORDED / vendor / f"{name}.json").read_text("utf-8")))


def connect(hook: type[Hook], api: LocalApi, monkeypatch: pytest.MonkeyPatch, **fields: Any) -> Hook:
    """Return a hook whose default connection leads to a local server; ``fields`` replace those of the connection."""
    connection = {"conn_type": hook.conn_type, "host": api.url, "password": "k3y", **fields}
    monkeypatch.setenv(f"AIRFLOW_CONN_{hook.default_conn_name.upper()}", json.dumps(connection))
    return hook(retry_deadline=0.1)
