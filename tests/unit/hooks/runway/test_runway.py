# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import io
import json
from typing import Any

import pytest

from airflow_video_providers.exceptions import (
    VideoApiInvalidRequestError,
    VideoApiUnavailableError,
    VideoConfigurationError,
    VideoOutputNotReadyError,
)
from airflow_video_providers.hooks.runway import RunwayHook
from airflow_video_providers.jobs import JobCost, JobState
from airflow_video_providers.retry_policy import is_hopeless
from tests.support.local_api import Answer, LocalApi

TASK = "17f20503-6c24-4c16-946b-35dbbce2af2f"
TEXT = {"model": "gen4.5", "promptText": "a red kite", "ratio": "1280:720", "duration": 5}


@pytest.fixture
def hook(local_api: LocalApi, monkeypatch: pytest.MonkeyPatch) -> RunwayHook:
    connection = {"conn_type": "runway", "host": local_api.url, "password": "s3cret"}
    monkeypatch.setenv("AIRFLOW_CONN_RUNWAY_DEFAULT", json.dumps(connection))
    return RunwayHook()


def task(**fields: Any) -> Answer:
    return Answer(json={"id": TASK, "createdAt": "2026-11-26T10:00:00Z", **fields})


class TestSubmit:
    def test_the_endpoint_is_the_path_and_not_in_the_body(self, hook: RunwayHook, local_api: LocalApi) -> None:
        local_api.on("POST", "/v1/text_to_video", Answer(json={"id": TASK, "estimatedCost": {"credits": 60}}))
        job = hook.submit_job({"endpoint": "text_to_video", **TEXT}, key="key-1")
        assert (job.job_id, job.state, job.cost) == (TASK, JobState.QUEUED, JobCost(amount=60, unit="credits"))
        (request,) = local_api.received
        assert request.json() == TEXT
        assert request.headers["authorization"] == "Bearer s3cret"
        assert request.headers["x-runway-version"] == "2024-11-06"

    def test_the_version_can_be_set(
        self, hook: RunwayHook, local_api: LocalApi, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        connection = {"conn_type": "runway", "host": local_api.url, "password": "s", "extra": {"api_version": "2027"}}
        monkeypatch.setenv("AIRFLOW_CONN_RUNWAY_DEFAULT", json.dumps(connection))
        local_api.on("GET", f"/v1/tasks/{TASK}", task(status="PENDING"))
        RunwayHook().get_job(TASK)
        assert local_api.received[0].headers["x-runway-version"] == "2027"

    @pytest.mark.parametrize("endpoint", [None, "", "../tasks", "text to video", "tasks/../x", "a//b", "?x=1"])
    def test_nothing_is_sent_without_a_path(self, hook: RunwayHook, local_api: LocalApi, endpoint: Any) -> None:
        with pytest.raises(VideoConfigurationError, match="text_to_video"):
            hook.submit_job({"endpoint": endpoint, **TEXT})
        assert local_api.count() == 0

    def test_a_lost_answer_is_sent_once_and_unknown(self, hook: RunwayHook, local_api: LocalApi) -> None:
        local_api.on("POST", "/v1/text_to_video", Answer(status=504))
        with pytest.raises(VideoApiUnavailableError) as caught:
            hook.submit_job({"endpoint": "text_to_video", **TEXT})
        assert caught.value.outcome_unknown
        assert local_api.count() == 1

    def test_a_refusal_says_the_vendors_words(self, hook: RunwayHook, local_api: LocalApi) -> None:
        local_api.on("POST", "/v1/text_to_video", Answer(status=400, json={"error": "Validation of body failed"}))
        with pytest.raises(VideoApiInvalidRequestError, match="Validation of body failed") as caught:
            hook.submit_job({"endpoint": "text_to_video", **TEXT})
        assert not caught.value.outcome_unknown

    def test_a_workflow_is_polled_at_its_own_path(self, hook: RunwayHook, local_api: LocalApi) -> None:
        local_api.on("POST", "/v1/workflows/w-1", Answer(json={"id": TASK}))
        job = hook.submit_job({"endpoint": "workflows/w-1", "nodeOutputs": {}})
        assert job.job_id == f"workflow:{TASK}"
        links = {"node-a": ["https://files.invalid/a.mp4?s=1"], "node-b": ["https://files.invalid/b.png?s=1"]}
        local_api.on("GET", f"/v1/workflow_invocations/{TASK}", task(status="SUCCEEDED", output=links))
        assert hook.get_job(job.job_id).job_id == job.job_id
        outputs = hook.get_outputs(job.job_id)
        assert [(output.kind, output.label) for output in outputs] == [("video", "node-a"), ("image", "node-b")]
        with pytest.raises(VideoConfigurationError, match="no way to cancel"):
            hook.cancel_job(job.job_id)


class TestStatus:
    @pytest.mark.parametrize(
        ("fields", "state", "cost"),
        [
            ({"status": "PENDING", "estimatedCost": {"credits": 60}}, JobState.QUEUED, 60),
            ({"status": "THROTTLED", "estimatedCost": {"credits": 60}}, JobState.QUEUED, 60),
            ({"status": "RUNNING", "progress": 0.25, "estimatedCost": {"credits": 60}}, JobState.RUNNING, 60),
            ({"status": "SUCCEEDED", "output": ["https://x.invalid/a.mp4"], "cost": {"credits": 50}}, "succeeded", 50),
            ({"status": "CANCELLED", "cost": {"credits": 0}}, JobState.CANCELLED, 0),
            ({"status": "WHAT_IS_NEW"}, JobState.RUNNING, None),
        ],
    )
    def test_each_status(
        self, hook: RunwayHook, local_api: LocalApi, fields: dict[str, Any], state: JobState, cost: float | None
    ) -> None:
        local_api.on("GET", f"/v1/tasks/{TASK}", task(**fields))
        job = hook.get_job(TASK)
        assert (job.state, job.progress) == (state, fields.get("progress"))
        assert (job.cost and job.cost.amount) == cost

    def test_a_failure_has_code_and_reason(self, hook: RunwayHook, local_api: LocalApi) -> None:
        local_api.on(
            "GET", f"/v1/tasks/{TASK}", task(status="FAILED", failure="moderated", failureCode="SAFETY.INPUT.TEXT")
        )
        job = hook.get_job(TASK)
        error = job.error
        assert error is not None
        assert is_hopeless(job, hook.hopeless_codes)
        assert (error.code, error.message) == ("SAFETY.INPUT.TEXT", "moderated")


class TestOutputs:
    def test_several_files_are_told_apart(self, hook: RunwayHook, local_api: LocalApi) -> None:
        links = ["https://x.invalid/f/a.mp4?sig=1", "https://x.invalid/f/b.wav?sig=2"]
        local_api.on("GET", f"/v1/tasks/{TASK}", task(status="SUCCEEDED", output=links))
        outputs = hook.get_outputs(TASK)
        assert [(o.kind, o.label, o.name) for o in outputs] == [("video", "1", "a.mp4"), ("audio", "2", "b.wav")]

    def test_a_finished_task_without_links_is_not_ready(self, hook: RunwayHook, local_api: LocalApi) -> None:
        local_api.on("GET", f"/v1/tasks/{TASK}", task(status="SUCCEEDED", output=[]))
        with pytest.raises(VideoOutputNotReadyError, match="output"):
            hook.get_outputs(TASK)


class TestCancel:
    def test_a_finished_task_keeps_its_output(self, hook: RunwayHook, local_api: LocalApi) -> None:
        local_api.on("GET", f"/v1/tasks/{TASK}", task(status="SUCCEEDED", output=["https://x.invalid/a.mp4"]))
        seen = hook.cancel_job(TASK)
        assert seen is not None
        assert seen.state is JobState.SUCCEEDED
        assert [request.method for request in local_api.received] == ["GET"]

    def test_a_throttled_task_is_cancelled(self, hook: RunwayHook, local_api: LocalApi) -> None:
        local_api.on("GET", f"/v1/tasks/{TASK}", task(status="THROTTLED"))
        local_api.on("DELETE", f"/v1/tasks/{TASK}", Answer(status=204))
        assert hook.cancel_job(TASK) is not None
        assert [request.method for request in local_api.received] == ["GET", "DELETE"]


def test_an_upload_goes_to_the_store_without_the_secret(hook: RunwayHook, local_api: LocalApi) -> None:
    placeholder = {"uploadUrl": f"{local_api.url}/store/1", "fields": {"key": "k"}, "runwayUri": "runway://1"}
    local_api.on("POST", "/v1/uploads", Answer(json=placeholder))
    local_api.on("POST", "/store/1", Answer(status=204))
    assert hook.upload_media(io.BytesIO(b"abc"), name="a.png", size=3, media_type="image/png") == "runway://1"
    assert local_api.received[0].json() == {"filename": "a.png", "type": "ephemeral"}
    body = local_api.received[1].body
    assert body.index(b'name="key"') < body.index(b'name="file"')
