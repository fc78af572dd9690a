# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import io
import json
from datetime import datetime, timezone
from typing import Any

import pytest

from airflow_video_providers.exceptions import (
    SubmissionKeyConflictError,
    VideoApiInvalidRequestError,
    VideoApiUnavailableError,
    VideoConfigurationError,
    VideoJobFailedError,
    VideoOutputNotReadyError,
)
from airflow_video_providers.hooks.fal import FalHook
from airflow_video_providers.hooks.fal.files import find_outputs
from airflow_video_providers.jobs import JobState
from tests.support.local_api import Answer, LocalApi

ENDPOINT = "fal-ai/kling-video/v2/master/text-to-video"
BODY = {"endpoint": ENDPOINT, "prompt": "a kite", "seed": 7}
REQUEST = "764cabcf-b745-4b3e-ae38-1200304cf45b"
JOB = f"{ENDPOINT}|{REQUEST}"
STATUS = f"/fal-ai/kling-video/requests/{REQUEST}/status"
RESULT = f"/fal-ai/kling-video/requests/{REQUEST}"
LIST = "/platform/models/requests/by-endpoint"
SINCE = datetime(2026, 11, 26, 10, 0, tzinfo=timezone.utc)


def connect(local_api: LocalApi, monkeypatch: pytest.MonkeyPatch, **extra: Any) -> FalHook:
    urls = {"platform_url": f"{local_api.url}/platform", "storage_url": f"{local_api.url}/rest"}
    connection = {"conn_type": "fal", "host": local_api.url, "password": "k3y", "extra": {**urls, **extra}}
    monkeypatch.setenv("AIRFLOW_CONN_FAL_DEFAULT", json.dumps(connection))
    return FalHook(retry_deadline=0.1)


@pytest.fixture
def hook(local_api: LocalApi, monkeypatch: pytest.MonkeyPatch) -> FalHook:
    return connect(local_api, monkeypatch)


class TestSubmit:
    def test_the_endpoint_is_the_path_and_the_id_holds_it(self, hook: FalHook, local_api: LocalApi) -> None:
        local_api.on("POST", f"/{ENDPOINT}", Answer(json={"request_id": REQUEST, "queue_position": 3}))
        job = hook.submit_job(BODY, key="key-1")
        assert (job.job_id, job.state, job.stage) == (JOB, JobState.QUEUED, "3 before it in the queue")
        (request,) = local_api.received
        assert request.json() == {"prompt": "a kite", "seed": 7}
        assert request.headers["authorization"] == "Key k3y"
        assert "fal_webhook" not in request.query

    def test_headers_of_the_connection(self, local_api: LocalApi, monkeypatch: pytest.MonkeyPatch) -> None:
        hook = connect(local_api, monkeypatch, object_lifetime=3600, priority="low")
        local_api.on("POST", f"/{ENDPOINT}", Answer(json={"request_id": REQUEST}))
        hook.submit_job(BODY)
        headers = local_api.received[0].headers
        assert json.loads(headers["x-fal-object-lifecycle-preference"]) == {"expiration_duration_seconds": 3600}
        assert headers["x-fal-queue-priority"] == "low"

    def test_without_extras_no_header_is_sent(self, hook: FalHook, local_api: LocalApi) -> None:
        local_api.on("POST", f"/{ENDPOINT}", Answer(json={"request_id": REQUEST}))
        hook.submit_job(BODY)
        assert not [name for name in local_api.received[0].headers if name.startswith("x-fal-")]

    @pytest.mark.parametrize(
        ("extra", "header", "value"),
        [
            (
                {"object_lifetime": "never"},
                "x-fal-object-lifecycle-preference",
                '{"expiration_duration_seconds": null}',
            ),
            ({"object_lifetime": "60"}, "x-fal-object-lifecycle-preference", '{"expiration_duration_seconds": 60}'),
            ({"start_timeout": 30}, "x-fal-request-timeout", "30"),
            ({"runner_hint": "warm"}, "x-fal-runner-hint", "warm"),
            ({"store_payloads": False}, "x-fal-store-io", "0"),
            ({"queue_retries": "false"}, "x-fal-no-retry", "1"),
        ],
    )
    def test_each_header_has_an_extra(
        self, local_api: LocalApi, monkeypatch: pytest.MonkeyPatch, extra: dict[str, Any], header: str, value: str
    ) -> None:
        local_api.on("POST", f"/{ENDPOINT}", Answer(json={"request_id": REQUEST}))
        connect(local_api, monkeypatch, **extra).submit_job(BODY)
        headers = local_api.received[0].headers
        assert headers[header] == value
        assert len([name for name in headers if name.startswith("x-fal-")]) == 1

    @pytest.mark.parametrize(
        "extra",
        [{"object_lifetime": "soon"}, {"object_lifetime": 0.5}, {"priority": "high"}, {"start_timeout": -1}],
    )
    def test_an_extra_that_cannot_work_is_named(
        self, local_api: LocalApi, monkeypatch: pytest.MonkeyPatch, extra: dict[str, Any]
    ) -> None:
        with pytest.raises(VideoConfigurationError, match=next(iter(extra))):
            connect(local_api, monkeypatch, **extra).submit_job(BODY)
        assert local_api.count() == 0

    def test_the_key_goes_into_the_query_of_the_webhook(self, hook: FalHook, local_api: LocalApi) -> None:
        local_api.on("POST", f"/{ENDPOINT}", Answer(json={"request_id": REQUEST}))
        hook.submit_job({**BODY, "fal_webhook": "https://me.invalid/cb?a=1"}, key="key-1")
        sent = local_api.received[0]
        assert sent.query["fal_webhook"] == ["https://me.invalid/cb?a=1&airflow_submission_key=key-1"]
        assert "fal_webhook" not in sent.json()

    @pytest.mark.parametrize(
        ("changes", "error"),
        [
            ({"endpoint": None}, VideoConfigurationError),
            ({"endpoint": "veo"}, VideoConfigurationError),
            ({"endpoint": "fal-ai/../x"}, VideoConfigurationError),
            ({"endpoint": "workflows/me"}, VideoConfigurationError),
            ({"fal_webhook": 7}, VideoConfigurationError),
            ({"fal_webhook": "https://me.invalid?airflow_submission_key=other"}, SubmissionKeyConflictError),
        ],
    )
    def test_nothing_is_sent_that_cannot_work(
        self, hook: FalHook, local_api: LocalApi, changes: dict[str, Any], error: type[Exception]
    ) -> None:
        with pytest.raises(error):
            hook.submit_job({**BODY, **changes}, key="key-1")
        assert local_api.count() == 0

    def test_a_lost_answer_is_sent_once(self, hook: FalHook, local_api: LocalApi) -> None:
        local_api.on("POST", f"/{ENDPOINT}", Answer(status=504))
        with pytest.raises(VideoApiUnavailableError) as caught:
            hook.submit_job(BODY)
        assert (caught.value.outcome_unknown, local_api.count()) == (True, 1)

    def test_a_models_own_checks_are_named(self, hook: FalHook, local_api: LocalApi) -> None:
        detail = [{"loc": ["body", "duration"], "msg": "must be 5 or 10", "type": "value_error"}]
        local_api.on("POST", f"/{ENDPOINT}", Answer(status=422, json={"detail": detail}))
        with pytest.raises(VideoApiInvalidRequestError, match="duration: must be 5 or 10") as caught:
            hook.submit_job(BODY)
        assert caught.value.code == "value_error"


