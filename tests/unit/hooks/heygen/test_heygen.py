# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import io
import json
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from airflow_video_providers.exceptions import (
    SubmissionKeyConflictError,
    VideoApiInvalidRequestError,
    VideoApiPermissionError,
    VideoApiUnavailableError,
    VideoApiUnreadableAnswerError,
    VideoConfigurationError,
)
from airflow_video_providers.hooks.heygen import HeyGenHook
from airflow_video_providers.jobs import JobState
from tests.support.local_api import Answer, LocalApi

AVATAR = {"type": "avatar", "avatar_id": "A", "script": "Hello", "voice_id": "V"}
TEMPLATE = {"template_id": "t-1", "variables": {}}
AGENT = {"prompt": "A clip"}
NOW = 1_795_687_200
SINCE = datetime.fromtimestamp(NOW, timezone.utc)


def connect(local_api: LocalApi, monkeypatch: pytest.MonkeyPatch, **extra: Any) -> HeyGenHook:
    connection = {"conn_type": "heygen", "host": local_api.url, "password": "k3y", "extra": extra}
    monkeypatch.setenv("AIRFLOW_CONN_HEYGEN_DEFAULT", json.dumps(connection))
    return HeyGenHook(retry_deadline=0.1)


@pytest.fixture
def hook(local_api: LocalApi, monkeypatch: pytest.MonkeyPatch) -> HeyGenHook:
    return connect(local_api, monkeypatch)


def error(code: str, **fields: Any) -> dict[str, Any]:
    return {"error": {"code": code, "message": "no", "param": None, "doc_url": None, **fields}}


class TestSubmit:
    @pytest.mark.parametrize(
        ("body", "path", "data", "replayed"),
        [
            (AVATAR, "/v3/videos", {"video_id": "v1", "status": "waiting"}, True),
            (TEMPLATE, "/v3/templates/t-1", {"id": "v1", "status": "pending"}, True),
            (AGENT, "/v3/video-agents", {"session_id": "s1", "video_id": "v1", "status": "generating"}, False),
        ],
    )
    def test_each_form(
        self,
        hook: HeyGenHook,
        local_api: LocalApi,
        body: dict[str, Any],
        path: str,
        data: dict[str, Any],
        replayed: bool,
    ) -> None:
        local_api.on("POST", path, Answer(json={"data": data}))
        job = hook.submit_job(body, key="avp-1")
        assert (job.job_id, job.state, job.key) == ("v1", JobState.QUEUED, "avp-1")
        (request,) = local_api.received
        assert request.headers["x-api-key"] == "k3y"
        assert request.headers.get("idempotency-key") == ("avp-1" if replayed else None)
        assert request.json()["callback_id"] == "avp-1"
        assert request.json().get("title") == ("avp-1" if replayed else None)
        assert "template_id" not in request.json()
        assert hook.replay_window(body) == (86400 if replayed else None)

    def test_a_title_of_the_user_stays(self, hook: HeyGenHook, local_api: LocalApi) -> None:
        local_api.on("POST", "/v3/videos", Answer(json={"data": {"video_id": "v1"}}))
        hook.submit_job({**AVATAR, "title": "Mine"}, key="avp-1")
        hook.submit_job({"type": "cinematic_avatar", "prompt": "x", "avatar_id": "A"}, key="avp-1")
        first, second = (request.json() for request in local_api.received)
        assert first["title"] == "Mine"
        assert "callback_id" not in second

    @pytest.mark.parametrize(
        ("body", "wrong"),
        [
            ({}, VideoConfigurationError),
            ({**AVATAR, **TEMPLATE}, VideoConfigurationError),
            ({"type": "what", "prompt": "x"}, VideoConfigurationError),
            ({**AVATAR, "callback_id": "mine"}, SubmissionKeyConflictError),
        ],
    )
    def test_nothing_is_sent_that_cannot_work(
        self, hook: HeyGenHook, local_api: LocalApi, body: dict[str, Any], wrong: type[Exception]
    ) -> None:
        with pytest.raises(wrong):
            hook.submit_job(body, key="avp-1")
        assert local_api.count() == 0

    def test_an_agent_without_a_video_is_an_unknown_outcome(self, hook: HeyGenHook, local_api: LocalApi) -> None:
        data = {"session_id": "s1", "video_id": None, "status": "generating"}
        local_api.on("POST", "/v3/video-agents", Answer(json={"data": data}))
        with pytest.raises(VideoApiUnreadableAnswerError, match="s1") as caught:
            hook.submit_job(AGENT, key="avp-1")
        assert caught.value.outcome_unknown

    def test_a_request_in_progress_is_an_unknown_outcome(self, hook: HeyGenHook, local_api: LocalApi) -> None:
        local_api.on("POST", "/v3/videos", Answer(status=409, json=error("request_in_progress")))
        with pytest.raises(VideoApiUnavailableError) as caught:
            hook.submit_job(AVATAR, key="avp-1")
        assert caught.value.outcome_unknown

    @pytest.mark.parametrize(
        ("status", "body", "kind", "text"),
        [
            (409, error("conflict"), VideoApiInvalidRequestError, "conflict"),
            (402, error("insufficient_credit"), VideoApiPermissionError, "insufficient_credit"),
            (400, error("invalid_parameter", param="voice_id"), VideoApiInvalidRequestError, "voice_id: no"),
        ],
    )
    def test_refusals(
        self, hook: HeyGenHook, local_api: LocalApi, status: int, body: Any, kind: type[Exception], text: str
    ) -> None:
        local_api.on("POST", "/v3/videos", Answer(status=status, json=body))
        with pytest.raises(kind, match=text) as caught:
            hook.submit_job(AVATAR, key="avp-1")
        assert not caught.value.outcome_unknown  # type: ignore[attr-defined]

    def test_an_oauth_token(self, local_api: LocalApi, monkeypatch: pytest.MonkeyPatch) -> None:
        hook = connect(local_api, monkeypatch, oauth=True)
        local_api.on("GET", "/v3/users/me", Answer(json={"data": {"wallet": {"remaining_balance": 7}}}))
        assert "holds 7" in hook.check_connection()
        assert local_api.received[0].headers["authorization"] == "Bearer k3y"
        assert "x-api-key" not in local_api.received[0].headers


