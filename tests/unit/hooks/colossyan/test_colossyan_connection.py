# SPDX-License-Identifier: Apache-2.0
"""What Colossyan's hook makes of a connection, beside what all hooks do."""

from __future__ import annotations

import json
from typing import Any

import pytest

from airflow_video_providers.exceptions import VideoConfigurationError
from airflow_video_providers.hooks.colossyan import ColossyanHook
from tests.support.local_api import Answer, LocalApi


def connect(monkeypatch: pytest.MonkeyPatch, **fields: Any) -> ColossyanHook:
    fields = {"conn_type": "colossyan", "password": "hush-hush", **fields}
    monkeypatch.setenv("AIRFLOW_CONN_COLOSSYAN_DEFAULT", json.dumps(fields))
    return ColossyanHook()


@pytest.mark.parametrize("body", [{}, {"ok": True}, [{"id": 1}], "hello", None])
def test_another_service_is_not_taken_for_colossyan(
    monkeypatch: pytest.MonkeyPatch, local_api: LocalApi, body: Any
) -> None:
    local_api.on("GET", "/assets/actors", Answer(json=body))
    assert connect(monkeypatch, host=local_api.url).test_connection()[0] is False


@pytest.mark.parametrize(
    ("request_body", "right"),
    [
        ({"templateJobId": "t", "callback": "https://me.example"}, "callbackUrl"),
        ({"videoCreative": {}, "callbackUrl": "https://me.example"}, "callback"),
    ],
)
def test_the_name_of_the_other_kind_is_refused(
    monkeypatch: pytest.MonkeyPatch, local_api: LocalApi, request_body: dict[str, Any], right: str
) -> None:
    with pytest.raises(VideoConfigurationError, match=f"'{right}' there"):
        connect(monkeypatch, host=local_api.url).submit_job(request_body, key="k")
    assert local_api.received == []
