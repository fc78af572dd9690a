# SPDX-License-Identifier: Apache-2.0
"""Cancelling with the Xvid hook: a look before each DELETE."""

from __future__ import annotations

import pytest

from airflow_video_providers.exceptions import (
    VideoApiUnavailableError,
    VideoJobError,
)
from airflow_video_providers.hooks.xvid import XvidHook
from airflow_video_providers.jobs import JobState
from tests.support.scripted_api import Answer, ScriptedApi
from tests.support.xvid_answers import connect, error, job


class TestCancelling:
    OK = Answer({"result": {"status": "SUCCESS"}})

    @pytest.mark.parametrize("status", ["QUEUED", "PROCESSING"])
    def test_a_running_job_is_deleted_once(self, api: ScriptedApi, hook: XvidHook, status: str) -> None:
        api.on("GET", "/v1/jobs/j1", Answer({"job": job(status=status)}))
        api.on("DELETE", "/v1/jobs/j1", self.OK)
        seen = hook.cancel_job("j1")
        assert seen is not None
        assert seen.vendor_status == status
        assert len(api.calls("DELETE", "/v1/jobs/j1")) == 1

    @pytest.mark.parametrize("status", ["SUCCESS", "FAILURE"])
    def test_a_finished_job_is_left_alone(self, api: ScriptedApi, hook: XvidHook, status: str) -> None:
        api.on("GET", "/v1/jobs/j1", Answer({"job": job(status=status)}))
        seen = hook.cancel_job("j1")
        assert seen is not None
        assert seen.vendor_status == status
        assert not api.calls("DELETE", "/v1/jobs/j1")

    def test_a_job_of_an_undocumented_status_is_left_alone_and_said(self, api: ScriptedApi, hook: XvidHook) -> None:
        api.on("GET", "/v1/jobs/j1", Answer({"job": job(status="ARCHIVED")}))
        with pytest.raises(VideoJobError, match="ARCHIVED"):
            hook.cancel_job("j1")
        assert not api.calls("DELETE", "/v1/jobs/j1")

    def test_an_unknown_job_is_none(self, api: ScriptedApi, hook: XvidHook) -> None:
        assert hook.cancel_job("j1") is None

    def test_a_job_that_is_gone_at_the_delete(self, api: ScriptedApi, hook: XvidHook) -> None:
        api.on("GET", "/v1/jobs/j1", Answer({"job": job()}))
        assert hook.cancel_job("j1") is not None

    def test_a_lost_answer_is_followed_by_a_look_and_not_by_a_delete(self, api: ScriptedApi, hook: XvidHook) -> None:
        api.on("GET", "/v1/jobs/j1", Answer({"job": job()}), error(404))
        api.on("DELETE", "/v1/jobs/j1", Answer(drop=True))
        seen = hook.cancel_job("j1")
        assert seen is not None
        assert seen.state is JobState.RUNNING
        assert len(api.calls("DELETE", "/v1/jobs/j1")) == 1

    @pytest.mark.parametrize(
        "failure",
        [
            Answer(drop=True),
            error(429),
            error(503),
            Answer(status=503, headers={"Retry-After": "0"}),
            Answer({"result": {"status": "FAILURE"}}),
            Answer(b"<html>"),
        ],
    )
    def test_a_job_that_finished_in_the_meantime_keeps_its_files(
        self, api: ScriptedApi, hook: XvidHook, failure: Answer
    ) -> None:
        api.on("GET", "/v1/jobs/j1", Answer({"job": job()}), Answer({"job": job(status="SUCCESS")}))
        api.on("DELETE", "/v1/jobs/j1", failure)
        hook.cancel_job("j1")
        assert len(api.calls("DELETE", "/v1/jobs/j1")) == 1

    def test_a_delete_that_failed_is_tried_again_after_a_look(self, api: ScriptedApi, hook: XvidHook) -> None:
        api.on("GET", "/v1/jobs/j1", Answer({"job": job()}))
        api.on("DELETE", "/v1/jobs/j1", error(500), self.OK)
        hook.cancel_job("j1")
        order = [asked.method for asked in api.asked if asked.path == "/v1/jobs/j1"]
        assert order == ["GET", "DELETE", "GET", "DELETE"]

    def test_a_delete_that_keeps_failing_ends_in_its_error(
        self, api: ScriptedApi, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        connect(api, monkeypatch)
        api.on("GET", "/v1/jobs/j1", Answer({"job": job()}))
        api.on("DELETE", "/v1/jobs/j1", error(500, message="Internal error"))
        with pytest.raises(VideoApiUnavailableError, match="Internal error"):
            XvidHook(retry_deadline=0.1).cancel_job("j1")
        assert [asked.method for asked in api.asked if asked.path == "/v1/jobs/j1"][-1] == "GET"
