# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json
from datetime import datetime, timezone
from typing import Any

import pytest

from airflow_video_providers.exceptions import (
    SubmissionKeyConflictError,
    VideoApiAuthenticationError,
    VideoApiQuotaError,
    VideoApiUnreadableAnswerError,
    VideoConfigurationError,
    VideoOutputNotReadyError,
    VideoSearchInconclusiveError,
)
from airflow_video_providers.hooks.synthesia import SynthesiaHook
from airflow_video_providers.jobs import JobState
from tests.support.local_api import Answer, LocalApi

TEMPLATE = {"templateId": "t-1", "templateData": {"name": "Ada"}}
SCENES = {"input": [{"avatar": "anna", "background": "off_white", "scriptText": "Hello"}]}
NOW = 1_795_687_200


def video(video_id: str = "v1", **fields: Any) -> dict[str, Any]:
    return {"id": video_id, "status": "in_progress", "title": "T", "createdAt": NOW, **fields}


@pytest.fixture
def hook(local_api: LocalApi, monkeypatch: pytest.MonkeyPatch) -> SynthesiaHook:
    connection = {"conn_type": "synthesia", "host": local_api.url, "password": "k3y"}
    monkeypatch.setenv("AIRFLOW_CONN_SYNTHESIA_DEFAULT", json.dumps(connection))
    return SynthesiaHook(retry_deadline=0.1)


class TestSubmit:
    @pytest.mark.parametrize(
        ("body", "path", "status"), [(SCENES, "/v2/videos", 200), (TEMPLATE, "/v2/videos/fromTemplate", 201)]
    )
    def test_a_body_is_told_by_its_keys(
        self, hook: SynthesiaHook, local_api: LocalApi, body: dict[str, Any], path: str, status: int
    ) -> None:
        local_api.on("POST", path, Answer(status=status, json=video(callbackId="key-1")))
        job = hook.submit_job(body, key="key-1")
        assert (job.job_id, job.state, job.key) == ("v1", JobState.RUNNING, "key-1")
        (request,) = local_api.received
        assert request.json() == {**body, "callbackId": "key-1"}
        assert request.headers["authorization"] == "k3y", "raw, without Bearer"

    @pytest.mark.parametrize(
        ("body", "error"),
        [
            ({}, VideoConfigurationError),
            ({**SCENES, **TEMPLATE}, VideoConfigurationError),
            ({**SCENES, "callbackId": "mine"}, SubmissionKeyConflictError),
        ],
    )
    def test_nothing_is_sent_that_cannot_work(
        self, hook: SynthesiaHook, local_api: LocalApi, body: dict[str, Any], error: type[Exception]
    ) -> None:
        with pytest.raises(error):
            hook.submit_job(body, key="key-1")
        assert local_api.count() == 0

    def test_403_is_a_wrong_key(self, hook: SynthesiaHook, local_api: LocalApi) -> None:
        local_api.on("POST", "/v2/videos", Answer(status=403, json={"error": "Unauthorized", "context": "no such key"}))
        with pytest.raises(VideoApiAuthenticationError, match="Unauthorized: no such key"):
            hook.submit_job(SCENES)

    def test_the_reset_of_a_rate_limit_is_its_wait(self, hook: SynthesiaHook, local_api: LocalApi) -> None:
        limited = Answer(status=429, json={"error": "slow down"}, headers={"RateLimit-Reset": "17"})
        local_api.on("POST", "/v2/videos", limited)
        with pytest.raises(VideoApiQuotaError) as caught:
            hook.submit_job(SCENES)
        assert (caught.value.retry_after, caught.value.outcome_unknown) == (17, False)


class TestStatus:
    @pytest.mark.parametrize(
        ("status", "state", "reason"),
        [
            ("in_progress", JobState.RUNNING, None),
            ("approved", JobState.RUNNING, None),
            ("complete", JobState.SUCCEEDED, None),
            ("error", JobState.FAILED, "[error]"),
            ("rejected", JobState.FAILED, "[rejected] Synthesia's moderation rejected the video"),
            ("deleted", JobState.CANCELLED, None),
        ],
    )
    def test_each(
        self, hook: SynthesiaHook, local_api: LocalApi, status: str, state: JobState, reason: str | None
    ) -> None:
        local_api.on("GET", "/v2/videos/v1", Answer(json=video(status=status)))
        job = hook.get_job("v1")
        assert (job.state, job.error and str(job.error)) == (state, reason)

    def test_one_list_serves_many_and_stops_when_all_are_seen(self, hook: SynthesiaHook, local_api: LocalApi) -> None:
        page = {"videos": [video("v1"), {"id": 7}, video("v2", status="complete")], "nextOffset": 100}
        local_api.on("GET", "/v2/videos", Answer(json=page))
        found = hook.get_jobs(["v1", "v2"])
        assert {job_id: job.state for job_id, job in found.items()} == {"v1": "running", "v2": "succeeded"}
        assert local_api.count() == 1


