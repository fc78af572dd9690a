# SPDX-License-Identifier: Apache-2.0
"""Connections, answers and a recorded job of Xvid, for the tests of its hook."""

from __future__ import annotations

import json
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest

from airflow_video_providers.hooks.xvid import XvidHook
from tests.support.scripted_api import Answer, Asked, ScriptedApi

RECORDED = json.loads((Path(__file__).parents[1] / "recorded/xvid/get_job.json").read_text())
JOB_ID = "559cbbec14ea67a7cad6c7d8"
VIDEO_ID, ZIP_ID, THUMBNAIL_ID = "559cbbeca636e56d8ae111f4", "559cbbeca636e56d8ae111f2", "559cbbeca636e56d8ae111f3"
SINCE = datetime(2026, 1, 1, tzinfo=timezone.utc)
REQUEST = {"pipeline": {"id": "P"}, "input": {"input_name": "in.mp4"}}


def connect(api: ScriptedApi, monkeypatch: pytest.MonkeyPatch, **fields: Any) -> XvidHook:
    connection = {"conn_type": "xvid", "host": f"{api.url}/v1", "login": "me", "password": "hush", **fields}
    monkeypatch.setenv("AIRFLOW_CONN_XVID_DEFAULT", json.dumps(connection))
    return XvidHook(retry_deadline=3)


def job(job_id: str = "j1", status: str = "PROCESSING", **fields: Any) -> dict[str, Any]:
    return {"id": job_id, "status": status, **fields}


def jobs(*found: dict[str, Any]) -> Answer:
    return Answer({"jobs": list(found), "start": 0, "limit": 1000})


def error(status: int, code: str = "0x0050001", message: str = "Invalid input") -> Answer:
    return Answer({"error": {"error_code": code, "error_message": message}}, status=status)


def paged(*ids: str, cap: int = 1000, **fields: Any) -> Any:
    def serve(asked: Asked) -> Answer:
        start, limit = int(asked.query["start"]), min(int(asked.query["limit"]), cap)
        found = [job(job_id, **fields) for job_id in ids[start : start + limit]]
        return Answer({"jobs": found, "start": start, "limit": limit})

    return serve
