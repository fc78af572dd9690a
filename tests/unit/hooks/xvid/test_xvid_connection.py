# SPDX-License-Identifier: Apache-2.0
"""What Xvid's hook makes of a connection, beside what all hooks do."""

from __future__ import annotations

import json
from typing import Any

import pytest

from airflow_video_providers.hooks.xvid import XvidHook
from tests.support.local_api import Answer, LocalApi


def connect(monkeypatch: pytest.MonkeyPatch, **fields: Any) -> XvidHook:
    fields = {"conn_type": "xvid", "login": "me", "password": "hush-hush", **fields}
    monkeypatch.setenv("AIRFLOW_CONN_XVID_DEFAULT", json.dumps(fields))
    return XvidHook()


def test_closing_closes_both_sessions(monkeypatch: pytest.MonkeyPatch, local_api: LocalApi) -> None:
    local_api.on("POST", "/oauth2/token/", Answer(json={"access_token": "t0ken"}))
    local_api.on("GET", "/jobs/1", Answer(json={"job": {"id": "1", "status": "QUEUED"}}))
    hook = connect(monkeypatch, host=local_api.url)
    hook.get_job("1")
    adapters = [client.session.get_adapter(local_api.url) for client in (hook.client, hook.plain_client)]
    assert [len(adapter.poolmanager.pools) for adapter in adapters] == [1, 1]
    hook.close()
    assert [len(adapter.poolmanager.pools) for adapter in adapters] == [0, 0]
    hook.get_job("1")
    assert local_api.count("POST") == 2, "a hook that was closed opens itself again"
    hook.close()
