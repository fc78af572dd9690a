# SPDX-License-Identifier: Apache-2.0
"""What Hour One's hook makes of a connection, beside what all hooks do."""

from __future__ import annotations

import json
from typing import Any

import pytest

from airflow_video_providers.exceptions import VideoConfigurationError
from airflow_video_providers.hooks.hourone import HourOneHook
from tests.support.local_api import Answer, LocalApi


def connect(monkeypatch: pytest.MonkeyPatch, **fields: Any) -> HourOneHook:
    fields = {"conn_type": "hourone", "password": "hush-hush", **fields}
    monkeypatch.setenv("AIRFLOW_CONN_HOURONE_DEFAULT", json.dumps(fields))
    return HourOneHook()


def test_the_ids_that_are_sent_as_headers(monkeypatch: pytest.MonkeyPatch, local_api: LocalApi) -> None:
    local_api.on("POST", "/videos", Answer(json={"id": "1", "status": "started"}))
    extra = {"workspace_id": "w\n", "team_id": " "}
    hook = connect(monkeypatch, host=local_api.url, extra=extra)
    hook.create_video({})
    headers = local_api.received[0].headers
    assert headers["workspace-id"] == "w"
    assert "team-id" not in headers
    with pytest.raises(VideoConfigurationError, match="workspace_id"):
        connect(monkeypatch, host=local_api.url, extra={"workspace_id": "a\nb"}).create_video({})
    assert local_api.count() == 1
