# SPDX-License-Identifier: Apache-2.0
"""Submitting with the Xvid hook, and finding again what was submitted."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from airflow_video_providers.exceptions import (
    SubmissionKeyConflictError,
    VideoApiInvalidRequestError,
    VideoApiUnavailableError,
    VideoApiUnreadableAnswerError,
)
from airflow_video_providers.hooks.base import KeySupport
from airflow_video_providers.hooks.xvid import XvidHook
from airflow_video_providers.jobs import JobState
from tests.support.scripted_api import Answer, Asked, ScriptedApi
from tests.support.xvid_answers import REQUEST, SINCE, error, job, jobs


class TestSubmitting:
    @pytest.mark.parametrize("envelope", [True, False])
    def test_the_content_and_the_envelope_of_a_job_send_the_same(
        self, api: ScriptedApi, hook: XvidHook, envelope: bool
    ) -> None:
        api.on("POST", "/v1/jobs/", Answer({"job": job("new", "QUEUED", user_data="k1")}, status=201))
        made = hook.submit_job({"job": REQUEST} if envelope else REQUEST, key="k1")
        assert api.asked[-1].json == {"job": {**REQUEST, "user_data": "k1"}}
        assert (made.job_id, made.state, made.key) == ("new", JobState.QUEUED, "k1")
        assert "user_data" not in REQUEST

    def test_without_a_key_the_request_goes_unchanged(self, api: ScriptedApi, hook: XvidHook) -> None:
        api.on("POST", "/v1/jobs/", Answer({"job": job("new")}))
        hook.submit_job({**REQUEST, "user_data": "mine", "unique_custom_key": "u"})
        assert api.asked[-1].json == {"job": {**REQUEST, "user_data": "mine", "unique_custom_key": "u"}}

    def test_the_users_own_data_is_kept_beside_the_key(self, api: ScriptedApi, hook: XvidHook) -> None:
        api.on("POST", "/v1/jobs/", lambda asked: Answer({"job": job("new", **asked.json["job"])}))
        assert hook.submit_job({**REQUEST, "user_data": "mine | yours"}, key="k1").key == "k1"
        assert api.asked[-1].json["job"]["user_data"] == "mine | yours | k1"

    @pytest.mark.parametrize("user_data", [{"a": 1}, 7, "x" * 4000, "é" * 700, "half \ud800"])
    def test_data_that_cannot_hold_the_key_is_refused_before_anything_is_sent(
        self, api: ScriptedApi, hook: XvidHook, user_data: Any
    ) -> None:
        with pytest.raises(SubmissionKeyConflictError, match="Nothing was sent"):
            hook.submit_job({**REQUEST, "user_data": user_data}, key="k1")
        assert api.asked == []

    def test_an_answer_with_an_id_alone_is_enough(self, api: ScriptedApi, hook: XvidHook) -> None:
        api.on("POST", "/v1/jobs/", Answer({"job": {"id": "new"}}))
        assert hook.submit_job(REQUEST).state is JobState.QUEUED

    @pytest.mark.parametrize(
        ("answer", "text"),
        [
            (Answer({"job": {"status": "QUEUED"}}), r"POST /jobs/.*id: Field required"),
            (Answer(b"{job"), "not JSON"),
            (Answer(b"<html>hello</html>"), "job: Field required"),
            (Answer(None), "job: Field required"),
        ],
    )
    def test_an_unreadable_answer_leaves_the_outcome_open(
        self, api: ScriptedApi, hook: XvidHook, answer: Answer, text: str
    ) -> None:
        api.on("POST", "/v1/jobs/", answer)
        with pytest.raises(VideoApiUnreadableAnswerError, match=text) as caught:
            hook.submit_job(REQUEST)
        assert caught.value.outcome_unknown

    @pytest.mark.parametrize("answer", [Answer(drop=True), error(500)])
    def test_a_lost_answer_is_not_followed_by_a_second_render(
        self, api: ScriptedApi, hook: XvidHook, answer: Answer
    ) -> None:
        api.on("POST", "/v1/jobs/", answer)
        with pytest.raises(VideoApiUnavailableError) as caught:
            hook.submit_job(REQUEST)
        assert caught.value.outcome_unknown
        assert len(api.calls("POST", "/v1/jobs/")) == 1

    def test_a_refused_request_has_the_vendors_words(self, api: ScriptedApi, hook: XvidHook) -> None:
        api.on("POST", "/v1/jobs/", error(400, "0050001", "pipeline is missing"))
        with pytest.raises(VideoApiInvalidRequestError, match=r"\[0050001\] pipeline is missing") as caught:
            hook.submit_job(REQUEST)
        assert not caught.value.outcome_unknown


class TestFindingAgain:
    def test_by_the_same_text_that_was_sent(self, api: ScriptedApi, hook: XvidHook) -> None:
        api.on("GET", "/v1/jobs/", jobs(job("a", user_data="mine & yours | k1")))
        found = hook.find_job("k1", request={"job": {**REQUEST, "user_data": "mine & yours"}}, since=SINCE)
        assert found is not None
        assert (found.job_id, found.key) == ("a", "k1")
        assert api.asked[-1].query["user_data"] == "mine & yours | k1"
        assert hook.key_support is KeySupport.EXACT

    def test_the_key_is_compared_again(self, api: ScriptedApi, hook: XvidHook) -> None:
        others = (job("a", user_data="k10"), job("b"), job("c", user_data="k1 | other"), job("d", user_data="xk1"))
        api.on("GET", "/v1/jobs/", jobs(*others))
        assert hook.find_job("k1", request=REQUEST, since=SINCE) is None

    def test_of_several_the_oldest_that_has_not_failed(
        self, api: ScriptedApi, hook: XvidHook, caplog: pytest.LogCaptureFixture
    ) -> None:
        found = (
            job("young", user_data="k1", created_at=3000),
            job("failed", "FAILURE", user_data="k1", created_at=1000),
            job("old", "SUCCESS", user_data="k1", created_at=2000),
        )
        api.on("GET", "/v1/jobs/", jobs(*found))
        with caplog.at_level(logging.WARNING):
            oldest = hook.find_job("k1", request=REQUEST, since=SINCE)
        assert oldest is not None
        assert oldest.job_id == "old"
        assert "2 jobs match; taking the oldest, old, not young" in caplog.text

    def test_failed_jobs_alone_are_none(self, api: ScriptedApi, hook: XvidHook) -> None:
        api.on("GET", "/v1/jobs/", jobs(job("failed", "FAILURE", user_data="k1")))
        assert hook.find_job("k1", request=REQUEST, since=SINCE) is None

    def test_a_server_without_the_filter_is_searched_to_its_end(
        self, api: ScriptedApi, hook: XvidHook, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        wanted = job("wanted", user_data="k1")

        def serve(asked: Asked) -> Answer:
            start = int(asked.query["start"])
            page = [job(str(number)) for number in range(start, start + 1000)] if start < 2000 else [wanted]
            return Answer({"jobs": page, "limit": 1000})

        api.on("GET", "/v1/jobs/", serve)
        found = hook.find_job("k1", request=REQUEST, since=SINCE)
        assert found is not None
        assert found.job_id == "wanted"