class TestStatus:
    @pytest.mark.parametrize(
        ("fields", "state", "reason"),
        [
            ({"status": "IN_QUEUE", "queue_position": 0}, JobState.QUEUED, None),
            ({"status": "IN_PROGRESS"}, JobState.RUNNING, None),
            ({"status": "COMPLETED"}, JobState.SUCCEEDED, None),
            ({"status": "COMPLETED", "error": "timed out", "error_type": "request_timeout"}, "failed", "timed out"),
            ({"status": "COMPLETED", "error": [{"loc": ["body", "prompt"], "msg": "unsafe"}]}, "failed", "unsafe"),
            ({"status": "CANCELED"}, JobState.CANCELLED, None),
        ],
    )
    def test_completed_with_an_error_is_a_failure(
        self, hook: FalHook, local_api: LocalApi, fields: dict[str, Any], state: str, reason: str | None
    ) -> None:
        local_api.on("GET", STATUS, Answer(status=202, json=fields))
        job = hook.get_job(JOB)
        assert job.state == state
        assert (reason is None) == (job.error is None)
        if reason:
            assert reason in str(job.error)

    @pytest.mark.parametrize(
        ("endpoint", "app"), [("fal-ai/veo3.1", "fal-ai/veo3.1"), ("workflows/me/flow/v1", "workflows/me/flow")]
    )
    def test_the_path_drops_the_rest_of_the_endpoint(
        self, hook: FalHook, local_api: LocalApi, endpoint: str, app: str
    ) -> None:
        local_api.on("GET", f"/{app}/requests/{REQUEST}/status", Answer(json={"status": "IN_PROGRESS"}))
        assert hook.get_job(f"{endpoint}|{REQUEST}").state is JobState.RUNNING

    def test_an_id_without_its_endpoint_is_named(self, hook: FalHook, local_api: LocalApi) -> None:
        with pytest.raises(VideoConfigurationError, match="endpoint and request id"):
            hook.get_job(REQUEST)
        assert local_api.count() == 0


