# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest

from airflow_video_providers.exceptions import (
    SubmissionKeyConflictError,
    VideoApiNotFoundError,
    VideoApiUnavailableError,
    VideoApiUnreadableAnswerError,
    VideoConfigurationError,
    VideoJobCancelledError,
    VideoJobError,
    VideoJobFailedError,
)
from airflow_video_providers.hooks.base import KeySupport
from airflow_video_providers.hooks.colossyan.hook import KEY_FIELD, ColossyanHook
from airflow_video_providers.jobs import JobState
from tests.support.local_api import Answer, LocalApi

DATA = Path(__file__).parents[3] / "recorded" / "colossyan"
JOB = json.loads((DATA / "job.json").read_text())
VIDEO = json.loads((DATA / "video.json").read_text())
JOBS = "/api/v1/video-generation-jobs"
DEFINITION = {
    "videoCreative": {"settings": {"name": "My first video"}, "scenes": []},
    "callback": "https://me.example/c",
}
TEMPLATE_JOB = {"templateJobId": "t-1", "dynamicVariables": {"who": "you"}, "callbackUrl": "https://me.example/c"}
CREATED = Answer(json={"id": "665f1c2ab7e4", "videoId": "77aa01c9d2f0"})


@pytest.fixture
def hook(local_api: LocalApi, monkeypatch: pytest.MonkeyPatch) -> ColossyanHook:
    connection = {"conn_type": "colossyan", "host": f"{local_api.url}/api/v1", "password": "t0ken"}
    monkeypatch.setenv("AIRFLOW_CONN_COLOSSYAN_DEFAULT", json.dumps(connection))
    return ColossyanHook()


