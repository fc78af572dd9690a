# SPDX-License-Identifier: Apache-2.0
"""What the hook makes of the vendor's documents in ``tests/recorded/fal``."""

from __future__ import annotations

from datetime import datetime, timezone

import pytest

from airflow_video_providers.exceptions import VideoApiInvalidRequestError, VideoJobFailedError
from airflow_video_providers.hooks.fal import FalHook
from airflow_video_providers.jobs import JobState
from tests.support.documents import connect, document
from tests.support.local_api import LocalApi

ENDPOINT = "fal-ai/kling-video/v2/master/text-to-video"
REQUEST = "764cabcf-b745-4b3e-ae38-1200304cf45b"
JOB = f"{ENDPOINT}|{REQUEST}"
READ = f"/fal-ai/kling-video/requests/{REQUEST}"
BODY = {"endpoint": ENDPOINT, "prompt": "a kite", "seed": 7}


@pytest.fixture
def hook(local_api: LocalApi, monkeypatch: pytest.MonkeyPatch) -> FalHook:
    extra = {"platform_url": f"{local_api.url}/platform", "storage_url": f"{local_api.url}/rest"}
    return connect(FalHook, local_api, monkeypatch, extra=extra)


def test_a_create(hook: FalHook, local_api: LocalApi) -> None:
    local_api.on("POST", f"/{ENDPOINT}", document("fal", "queued"))
    job = hook.submit_job(BODY)
    assert (job.job_id, job.stage) == (JOB, "2 before it in the queue")


@pytest.mark.parametrize(
    ("name", "state"),
    [("in_queue", JobState.QUEUED), ("completed", JobState.SUCCEEDED), ("failed", JobState.FAILED)],
)
def test_completed_is_success_or_failure(hook: FalHook, local_api: LocalApi, name: str, state: JobState) -> None:
    local_api.on("GET", f"{READ}/status", document("fal", name))
    job = hook.get_job(JOB)
    assert job.state is state
    assert (job.error is not None) == (name == "failed")


def test_a_result(hook: FalHook, local_api: LocalApi) -> None:
    local_api.on("GET", f"{READ}/status", document("fal", "completed"))
    local_api.on("GET", READ, document("fal", "result"))
    (output,) = hook.get_outputs(JOB)
    assert (output.kind, output.name, output.size, output.media_type) == ("video", "out.mp4", 2417893, "video/mp4")


def test_a_failed_request_has_no_files(hook: FalHook, local_api: LocalApi) -> None:
    local_api.on("GET", f"{READ}/status", document("fal", "failed"))
    with pytest.raises(VideoJobFailedError, match="runner_disconnected"):
        hook.get_outputs(JOB)


def test_the_list_finds_a_request_by_its_input(hook: FalHook, local_api: LocalApi) -> None:
    local_api.on("GET", "/platform/models/requests/by-endpoint", document("fal", "requests"))
    found = hook.find_job("key-1", request=BODY, since=datetime(2026, 11, 26, 10, tzinfo=timezone.utc))
    assert found is not None
    assert (found.job_id, found.state) == (JOB, JobState.SUCCEEDED)


@pytest.mark.parametrize(
    ("name", "text", "code"),
    [("model_error", "Field required", "missing"), ("queue_error", "Request timed out", "request_timeout")],
)
def test_each_form_of_an_error(hook: FalHook, local_api: LocalApi, name: str, text: str, code: str) -> None:
    local_api.on("POST", f"/{ENDPOINT}", document("fal", name, 422))
    with pytest.raises(VideoApiInvalidRequestError, match=text) as caught:
        hook.submit_job(BODY)
    assert caught.value.code == code
