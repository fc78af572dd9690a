# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json
import logging
from datetime import date, datetime, timezone
from pathlib import Path
from typing import Any

import pytest

from airflow_video_providers.exceptions import (
    SubmissionKeyConflictError,
    VideoApiInvalidRequestError,
    VideoApiNotFoundError,
    VideoApiUnavailableError,
    VideoApiUnreadableAnswerError,
    VideoConfigurationError,
    VideoJobError,
    VideoJobFailedError,
    VideoOutputNotReadyError,
    VideoSearchInconclusiveError,
)
from airflow_video_providers.hooks.base import KeySupport
from airflow_video_providers.hooks.hourone import HourOneHook
from airflow_video_providers.jobs import JobState
from tests.support.local_api import Answer, LocalApi

DATA = Path(__file__).parents[3] / "recorded" / "hourone"
VIDEOS = json.loads((DATA / "videos.json").read_text())
OVERRIDE = {"type": "override", "source_draft_id": "d1", "name": "run-42", "scenes": [{"name": "s1"}]}
WORKFLOW = {"type": "workflow", "workflow_id": "w1", "variables": [{"name": "who", "value": "you"}]}
CREATE = {"type": "create", "template_id": "t1", "character_id": "c", "voice_id": "v", "scenes": [{"layout_id": "l"}]}
CREATED = Answer(status=201, json={**VIDEOS[3], "id": "v-9"})
SINCE = datetime(2026, 3, 1, tzinfo=timezone.utc)


def connect(monkeypatch: pytest.MonkeyPatch, local_api: LocalApi, **extra: Any) -> HourOneHook:
    connection = {"conn_type": "hourone", "host": f"{local_api.url}/api/v1", "password": "k3y", "extra": extra}
    monkeypatch.setenv("AIRFLOW_CONN_HOURONE_DEFAULT", json.dumps(connection))
    return HourOneHook()


@pytest.fixture
def hook(local_api: LocalApi, monkeypatch: pytest.MonkeyPatch) -> HourOneHook:
    return connect(monkeypatch, local_api)