class TestSubmit:
    @pytest.mark.parametrize(
        ("request_body", "path"),
        [(DEFINITION, JOBS), (TEMPLATE_JOB, f"{JOBS}/template-jobs")],
        ids=["full", "template"],
    )
    def test_a_body_is_told_by_its_keys_and_passed_through(
        self, hook: ColossyanHook, local_api: LocalApi, request_body: dict[str, Any], path: str
    ) -> None:
        local_api.on("POST", path, CREATED)
        job = hook.submit_job(request_body, key="key-1")
        assert (job.job_id, job.state, job.vendor_status, job.key) == (
            "665f1c2ab7e4",
            JobState.QUEUED,
            "in_queue",
            "key-1",
        )
        (request,) = local_api.received
        assert request.headers["authorization"] == "Bearer t0ken"
        assert request.json() == {**request_body, "callbackPayload": {KEY_FIELD: "key-1"}}
        assert "callbackPayload" not in request_body, "the user's own object is not touched"

    def test_without_a_key_the_body_is_the_users(self, hook: ColossyanHook, local_api: LocalApi) -> None:
        local_api.on("POST", JOBS, CREATED)
        assert hook.submit_job(DEFINITION).name == "My first video"
        assert local_api.received[0].json() == DEFINITION

    def test_the_key_stands_beside_the_users_payload(self, hook: ColossyanHook, local_api: LocalApi) -> None:
        local_api.on("POST", JOBS, CREATED)
        hook.submit_job({**DEFINITION, "callbackPayload": {"order": 17}}, key="key-1")
        assert local_api.received[0].json()["callbackPayload"] == {"order": 17, KEY_FIELD: "key-1"}

    @pytest.mark.parametrize(
        ("payload", "expected"),
        [
            ("text", SubmissionKeyConflictError),
            ([1], SubmissionKeyConflictError),
            ({KEY_FIELD: "other"}, SubmissionKeyConflictError),
            ({"url": 1}, VideoConfigurationError),
            ({"status": 1, "shareUrl": 2}, VideoConfigurationError),
            ({"videoUrl": 1}, VideoConfigurationError),
        ],
    )
    def test_a_payload_that_cannot_hold_both_is_refused_before_anything_is_sent(
        self, hook: ColossyanHook, local_api: LocalApi, payload: Any, expected: type[Exception]
    ) -> None:
        with pytest.raises(expected):
            hook.submit_job({**DEFINITION, "callbackPayload": payload}, key="key-1")
        assert local_api.received == []

    @pytest.mark.parametrize("name", ["url", "videoUrl", "shareUrl", "status"])
    @pytest.mark.parametrize("base", [DEFINITION, TEMPLATE_JOB], ids=["full", "template"])
    def test_variables_that_would_overwrite_the_callback_are_refused(
        self, hook: ColossyanHook, local_api: LocalApi, base: dict[str, Any], name: str
    ) -> None:
        body = {**base, "dynamicVariables": {name: "mine"}}
        with pytest.raises(VideoConfigurationError, match=f"dynamicVariables must not hold {name}"):
            hook.submit_job(body, key="key-1")
        assert local_api.received == []
        local_api.on("POST", JOBS, CREATED)
        local_api.on("POST", f"{JOBS}/template-jobs", CREATED)
        silent = {key: value for key, value in body.items() if key not in ("callback", "callbackUrl")}
        hook.submit_job(silent, key="key-1")  # without a callback there is nothing to overwrite
        assert local_api.received[0].json()["dynamicVariables"] == {name: "mine"}

    def test_a_variable_of_the_keys_name_is_refused(self, hook: ColossyanHook, local_api: LocalApi) -> None:
        with pytest.raises(SubmissionKeyConflictError, match=KEY_FIELD):
            hook.submit_job({**TEMPLATE_JOB, "dynamicVariables": {KEY_FIELD: "x"}}, key="key-1")
        assert local_api.received == []

    @pytest.mark.parametrize("body", [{}, {"name": "x"}, {**DEFINITION, **TEMPLATE_JOB}])
    def test_a_body_of_neither_kind_or_both_is_refused(
        self, hook: ColossyanHook, local_api: LocalApi, body: dict[str, Any]
    ) -> None:
        with pytest.raises(VideoConfigurationError, match=r"videoCreative.*templateJobId"):
            hook.submit_job(body)
        assert local_api.received == []

    def test_an_answer_without_an_id_may_have_bought_a_video(self, hook: ColossyanHook, local_api: LocalApi) -> None:
        local_api.on("POST", f"{JOBS}/template-jobs", Answer(json={"videoId": "v"}))
        with pytest.raises(
            VideoApiUnreadableAnswerError, match=r"POST /video-generation-jobs/template-jobs.*id: Field required"
        ) as caught:
            hook.submit_job(TEMPLATE_JOB)
        assert caught.value.outcome_unknown
        assert local_api.count() == 1

    def test_a_lost_answer_is_not_sent_again(self, hook: ColossyanHook, local_api: LocalApi) -> None:
        local_api.on("POST", JOBS, Answer(reset=True))
        with pytest.raises(VideoApiUnavailableError) as caught:
            hook.submit_job(DEFINITION, key="key-1")
        assert caught.value.outcome_unknown
        assert local_api.count() == 1

    def test_a_lost_job_cannot_be_found(self, hook: ColossyanHook) -> None:
        assert hook.key_support is KeySupport.NONE
        assert hook.find_job("key-1", request=DEFINITION, since=datetime.now(timezone.utc)) is None


class TestJob:
    def test_as_documented(self, hook: ColossyanHook, local_api: LocalApi) -> None:
        local_api.on("GET", f"{JOBS}/665f1c2ab7e4", Answer(json=JOB))
        job = hook.get_job("665f1c2ab7e4")
        assert job.model_dump(exclude_none=True) == {
            "vendor": "colossyan",
            "job_id": "665f1c2ab7e4",
            "state": JobState.RUNNING,
            "vendor_status": "generating",
            "progress": 0.25,
            "name": "My first video",
            "key": "key-1",
            "created_at": datetime(2026, 3, 2, 9, 15, tzinfo=timezone.utc),
        }

    @pytest.mark.parametrize(
        ("status", "state"),
        [
            ("in_queue", JobState.QUEUED),
            ("preprocessing", JobState.RUNNING),
            ("preprocessing_finished", JobState.RUNNING),
            ("generating", JobState.RUNNING),
            ("finished", JobState.SUCCEEDED),
            ("failed", JobState.FAILED),
            ("deleted", JobState.CANCELLED),
            ("a_new_one", JobState.RUNNING),
        ],
    )
    def test_states(self, hook: ColossyanHook, local_api: LocalApi, status: str, state: JobState) -> None:
        local_api.on("GET", f"{JOBS}/1", Answer(json={"status": status}))
        job = hook.get_job("1")
        assert (job.job_id, job.state, job.vendor_status) == ("1", state, status)

    @pytest.mark.parametrize(
        ("progress", "maximum", "share"),
        [(0, 0, None), (None, None, None), (5, None, None), (None, 5, None), (0, 5, 0.0), (7, 5, 1.0), (2.5, 5, 0.5)],
    )
    def test_progress(
        self, hook: ColossyanHook, local_api: LocalApi, progress: Any, maximum: Any, share: float | None
    ) -> None:
        answer = {"status": "generating", "progress": progress, "maximumProgress": maximum}
        local_api.on("GET", f"{JOBS}/1", Answer(json=answer))
        assert hook.get_job("1").progress == share

    def test_without_a_status_there_is_nothing_to_go_by(self, hook: ColossyanHook, local_api: LocalApi) -> None:
        local_api.on("GET", f"{JOBS}/1", Answer(json={"videoId": "v"}))
        with pytest.raises(VideoApiUnreadableAnswerError, match=r"GET /video-generation-jobs/\{id\}.*status") as caught:
            hook.get_job("1")
        assert not caught.value.outcome_unknown

    def test_unknown(self, hook: ColossyanHook) -> None:
        with pytest.raises(VideoApiNotFoundError):
            hook.get_job("1")