class TestFind:
    def item(self, request_id: str, **fields: Any) -> dict[str, Any]:
        body = {"seed": 7, "prompt": "a kite"}
        return {"request_id": request_id, "sent_at": "2026-11-26T10:00:05Z", "json_input": body, **fields}

    def find(self, hook: FalHook, local_api: LocalApi, *items: Any) -> str | None:
        local_api.on("GET", LIST, Answer(json={"items": list(items), "has_more": False}))
        found = hook.find_job("key-1", request=BODY, since=SINCE)
        return found and found.job_id

    def test_by_the_same_input_whatever_its_order(self, hook: FalHook, local_api: LocalApi) -> None:
        local_api.on("GET", "/fal-ai/kling-video/requests/r2/status", Answer(json={"status": "IN_PROGRESS"}))
        other = self.item("r1", json_input={"prompt": "another"})
        assert self.find(hook, local_api, other, self.item("r2")) == f"{ENDPOINT}|r2"
        query = local_api.received[0].query
        assert (query["endpoint_id"], query["expand"]) == ([ENDPOINT], ["payloads"])
        assert query["start"] == ["2026-11-26T09:59:00Z"]

    def test_what_failed_is_older_or_was_removed_is_not_it(self, hook: FalHook, local_api: LocalApi) -> None:
        failed = self.item("r1", ended_at="2026-11-26T10:01:00Z", status_code=422)
        older = self.item("r2", sent_at="2026-11-26T09:00:00Z")
        local_api.on("GET", "/fal-ai/kling-video/requests/r3/status", Answer(status=404))
        assert self.find(hook, local_api, failed, older, self.item("r3")) is None


class TestCancel:
    def test_a_request_that_ended_meanwhile_is_told(self, hook: FalHook, local_api: LocalApi) -> None:
        local_api.on("GET", STATUS, Answer(json={"status": "IN_PROGRESS"}), Answer(json={"status": "COMPLETED"}))
        local_api.on("PUT", f"{RESULT}/cancel", Answer(status=400, json={"status": "ALREADY_COMPLETED"}))
        seen = hook.cancel_job(JOB)
        assert seen is not None
        assert seen.state is JobState.SUCCEEDED


class TestOutputs:
    def test_the_result_of_a_failed_request_is_not_asked_for(self, hook: FalHook, local_api: LocalApi) -> None:
        local_api.on("GET", STATUS, Answer(json={"status": "COMPLETED", "error": "no"}))
        with pytest.raises(VideoJobFailedError):
            hook.get_outputs(JOB)
        assert local_api.count() == 1

    def test_a_result_without_files_is_not_ready(self, hook: FalHook, local_api: LocalApi) -> None:
        local_api.on("GET", STATUS, Answer(json={"status": "COMPLETED"}))
        local_api.on("GET", RESULT, Answer(json={"seed": 7}))
        with pytest.raises(VideoOutputNotReadyError):
            hook.get_outputs(JOB)

    def test_files_are_found_wherever_they_are(self) -> None:
        def link(name: str, **fields: Any) -> dict[str, Any]:
            return {"url": f"https://v3.fal.media/files/{name}", **fields}

        result = {
            "videos": [link("a.mp4", file_size=9), link("b", content_type="video/mp4")],
            "thumbnail": {"inner": link("t.png")},
            "audio": link("x"),
            "note": {"url": "not a link"},
            "image_url": "https://example.com/in.png",
        }
        assert [(o.kind, o.label, o.size) for o in find_outputs(result)] == [
            ("video", "videos.0", 9),
            ("video", "videos.1", None),
            ("image", None, None),
            ("audio", None, None),
        ]
        assert find_outputs({"a": [[[[[[[[[[link("deep.mp4")]]]]]]]]]]}) == []


def test_an_upload_is_put_at_the_link_that_was_named(hook: FalHook, local_api: LocalApi) -> None:
    upload = {"upload_url": f"{local_api.url}/store/1", "file_url": "https://v3.fal.media/files/1"}
    local_api.on("POST", "/rest/storage/upload/initiate", Answer(json=upload))
    local_api.on("PUT", "/store/1", Answer(status=200))
    assert hook.upload_media(io.BytesIO(b"abc"), name="a.png", size=3, media_type="image/png") == upload["file_url"]
    assert (local_api.received[1].body, local_api.received[1].headers["content-type"]) == (b"abc", "image/png")


def test_the_list_of_requests_is_asked_for_in_the_vendors_terms(hook: FalHook, local_api: LocalApi) -> None:
    local_api.on("GET", LIST, Answer(json={"items": [], "has_more": False}))
    hook.list_requests(ENDPOINT, request_id=REQUEST, status="success", end=SINCE)
    assert local_api.received[0].query == {
        "endpoint_id": [ENDPOINT],
        "end": ["2026-11-26T10:00:00Z"],
        "status": ["success"],
        "request_id": [REQUEST],
        "limit": ["100"],
        "expand": ["payloads"],
    }


def test_logs_are_read_where_they_are_asked_for(hook: FalHook, local_api: LocalApi) -> None:
    local_api.on("GET", STATUS, Answer(json={"status": "IN_PROGRESS", "logs": [{"message": "step 1"}]}))
    assert hook.get_request_status(ENDPOINT, REQUEST, logs=True).logs == [{"message": "step 1"}]
    assert local_api.received[0].query["logs"] == ["1"]