class TestSubmit:
    @pytest.mark.parametrize("body", [OVERRIDE, WORKFLOW, CREATE], ids=["override", "workflow", "create"])
    def test_each_form_passes_through_with_the_key(
        self, hook: HourOneHook, local_api: LocalApi, body: dict[str, Any]
    ) -> None:
        local_api.on("POST", "/api/v1/videos", CREATED)
        job = hook.submit_job(body, key="key-1")
        assert (job.job_id, job.state, job.key) == ("v-9", JobState.QUEUED, "key-1")
        assert job.page_url == "https://player.example/v-4"
        (request,) = local_api.received
        assert request.json() == {**body, "correlation_id": "key-1"}
        assert request.headers["api-key"] == "k3y"
        assert "workspace-id" not in request.headers
        assert "authorization" not in request.headers

    @pytest.mark.parametrize(
        ("body", "type_"),
        [
            ({"source_draft_id": "d1", "scenes": []}, "override"),
            ({"source_draft_id": "d1", "character_id": "c"}, "override"),
            ({"recipe_id": "r", "type": None}, "override"),
            ({"template_id": "t1", "scenes": []}, "create"),
            ({"workflow_id": "w1", "variables": []}, "workflow"),
            ({"scenes": [], "type": "create"}, "create"),
            ({"template_id": "t1", "type": "of tomorrow"}, "of tomorrow"),
        ],
    )
    def test_every_shape_is_sent_with_its_type(
        self, hook: HourOneHook, local_api: LocalApi, body: dict[str, Any], type_: str
    ) -> None:
        # The vendor's OpenAPI document has it as the discriminator: a body without it is answered 422.
        local_api.on("POST", "/api/v1/videos", CREATED)
        hook.submit_job(body)
        assert local_api.received[0].json() == {**body, "type": type_}
        assert "correlation_id" not in local_api.received[0].json()

    def test_workspace_and_team_are_sent_where_the_vendor_takes_them(
        self, local_api: LocalApi, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        hook = connect(monkeypatch, local_api, workspace_id="w", team_id=7)
        local_api.on("POST", "/api/v1/videos", CREATED)
        local_api.on("GET", "/api/v1/videos", Answer(json=[]))
        local_api.on("POST", "/api/v1/voice-preview", Answer(json={"id": "t-1", "status": "in_progress"}))
        hook.submit_job(OVERRIDE)
        hook.create_voice_preview(transcript="Hello", source_draft_id="d1")
        hook.get_videos()
        *made, listed = local_api.received
        assert [(call.headers["workspace-id"], call.headers["team-id"]) for call in made] == [("w", "7")] * 2
        assert "workspace-id" not in listed.headers

    def test_the_users_own_correlation_id_is_kept(self, hook: HourOneHook, local_api: LocalApi) -> None:
        local_api.on("POST", "/api/v1/videos", CREATED)
        hook.submit_job({**OVERRIDE, "correlation_id": "order-17"}, key="key-1")
        assert local_api.received[0].json()["correlation_id"] == "order-17|key-1"

    def test_both_must_fit(self, hook: HourOneHook, local_api: LocalApi) -> None:
        local_api.on("POST", "/api/v1/videos", CREATED)
        with pytest.raises(SubmissionKeyConflictError, match="from 60 to 59 characters"):
            hook.submit_job({**OVERRIDE, "correlation_id": "o" * 60}, key="k" * 40)
        assert local_api.received == []
        hook.submit_job({**OVERRIDE, "correlation_id": "o" * 59}, key="k" * 40)
        assert len(local_api.received[0].json()["correlation_id"]) == 100

    @pytest.mark.parametrize("key", ["k" * 101, "a|b"])
    def test_a_key_that_does_not_fit_is_hashed_the_same_way_each_time(
        self, hook: HourOneHook, local_api: LocalApi, key: str
    ) -> None:
        local_api.on("POST", "/api/v1/videos", CREATED)
        hook.submit_job(OVERRIDE, key=key)
        hook.submit_job(OVERRIDE, key=key)
        first, second = (request.json()["correlation_id"] for request in local_api.received)
        assert first == second
        assert len(first) <= 100
        local_api.on("GET", "/api/v1/videos", Answer(json=[{**VIDEOS[2], "correlation_id": first}]))
        assert hook.find_job(key, request=OVERRIDE, since=SINCE) is not None

    def test_an_answer_without_an_id_may_have_bought_a_video(self, hook: HourOneHook, local_api: LocalApi) -> None:
        local_api.on("POST", "/api/v1/videos", Answer(status=201, json={"status": "started"}))
        with pytest.raises(VideoApiUnreadableAnswerError, match=r"POST /videos.*id: Field required") as caught:
            hook.submit_job(OVERRIDE)
        assert caught.value.outcome_unknown

    def test_the_vendors_field_messages(self, hook: HourOneHook, local_api: LocalApi) -> None:
        detail = [{"loc": ["body", "override", "scenes"], "msg": "field required", "type": "value_error.missing"}]
        local_api.on("POST", "/api/v1/videos", Answer(status=422, json={"detail": detail}))
        with pytest.raises(VideoApiInvalidRequestError, match=r"override\.scenes: field required"):
            hook.submit_job({"name": "run-42", "source_draft_id": "d1"})

    def test_a_lost_answer_is_not_sent_again(self, hook: HourOneHook, local_api: LocalApi) -> None:
        local_api.on("POST", "/api/v1/videos", Answer(status=502))
        with pytest.raises(VideoApiUnavailableError) as caught:
            hook.submit_job(OVERRIDE, key="key-1")
        assert caught.value.outcome_unknown
        assert local_api.count() == 1


class TestFind:
    @pytest.fixture(autouse=True)
    def listed(self, local_api: LocalApi) -> None:
        local_api.on("GET", "/api/v1/videos", Answer(json=VIDEOS))

    @pytest.mark.parametrize("request_body", [{**OVERRIDE, "correlation_id": "order-17"}, OVERRIDE])
    def test_by_the_key_behind_the_users_own_id(self, hook: HourOneHook, request_body: dict[str, Any]) -> None:
        # The second request stands for one that was changed since: its earlier video is still found.
        assert hook.key_support is KeySupport.EXACT
        job = hook.find_job("key-1", request=request_body, since=SINCE)
        assert job is not None
        assert (job.job_id, job.key) == ("v-1", "key-1")

    @pytest.mark.parametrize("key", ["order-17", "ey-1", "key-", "order-17|key-1"])
    def test_by_the_whole_key_only(self, hook: HourOneHook, key: str) -> None:
        assert hook.find_job(key, request=OVERRIDE, since=SINCE) is None

    def test_failed_ones_are_passed_over_and_others_named(
        self, hook: HourOneHook, caplog: pytest.LogCaptureFixture
    ) -> None:
        with caplog.at_level(logging.WARNING):
            job = hook.find_job("key-2", request=OVERRIDE, since=SINCE)
        assert job is not None
        assert job.job_id == "v-3"
        assert "taking the oldest, v-3, not v-4" in caplog.text

    def test_only_failed_ones_are_none(self, hook: HourOneHook, local_api: LocalApi) -> None:
        dead = [{**VIDEOS[1], "status": status} for status in ("failed", "stopped", "cancelled")]
        local_api.on("GET", "/api/v1/videos", Answer(json=dead))
        assert hook.find_job("key-2", request=OVERRIDE, since=SINCE) is None

    @pytest.mark.parametrize(
        "item",
        [
            {"id": "v-6"},
            {"id": "v-6", "correlation_id": "x|key-9"},
            {"id": "v-6", "status": "ready", "correlation_id": ["key-9"]},
            {"status": "ready", "correlation_id": "key-9"},
            None,
            "text",
        ],
    )
    def test_one_that_cannot_be_read_may_be_the_one(self, hook: HourOneHook, local_api: LocalApi, item: Any) -> None:
        local_api.on("GET", "/api/v1/videos", Answer(json=[item, *VIDEOS]))
        with pytest.raises(VideoApiUnreadableAnswerError, match=r"GET /videos.*1 of the list cannot be read"):
            hook.find_job("key-9", request=OVERRIDE, since=SINCE)
        found = hook.find_job("key-1", request=OVERRIDE, since=SINCE)
        assert found is not None
        assert found.job_id == "v-1"

    @pytest.mark.parametrize(
        "item",
        [
            {"id": "v-6", "correlation_id": "key-8"},
            {"id": "v-6", "correlation_id": None},
            {"id": "v-6", "status": "ready"},
            {"status": "ready", "correlation_id": 17},
        ],
    )
    def test_one_that_says_that_it_is_another_is_no_obstacle(
        self, hook: HourOneHook, local_api: LocalApi, item: Any
    ) -> None:
        local_api.on("GET", "/api/v1/videos", Answer(json=[item]))
        assert hook.find_job("key-9", request=OVERRIDE, since=SINCE) is None

    def test_it_hides_no_other_from_those_who_wait(
        self, hook: HourOneHook, local_api: LocalApi, caplog: pytest.LogCaptureFixture
    ) -> None:
        bad = {"id": "v-6", "download_url": "https://x.example/?sig=feed"}
        local_api.on("GET", "/api/v1/videos", Answer(json=[bad, *VIDEOS]))
        assert set(hook.get_jobs(["v-1", "v-6"])) == {"v-1"}
        assert "cannot be read (status)" in caplog.text
        assert "feed" not in caplog.text

    @pytest.mark.parametrize(
        ("extra", "length", "is_proof"),
        [({}, 9, True), ({}, 10, False), ({}, 100, False)]
        + [({"list_complete_below": value}, 100, True) for value in (101, "101")]
        + [({"list_complete_below": 100}, 100, False), ({"list_complete_below": ""}, 10, False)],
    )
    def test_a_list_that_may_be_cut_proves_nothing(
        self,
        local_api: LocalApi,
        monkeypatch: pytest.MonkeyPatch,
        extra: dict[str, Any],
        length: int,
        is_proof: bool,
    ) -> None:
        hook = connect(monkeypatch, local_api, **extra)
        others = [{**VIDEOS[0], "id": f"v-{number}", "correlation_id": f"key-{number}"} for number in range(length)]
        local_api.on("GET", "/api/v1/videos", Answer(json=others))
        if is_proof:
            assert hook.find_job("key-lost", request=OVERRIDE, since=SINCE) is None
        else:
            with pytest.raises(VideoSearchInconclusiveError, match=f"list of {length} may be cut.*list_complete_below"):
                hook.find_job("key-lost", request=OVERRIDE, since=SINCE)
        found = hook.find_job("key-7", request=OVERRIDE, since=SINCE)
        assert found is not None
        assert found.job_id == "v-7"

    def test_a_failed_one_of_the_key_in_a_list_that_may_be_cut_proves_nothing(
        self, hook: HourOneHook, local_api: LocalApi
    ) -> None:
        failed = [{**VIDEOS[1], "id": f"v-{number}"} for number in range(10)]
        local_api.on("GET", "/api/v1/videos", Answer(json=failed))
        with pytest.raises(VideoApiUnreadableAnswerError, match="may be cut"):
            hook.find_job("key-2", request=OVERRIDE, since=SINCE)

    @pytest.mark.parametrize("value", ["many", [], {"a": 1}])
    def test_an_extra_that_is_no_number_is_refused(
        self, local_api: LocalApi, monkeypatch: pytest.MonkeyPatch, value: Any
    ) -> None:
        hook = connect(monkeypatch, local_api, list_complete_below=value)
        with pytest.raises(VideoConfigurationError, match="list_complete_below"):
            hook.find_job("key-9", request=OVERRIDE, since=SINCE)

    def test_a_list_that_is_none_proves_nothing(self, hook: HourOneHook, local_api: LocalApi) -> None:
        local_api.on("GET", "/api/v1/videos", Answer(json={"videos": []}))
        with pytest.raises(VideoApiUnreadableAnswerError, match="GET /videos"):
            hook.find_job("key-9", request=OVERRIDE, since=SINCE)


class TestJob:
    @pytest.mark.parametrize(
        ("status", "state"),
        [
            ("not_started", JobState.QUEUED),
            ("started", JobState.RUNNING),
            ("processing", JobState.RUNNING),
            ("ready", JobState.SUCCEEDED),
            ("published", JobState.SUCCEEDED),
            ("failed", JobState.FAILED),
            ("stopped", JobState.CANCELLED),
            ("cancelled", JobState.CANCELLED),
            ("a_new_one", JobState.RUNNING),
        ],
    )
    def test_states(self, hook: HourOneHook, local_api: LocalApi, status: str, state: JobState) -> None:
        local_api.on("GET", "/api/v1/videos/v-1", Answer(json={**VIDEOS[0], "status": status}))
        job = hook.get_job("v-1")
        assert (job.state, job.vendor_status, job.name, job.key) == (state, status, "run-42", "key-1")

    @pytest.mark.parametrize(
        ("progress", "share"), [(-1, 0.0), (0, 0.0), (40, 0.4), (100, 1.0), (101, 1.0), (None, None)]
    )
    def test_progress_is_clamped_and_minus_one_is_no_error(
        self, hook: HourOneHook, local_api: LocalApi, progress: int | None, share: float | None
    ) -> None:
        answer = {**VIDEOS[2], "progress": progress}
        local_api.on("GET", "/api/v1/videos/v-3", Answer(json=answer))
        job = hook.get_job("v-3")
        assert (job.progress, job.state) == (share, JobState.RUNNING)

    def test_many_jobs_by_one_list(self, hook: HourOneHook, local_api: LocalApi) -> None:
        assert hook.can_list
        local_api.on("GET", "/api/v1/videos", Answer(json=VIDEOS))
        found = hook.get_jobs(["v-2", "v-5", "gone"])
        assert {job_id: job.state for job_id, job in found.items()} == {
            "v-2": JobState.FAILED,
            "v-5": JobState.CANCELLED,
        }
        assert local_api.count() == 1
        assert hook.get_jobs([]) == {}
        assert local_api.count() == 1

    def test_unknown(self, hook: HourOneHook) -> None:
        with pytest.raises(VideoApiNotFoundError):
            hook.get_job("v-1")


class TestOutputs:
    def test_the_video(self, hook: HourOneHook, local_api: LocalApi) -> None:
        local_api.on("GET", "/api/v1/videos/v-1", Answer(json=VIDEOS[0]))
        (video,) = hook.get_outputs("v-1")
        assert (video.kind, video.url, video.output_id, video.name) == (
            "video",
            VIDEOS[0]["download_url"],
            "v-1",
            "run-42",
        )
        assert (video.size, video.expires_at) == (None, None)

    def test_a_ready_video_without_a_link(self, hook: HourOneHook, local_api: LocalApi) -> None:
        local_api.on("GET", "/api/v1/videos/v-1", Answer(json={**VIDEOS[0], "download_url": None}))
        with pytest.raises(
            VideoOutputNotReadyError, match=r"GET /videos/\{video_id\}.*download_url.*free plan cannot download"
        ):
            hook.get_outputs("v-1")

    @pytest.mark.parametrize(("index", "expected"), [(1, VideoJobFailedError), (2, VideoJobError)])
    def test_unfinished(self, hook: HourOneHook, local_api: LocalApi, index: int, expected: type[Exception]) -> None:
        local_api.on("GET", "/api/v1/videos/v", Answer(json=VIDEOS[index]))
        with pytest.raises(expected):
            hook.get_outputs("v")


class TestCancel:
    def test_a_running_video_is_deleted(self, hook: HourOneHook, local_api: LocalApi) -> None:
        local_api.on("GET", "/api/v1/videos/v-3", Answer(json=VIDEOS[2]))
        local_api.on("DELETE", "/api/v1/videos/v-3", Answer(status=204))
        job = hook.cancel_job("v-3")
        assert job is not None
        assert job.vendor_status == "processing"
        assert local_api.count("DELETE") == 1

    @pytest.mark.parametrize("status", ["ready", "published", "failed", "stopped", "cancelled"])
    def test_an_ended_one_is_left_alone(self, hook: HourOneHook, local_api: LocalApi, status: str) -> None:
        local_api.on("GET", "/api/v1/videos/v-3", Answer(json={**VIDEOS[2], "status": status}))
        hook.cancel_job("v-3")
        assert local_api.count("DELETE") == 0


class TestEndpoints:
    def test_metadata(self, hook: HourOneHook, local_api: LocalApi) -> None:
        scenes = [{"scene_index": 0, "start_time": 0, "duration": 4.5}]
        local_api.on("GET", "/api/v1/videos/v-1/metadata", Answer(json={"duration": 4.5, "scenes_metadata": scenes}))
        metadata = hook.get_video_metadata("v-1")
        assert metadata.duration == 4.5
        assert metadata.scenes_metadata is not None
        assert metadata.scenes_metadata[0].duration == 4.5

    def test_subtitles(self, hook: HourOneHook, local_api: LocalApi) -> None:
        answer = {"language_code": "de", "format": "srt", "url": "https://files.example/s.srt"}
        local_api.on("POST", "/api/v1/videos/v-1/subtitles", Answer(status=201, json=answer))
        assert hook.create_subtitles("v-1", language_code="de", format="srt").url == answer["url"]
        assert local_api.received[0].json() == {"language_code": "de", "format": "srt"}

    def test_voice_preview(self, hook: HourOneHook, local_api: LocalApi) -> None:
        local_api.on("POST", "/api/v1/voice-preview", Answer(json={"id": "t-1", "status": "in_progress"}))
        local_api.on(
            "GET", "/api/v1/voice-preview/t-1", Answer(json={"id": "t-1", "status": "ready", "url": "https://x/a"})
        )
        task = hook.create_voice_preview(transcript="Hello", source_draft_id="d1")
        assert hook.get_voice_preview(task.id).url == "https://x/a"
        assert local_api.received[0].json() == {"transcript": "Hello", "source_draft_id": "d1"}

    def test_analytics(self, hook: HourOneHook, local_api: LocalApi) -> None:
        months = [
            {"videos_created": 3, "total_duration": 90.5, "month": 1, "year": 2026},
            {"videos_created": 0, "total_duration": 0, "month": 2, "year": 2026},
        ]
        local_api.on("GET", "/api/v1/analytics/summary", Answer(json=months))
        first, second = hook.get_analytics_summary(
            breakdown="daily", from_date=date(2026, 1, 2), correlation_id="key-1"
        )
        assert (first.videos_created, first.total_duration, first.month, first.year) == (3, 90.5, 1, 2026)
        assert second.videos_created == 0
        assert local_api.received[0].query == {
            "breakdown": ["daily"],
            "from_date": ["2026-01-02"],
            "correlation_id": ["key-1"],
        }


class TestConnection:
    def test_good(self, hook: HourOneHook, local_api: LocalApi) -> None:
        local_api.on("GET", "/api/v1/videos", Answer(json=VIDEOS))
        assert hook.check_connection() == "Hour One accepted the API key; the account shows 5 videos."

    @pytest.mark.parametrize(("status", "advice"), [(401, "Check the key"), (403, "Check the plan")])
    def test_bad(self, hook: HourOneHook, local_api: LocalApi, status: int, advice: str) -> None:
        local_api.on("GET", "/api/v1/videos", Answer(status=status, json={"detail": "no such key k3y"}))
        good, text = hook.test_connection()
        assert not good
        assert advice in text
        assert "k3y" not in text


def test_the_vendors_own_address_is_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_HOURONE_DEFAULT", "hourone://:k3y@/?workspace_id=w")
    hook = HourOneHook()
    assert hook.client.base_url == "https://api.makereals.com/api/v1"
    assert hook.extras == {"workspace_id": "w"}