class TestStatus:
    def test_many_in_chunks_of_100_and_in_both_words(self, hook: HeyGenHook, local_api: LocalApi) -> None:
        words = ["queued", "pending", "processing", "completed", "failed", "not_found"]
        lines = [{"video_id": f"v{n}", "status": word, "error": {"code": "x"}} for n, word in enumerate(words)]
        local_api.on("GET", "/v3/videos/statuses", Answer(json={"data": lines}), Answer(json={"data": []}))
        found = hook.get_jobs([f"v{n}" for n in range(150)])
        assert [found[f"v{n}"].state.value for n in range(5)] == ["queued", "queued", "running", "succeeded", "failed"]
        assert "v5" not in found
        assert [len(r.query["video_ids"][0].split(",")) for r in local_api.received] == [100, 50]

    def test_a_failure_has_code_and_reason(self, hook: HeyGenHook, local_api: LocalApi) -> None:
        video = {"id": "v1", "status": "failed", "failure_code": "moderation", "failure_message": "no"}
        local_api.on("GET", "/v3/videos/v1", Answer(json={"data": video}))
        assert str(hook.get_job("v1").error) == "[moderation] no"


class TestFind:
    def test_by_a_title_that_is_compared_again(self, hook: HeyGenHook, local_api: LocalApi) -> None:
        videos = [
            {"id": "v3", "status": "processing", "title": "Ada 2", "created_at": NOW + 3},
            {"id": "v2", "status": "processing", "title": "Ada", "created_at": NOW + 2},
            {"id": "v1", "status": "completed", "title": "Ada", "created_at": NOW - 9000},
        ]
        local_api.on("GET", "/v3/videos", Answer(json={"data": videos, "has_more": False}))
        found = hook.find_job("avp-1", request={**AVATAR, "title": "Ada"}, since=SINCE)
        assert found is not None
        assert found.job_id == "v2"
        assert local_api.received[0].query["title"] == ["Ada"]
        assert hook.find_job("avp-1", request=AVATAR, since=SINCE + timedelta(hours=1)) is None
        assert local_api.received[1].query["title"] == ["avp-1"]


def test_outputs_of_each_kind(hook: HeyGenHook, local_api: LocalApi) -> None:
    names = ("video_url", "captioned_video_url", "subtitle_url", "thumbnail_url", "gif_url")
    video = {"id": "v1", "status": "completed", "duration": 4.5, **{n: f"https://f.invalid/{n}" for n in names}}
    local_api.on("GET", "/v3/videos/v1", Answer(json={"data": video}))
    assert [(o.kind, o.label) for o in hook.get_outputs("v1")] == [
        ("video", None),
        ("video", "captioned"),
        ("subtitles", None),
        ("thumbnail", None),
        ("image", "gif"),
    ]


def test_an_asset_is_put_with_the_headers_that_were_named(hook: HeyGenHook, local_api: LocalApi) -> None:
    upload = {
        "asset_id": "a1",
        "upload_url": f"{local_api.url}/store/a1?sig=1",
        "upload_headers": {"Content-Type": "image/png", "x-amz-meta-a": "1"},
        "max_bytes": 10,
    }
    local_api.on("POST", "/v3/assets/direct-uploads", Answer(json={"data": upload}))
    local_api.on("PUT", "/store/a1", Answer(status=200))
    local_api.on("POST", "/v3/assets/a1/complete", Answer(json={"data": {"asset_id": "a1"}}))
    assert hook.upload_media(io.BytesIO(b"abc"), name="a.png", size=3, media_type="image/png") == "a1"
    put = local_api.received[1]
    assert (put.body, put.headers["x-amz-meta-a"], put.headers["content-type"]) == (b"abc", "1", "image/png")
    with pytest.raises(VideoConfigurationError, match="10 bytes"):
        hook.upload_media(io.BytesIO(b"x" * 11), name="a.png", size=11)


def test_a_webhook_can_be_for_one_thing_alone(hook: HeyGenHook, local_api: LocalApi) -> None:
    answer = {
        "data": {"endpoint_id": "e1", "url": "https://me.invalid", "events": ["avatar_video.fail"], "secret": "x"}
    }
    local_api.on("POST", "/v3/webhooks/endpoints", Answer(json=answer))
    webhook = hook.create_webhook("https://me.invalid", events=["avatar_video.fail"], entity_id="v1")
    assert local_api.received[0].json() == {
        "url": "https://me.invalid",
        "events": ["avatar_video.fail"],
        "entity_id": "v1",
    }
    assert webhook.events == ("avatar_video.fail",)