class TestOutputs:
    def test_video_thumbnail_and_inline_subtitles(self, hook: ColossyanHook, local_api: LocalApi) -> None:
        local_api.on("GET", f"{JOBS}/665f1c2ab7e4", Answer(json={**JOB, "status": "finished"}))
        local_api.on("GET", "/api/v1/generated-videos/77aa01c9d2f0", Answer(json=VIDEO))
        video, thumbnail, subtitles = hook.get_outputs("665f1c2ab7e4")
        assert (video.kind, video.url, video.size, video.duration_seconds, video.name, video.output_id) == (
            "video",
            VIDEO["publicUrl"],
            1048576,
            12.48,
            "My first video",
            "77aa01c9d2f0",
        )
        assert video.expires_at is None, "the lifetime of the link is not stated"
        assert (thumbnail.kind, thumbnail.url) == ("thumbnail", VIDEO["thumbnailUrl"])
        assert (subtitles.kind, subtitles.url, subtitles.content, subtitles.media_type) == (
            "subtitles",
            None,
            VIDEO["vttSubtitleString"],
            "text/vtt",
        )

    def test_size_and_duration_may_be_null(self, hook: ColossyanHook, local_api: LocalApi) -> None:
        local_api.on("GET", f"{JOBS}/1", Answer(json={"status": "finished", "videoId": "v"}))
        bare = {"publicUrl": "https://files.example/v.mp4", "videoSizeBytes": None, "videoDurationSeconds": None}
        local_api.on("GET", "/api/v1/generated-videos/v", Answer(json=bare))
        (video,) = hook.get_outputs("1")
        assert (video.size, video.duration_seconds, video.output_id) == (None, None, "v")

    @pytest.mark.parametrize(
        ("job", "video", "named"),
        [
            ({"status": "finished"}, None, r"GET /video-generation-jobs/\{id\}.*videoId"),
            ({"status": "finished", "videoId": "v"}, {"name": "x"}, r"GET /generated-videos/\{videoId\}.*publicUrl"),
        ],
    )
    def test_what_is_missing_is_named(
        self, hook: ColossyanHook, local_api: LocalApi, job: dict[str, Any], video: Any, named: str
    ) -> None:
        local_api.on("GET", f"{JOBS}/1", Answer(json=job))
        local_api.on("GET", "/api/v1/generated-videos/v", Answer(json=video))
        with pytest.raises(VideoApiUnreadableAnswerError, match=named):
            hook.get_outputs("1")

    @pytest.mark.parametrize(
        ("status", "expected"),
        [("generating", VideoJobError), ("failed", VideoJobFailedError), ("deleted", VideoJobCancelledError)],
    )
    def test_an_unfinished_job_is_not_asked_for_its_video(
        self, hook: ColossyanHook, local_api: LocalApi, status: str, expected: type[Exception]
    ) -> None:
        local_api.on("GET", f"{JOBS}/1", Answer(json={"status": status, "videoId": "v"}))
        with pytest.raises(expected):
            hook.get_outputs("1")
        assert local_api.count() == 1


