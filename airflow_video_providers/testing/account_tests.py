# SPDX-License-Identifier: Apache-2.0
"""Credentials and limits."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from airflow_video_providers.exceptions import (
    VideoApiAuthenticationError,
    VideoApiError,
    VideoApiQuotaError,
)
from airflow_video_providers.hooks.base import VideoHook
from airflow_video_providers.testing.base import (
    ConformanceBase,
)
from airflow_video_providers.testing.control import VendorControl
from airflow_video_providers.testing.parts import (
    carries_credentials,
    new_key,
)
from airflow_video_providers.testing.tap import (
    Tap,
    TapRequest,
    respond,
)

_WRONG_KEY = "d3Jvbmcta2V5LW9mLXRoZS1zdWl0ZQ=="


class AccountTests(ConformanceBase):
    """Keys stay at their origin, and refusals are clear errors."""

    # ------------------------------------------------------------------ credentials, limits

    def test_the_connection_is_tested_without_a_render(self, hook: VideoHook, control: VendorControl) -> None:
        good, text = hook.test_connection()
        assert good, text
        assert control.connection()["password"] not in text.split()
        assert control.job_ids() == []

    def test_a_wrong_key_is_one_clear_error(
        self, hook: VideoHook, control: VendorControl, tap: Tap, caplog: pytest.LogCaptureFixture
    ) -> None:
        job = hook.submit_job(control.request("plain"))
        wrong = self.make_hook({**tap.rewrite(control.connection()), "password": _WRONG_KEY})
        with caplog.at_level("DEBUG"), pytest.raises(VideoApiAuthenticationError) as caught:
            wrong.get_job(job.job_id)
        good, text = wrong.test_connection()
        assert not good
        with pytest.raises(VideoApiAuthenticationError) as refused:
            wrong.submit_job(control.request("refused"))
        assert not refused.value.outcome_unknown
        assert len(control.job_ids()) == 1
        assert _WRONG_KEY not in f"{caught.value} {refused.value} {text} {caplog.text}"

    @pytest.mark.parametrize("status", [302, 307, 308])
    def test_no_other_origin_sees_a_credential(
        self, hook: VideoHook, control: VendorControl, tap: Tap, creating: Callable[[TapRequest], bool], status: int
    ) -> None:
        job = hook.submit_job(control.request("plain"))
        other = Tap(tap.origin, lambda: 0)
        try:
            redirect = respond(status, Location=f"{other.origin}/elsewhere")
            tap.strike(redirect, lambda request: request.method == "GET")
            with pytest.raises(VideoApiError):
                hook.get_job(job.job_id)
            tap.strike(redirect, creating)
            self.submit_in_vain(hook, control.request("redirected"), new_key())
            assert not [request for request in other.requests if carries_credentials(request, control)]
        finally:
            other.close()

    def test_a_rate_limit_says_how_long_to_wait(self, hook: VideoHook, control: VendorControl, tap: Tap) -> None:
        job = hook.submit_job(control.request("plain"))
        tap.strike(respond(429, Retry_After="1234"), lambda request: request.method == "GET")
        with pytest.raises(VideoApiQuotaError) as caught:
            hook.get_job(job.job_id)
        assert caught.value.retry_after == 1234
        tap.strike(respond(429, Retry_After="0"), lambda request: request.method == "GET")
        assert hook.get_job(job.job_id).job_id == job.job_id

    def test_a_rate_limit_of_the_submission_buys_nothing(
        self, hook: VideoHook, control: VendorControl, tap: Tap, creating: Callable[[TapRequest], bool]
    ) -> None:
        before = len(control.job_ids())
        tap.strike(respond(429, Retry_After="1234"), creating)
        error = self.submit_in_vain(hook, control.request("limited"), new_key())
        assert isinstance(error, VideoApiQuotaError)
        assert not error.outcome_unknown
        assert len(control.job_ids()) == before
        tap.strike(respond(429, Retry_After="0"), creating)
        hook.submit_job(control.request("limited"), key=new_key())
        assert len(control.job_ids()) == before + 1
