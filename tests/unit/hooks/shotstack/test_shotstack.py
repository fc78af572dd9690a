# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from airflow_video_providers.api.pacing import shared_pacer
from airflow_video_providers.exceptions import (
    SubmissionKeyConflictError,
    VideoApiInvalidRequestError,
    VideoApiNotFoundError,
    VideoApiQuotaError,
    VideoConfigurationError,
    VideoOutputNotReadyError,
)
from airflow_video_providers.hooks.shotstack import ShotstackHook
from airflow_video_providers.jobs import JobState
from tests.support.local_api import Answer, LocalApi

EDIT = {"timeline": {"tracks": []}, "output": {"format": "mp4"}}
TEMPLATE = {"id": "t-1", "merge": [{"find": "NAME", "replace": "Ada"}]}
CREATED = Answer(
    status=201, json={"success": True, "message": "Created", "response": {"message": "queued", "id": "r1"}}
)
CDN = "https://files.invalid/owner"


@pytest.fixture
def hook(local_api: LocalApi, monkeypatch: pytest.MonkeyPatch) -> ShotstackHook:
    return connect(local_api, monkeypatch, environment="stage")


def connect(local_api: LocalApi, monkeypatch: pytest.MonkeyPatch, **extra: str) -> ShotstackHook:
    connection = {"conn_type": "shotstack", "host": local_api.url, "password": "k3y", "extra": extra}
    monkeypatch.setenv("AIRFLOW_CONN_SHOTSTACK_DEFAULT", json.dumps(connection))
    return ShotstackHook()


def render(age: timedelta = timedelta(0), **fields: Any) -> Answer:
    stamp = (datetime.now(timezone.utc) - age).isoformat()
    files = {"url": f"{CDN}/r1.mp4", "poster": f"{CDN}/r1-poster.jpg", "thumbnail": f"{CDN}/r1-thumb.jpg"}
    shown = {"id": "r1", "status": "done", "duration": 5.0, "created": stamp, "updated": stamp, **files, **fields}
    return Answer(json={"success": True, "message": "OK", "response": shown})


def assets(*names: str, status: str = "ready") -> Answer:
    data = [
        {"type": "asset", "attributes": {"id": n, "status": status, "filename": n, "url": f"https://cdn.invalid/{n}"}}
        for n in names
    ]
    return Answer(json={"data": data})


class TestSubmit:
    @pytest.mark.parametrize(
        ("body", "path"), [(EDIT, "/edit/stage/render"), (TEMPLATE, "/edit/stage/templates/render")]
    )
    def test_a_body_is_told_by_its_keys(
        self, hook: ShotstackHook, local_api: LocalApi, body: dict[str, Any], path: str
    ) -> None:
        local_api.on("POST", path, CREATED)
        assert hook.submit_job(body, key="key-1").job_id == "r1"
        (request,) = local_api.received
        assert request.json() == body
        assert request.headers["x-api-key"] == "k3y"

    def test_the_key_goes_into_the_query_of_the_callback(self, hook: ShotstackHook, local_api: LocalApi) -> None:
        local_api.on("POST", "/edit/stage/render", CREATED)
        hook.submit_job({**EDIT, "callback": "https://me.invalid/cb?a=1&b="}, key="key-1")
        sent = local_api.received[0].json()["callback"]
        assert sent == "https://me.invalid/cb?a=1&b=&airflow_submission_key=key-1"
        hook.submit_job({**EDIT, "callback": sent}, key="key-1")
        assert local_api.received[1].json()["callback"] == sent

    @pytest.mark.parametrize(
        ("body", "error"),
        [
            ({}, VideoConfigurationError),
            ({**EDIT, **TEMPLATE}, VideoConfigurationError),
            ({**TEMPLATE, "callback": "https://me.invalid"}, VideoConfigurationError),
            ({**EDIT, "callback": "https://me.invalid?airflow_submission_key=other"}, SubmissionKeyConflictError),
            ({**EDIT, "callback": 7}, VideoConfigurationError),
        ],
    )
    def test_nothing_is_sent_that_cannot_work(
        self, hook: ShotstackHook, local_api: LocalApi, body: dict[str, Any], error: type[Exception]
    ) -> None:
        with pytest.raises(error):
            hook.submit_job(body, key="key-1")
        assert local_api.count() == 0

    def test_an_unknown_environment_is_named(self, local_api: LocalApi, monkeypatch: pytest.MonkeyPatch) -> None:
        with pytest.raises(VideoConfigurationError, match="v1 or stage"):
            connect(local_api, monkeypatch, environment="prod").submit_job(EDIT)
        assert local_api.count() == 0

    @pytest.mark.parametrize("response", ["no clips", {"error": "no clips"}, {"message": "no clips"}])
    def test_a_refusal_is_read_in_each_form(self, hook: ShotstackHook, local_api: LocalApi, response: Any) -> None:
        body = {"success": False, "message": "Bad Request", "response": response}
        local_api.on("POST", "/edit/stage/render", Answer(status=400, json=body))
        with pytest.raises(VideoApiInvalidRequestError, match="Bad Request: no clips"):
            hook.submit_job(EDIT)