class TestOutputs:
    @pytest.mark.parametrize(
        ("text", "seconds"), [("63.5", 63.5), ("1:03", 63.0), ("0:01:03.5", 63.5), ("soon", None), ("-1", None)]
    )
    def test_files_and_play_time(
        self, hook: SynthesiaHook, local_api: LocalApi, text: str, seconds: float | None
    ) -> None:
        done = video(
            status="complete",
            duration=text,
            download="https://f.invalid/v",
            captions={"vtt": "https://f.invalid/vtt", "srt": "https://f.invalid/srt"},
            thumbnail={"image": "https://f.invalid/i", "gif": "https://f.invalid/g"},
        )
        local_api.on("GET", "/v2/videos/v1", Answer(json=done))
        found = hook.get_outputs("v1")
        assert [(o.kind, o.label) for o in found] == [
            ("video", None),
            ("subtitles", "vtt"),
            ("subtitles", "srt"),
            ("thumbnail", None),
            ("image", "gif"),
        ]
        assert found[0].duration_seconds == seconds

    def test_complete_without_a_link_is_not_ready(self, hook: SynthesiaHook, local_api: LocalApi) -> None:
        local_api.on("GET", "/v2/videos/v1", Answer(json=video(status="complete")))
        with pytest.raises(VideoOutputNotReadyError, match="download"):
            hook.get_outputs("v1")


class TestFind:
    @pytest.mark.parametrize("after", ["100", 100.0, [100], {"offset": 100}, True])
    def test_a_next_page_in_another_form_is_read_or_is_no_proof(
        self, hook: SynthesiaHook, local_api: LocalApi, after: Any
    ) -> None:
        ours = Answer(json={"videos": [video("v1", callbackId="key-1")]})
        local_api.on("GET", "/v2/videos", Answer(json={"videos": [video("v0")], "nextOffset": after}), ours)
        since = datetime.fromtimestamp(NOW, timezone.utc)
        if isinstance(after, (str, float)):
            found = hook.find_job("key-1", request=SCENES, since=since)
            assert found is not None
            assert found.job_id == "v1"
        else:
            with pytest.raises(VideoApiUnreadableAnswerError, match="next page"):
                hook.find_job("key-1", request=SCENES, since=since)

    @pytest.mark.parametrize("key", [["key-1"], {"id": "key-1"}])
    def test_an_odd_key_is_no_proof_that_nothing_was_bought(
        self, hook: SynthesiaHook, local_api: LocalApi, key: Any
    ) -> None:
        local_api.on("GET", "/v2/videos", Answer(json={"videos": [video("v1", callbackId=key)]}))
        with pytest.raises(VideoSearchInconclusiveError):
            hook.find_job("key-1", request=SCENES, since=datetime.fromtimestamp(NOW, timezone.utc))

    @pytest.mark.parametrize("newest_first", [True, False])
    def test_by_the_callback_id_over_all_pages(
        self, hook: SynthesiaHook, local_api: LocalApi, newest_first: bool
    ) -> None:
        since = datetime.fromtimestamp(NOW, timezone.utc)
        videos = [video(f"v{n}", createdAt=NOW + n, callbackId=f"key-{n}") for n in range(-300, 3)]
        if newest_first:
            videos.reverse()

        starts = range(0, len(videos), 100)
        local_api.on(
            "GET",
            "/v2/videos",
            *(Answer(json={"videos": videos[n : n + 100], "nextOffset": n + 100}) for n in starts),
            Answer(json={"videos": []}),
        )
        found = hook.find_job("key-1", request=SCENES, since=since)
        assert found is not None
        assert found.job_id == "v1"
        assert [request.query["offset"] for request in local_api.received] == (
            [["0"]] if newest_first else [["0"], ["100"], ["200"], ["300"], ["400"]]
        )