class TestCancel:
    def test_a_running_job_is_deleted(self, hook: ColossyanHook, local_api: LocalApi) -> None:
        local_api.on("GET", f"{JOBS}/1", Answer(json={"status": "generating"}))
        local_api.on("DELETE", f"{JOBS}/1", Answer(json={"message": "deleted"}))
        hook.cancel_job("1")
        assert [request.method for request in local_api.received] == ["GET", "DELETE"]

    def test_a_finished_job_is_left_alone(self, hook: ColossyanHook, local_api: LocalApi) -> None:
        local_api.on("GET", f"{JOBS}/1", Answer(json={"status": "finished"}))
        hook.cancel_job("1")
        assert local_api.count("DELETE") == 0


class TestEndpoints:
    def test_deletes(self, hook: ColossyanHook, local_api: LocalApi) -> None:
        local_api.on("DELETE", f"{JOBS}/1", Answer(json={"message": "gone"}))
        local_api.on("DELETE", "/api/v1/generated-videos/2", Answer(status=204))
        assert hook.delete_video_generation_job("1").message == "gone"
        assert hook.delete_generated_video("2").message is None

    def test_actors_and_voices(self, hook: ColossyanHook, local_api: LocalApi) -> None:
        actor = {
            "name": "karen",
            "display_name": "Karen",
            "default_voice": "s-1",
            "views": [{"viewVariantType": "front"}],
        }
        local_api.on("GET", "/api/v1/assets/actors", Answer(json=[actor]))
        local_api.on("GET", "/api/v1/assets/voices", Answer(json=[{"anything": 1}]))
        (karen,) = hook.get_actors()
        assert (karen.name, karen.default_voice) == ("karen", "s-1")
        assert hook.get_voices() == [{"anything": 1}]

    def test_an_actor_is_made(self, hook: ColossyanHook, local_api: LocalApi) -> None:
        local_api.on("POST", "/api/v1/assets/actors", Answer(status=201, json={"name": "me-1"}))
        assert hook.create_actor(display_name="Me", source_file_url="https://me.example/i.png", gender="Male") == "me-1"
        assert local_api.received[0].json() == {
            "displayName": "Me",
            "sourceFileUrl": "https://me.example/i.png",
            "gender": "Male",
        }

    def test_a_draft_is_made_beside_the_stable_api(self, hook: ColossyanHook, local_api: LocalApi) -> None:
        local_api.on("POST", "/api/knowledge-to-draft/generate-draft", Answer(json={"url": "https://app.example/d"}))
        summary = {"title": "T", "description": "D", "chapters": [{"title": "C", "script": "S", "searchTerms": ["x"]}]}
        assert hook.generate_draft(summary, template_id="t") == "https://app.example/d"
        (request,) = local_api.received
        assert request.json() == {"summary": summary, "templateId": "t"}
        assert request.headers["authorization"] == "Bearer t0ken"

    def test_a_base_url_without_a_version_has_no_drafts(
        self, local_api: LocalApi, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        connection = {"conn_type": "colossyan", "host": local_api.url, "password": "t0ken"}
        monkeypatch.setenv("AIRFLOW_CONN_COLOSSYAN_DEFAULT", json.dumps(connection))
        with pytest.raises(VideoConfigurationError, match="/v1"):
            ColossyanHook().generate_draft({})


class TestConnection:
    def test_good(self, hook: ColossyanHook, local_api: LocalApi) -> None:
        local_api.on("GET", "/api/v1/assets/actors", Answer(json=[{"name": "karen"}]))
        assert hook.check_connection() == "Colossyan accepted the token; its workspace shows 1 avatar."
        assert [request.method for request in local_api.received] == ["GET"]

    def test_bad(self, hook: ColossyanHook, local_api: LocalApi) -> None:
        local_api.on("GET", "/api/v1/assets/actors", Answer(status=401, json={"message": "bad token t0ken"}))
        good, text = hook.test_connection()
        assert not good
        assert "Check the key" in text
        assert "t0ken" not in text

    def test_no_token(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("AIRFLOW_CONN_COLOSSYAN_DEFAULT", json.dumps({"conn_type": "colossyan"}))
        good, text = ColossyanHook().test_connection()
        assert not good
        assert "no password" in text


def test_the_vendors_own_address_is_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_COLOSSYAN_DEFAULT", "colossyan://:t0ken@/")
    assert ColossyanHook().client.base_url == "https://app.colossyan.com/api/v1"