class TestOutputs:
    def test_a_young_render_gives_its_own_links(self, hook: ShotstackHook, local_api: LocalApi) -> None:
        local_api.on("GET", "/edit/stage/render/r1", render())
        found = hook.get_outputs("r1")
        assert [(o.kind, o.label, o.url) for o in found] == [
            ("video", None, f"{CDN}/r1.mp4"),
            ("thumbnail", "poster", f"{CDN}/r1-poster.jpg"),
            ("thumbnail", "thumbnail", f"{CDN}/r1-thumb.jpg"),
        ]
        assert local_api.received[0].query["data"] == ["false"]

    def test_an_old_one_gives_those_of_the_hosting(self, hook: ShotstackHook, local_api: LocalApi) -> None:
        local_api.on("GET", "/edit/stage/render/r1", render(timedelta(hours=30)))
        local_api.on("GET", "/serve/stage/assets/render/r1", assets("r1-poster.jpg", "r1.mp4", "other.mp4"))
        found = hook.get_outputs("r1")
        assert [(o.label, o.url) for o in found] == [
            ("poster", "https://cdn.invalid/r1-poster.jpg"),
            (None, "https://cdn.invalid/r1.mp4"),
        ]

    def test_a_dead_link_is_renewed_by_the_hosting(self, hook: ShotstackHook, local_api: LocalApi) -> None:
        local_api.on("GET", "/edit/stage/render/r1", render())
        local_api.on("GET", "/serve/stage/assets/render/r1", assets("r1.mp4"))
        video = hook.get_outputs("r1")[0]
        assert hook.refresh_output("r1", video).url == "https://cdn.invalid/r1.mp4"

    def test_a_file_that_is_still_copied_is_asked_for_again(self, hook: ShotstackHook, local_api: LocalApi) -> None:
        local_api.on("GET", "/edit/stage/render/r1", render())
        local_api.on("GET", "/serve/stage/assets/render/r1", assets("r1.mp4", status="importing"))
        with pytest.raises(VideoOutputNotReadyError, match="still copied"):
            hook.refresh_output("r1", hook.get_outputs("r1")[0])

    def test_what_nobody_has_any_more_is_said(self, hook: ShotstackHook, local_api: LocalApi) -> None:
        local_api.on("GET", "/edit/stage/render/r1", render(timedelta(days=9)))
        local_api.on("GET", "/serve/stage/assets/render/r1", assets("r1.mp4", status="deleted"))
        with pytest.raises(VideoApiNotFoundError, match="hosts no file"):
            hook.get_outputs("r1")


def test_a_failure_has_its_reason(hook: ShotstackHook, local_api: LocalApi) -> None:
    local_api.on("GET", "/edit/stage/render/r1", render(status="failed", error="source not found"))
    job = hook.get_job("r1")
    assert job.state is JobState.FAILED
    assert str(job.error) == "source not found"


@pytest.mark.parametrize(("environment", "rate"), [("v1", 5.0), ("stage", 2.5)])
def test_the_sandbox_takes_half_the_rate(
    local_api: LocalApi, monkeypatch: pytest.MonkeyPatch, environment: str, rate: float
) -> None:
    hook = connect(local_api, monkeypatch, environment=environment)
    assert hook.request_rate() == rate
    pacer = shared_pacer(hook.client.base_url, "None:k3y", requests_per_second=rate, burst=hook.burst)
    assert hook.client.pacer is pacer


def test_a_429_waits_for_another_window(hook: ShotstackHook, local_api: LocalApi) -> None:
    refused = {"success": False, "message": "Too Many Requests", "response": {"error": "rate_limit_error"}}
    local_api.on("POST", "/edit/stage/templates/render", Answer(status=429, json=refused))
    hook.retry_deadline = 0.1
    with pytest.raises(VideoApiQuotaError) as caught:
        hook.submit_job(TEMPLATE)
    assert (caught.value.retry_after, caught.value.outcome_unknown, local_api.count()) == (60.0, False, 1)
