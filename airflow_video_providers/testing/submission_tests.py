# SPDX-License-Identifier: Apache-2.0
"""A response that never arrives, and how the job is found again."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

import pytest

from airflow_video_providers.exceptions import (
    VideoApiUnreadableAnswerError,
)
from airflow_video_providers.hooks.base import KeySupport, VideoHook
from airflow_video_providers.submission.preflight import check_request, preview
from airflow_video_providers.testing.base import (
    ConformanceBase,
    can_list,
    is_exact,
    is_searchable,
    replays,
    where,
)
from airflow_video_providers.testing.control import VendorControl
from airflow_video_providers.testing.parts import (
    id_of,
    new_key,
    now,
)
from airflow_video_providers.testing.tap import (
    Tap,
    TapRequest,
    drop_request,
    lose_response,
    respond,
    respond_with_a_page,
    spoil_lists,
)


class SubmissionTests(ConformanceBase):
    """No render is paid twice, none is lost."""

    # ------------------------------------------------------------------ a response that never arrives

    @pytest.mark.parametrize("fault", [lose_response, respond_with_a_page], ids=["lost", "page"])
    def test_a_lost_response_leaves_one_job_that_is_found_again(
        self, hook: VideoHook, control: VendorControl, tap: Tap, creating: Callable[[TapRequest], bool], fault: Any
    ) -> None:
        key, request, since = new_key(), control.request("lost"), now()
        before = set(control.job_ids())
        tap.strike(fault, creating)
        error = self.submit_in_vain(hook, request, key)
        assert error.outcome_unknown, "a job may exist: the error must say so"
        (made,) = set(control.job_ids()) - before
        assert sum(map(creating, tap.requests)) == 2, "the learned one and this: a paid request is not repeated"
        self._resolve(hook, control, key, request, since, made)

    @pytest.mark.parametrize("fault", [drop_request, respond(502)], ids=["reset", "502"])
    def test_a_lost_request_leaves_no_job_and_none_is_found(
        self, hook: VideoHook, control: VendorControl, tap: Tap, creating: Callable[[TapRequest], bool], fault: Any
    ) -> None:
        key, request, since = new_key(), control.request("lost"), now()
        before = set(control.job_ids())
        tap.strike(fault, creating)
        error = self.submit_in_vain(hook, request, key)
        assert error.outcome_unknown, "whether the request arrived cannot be known here"
        assert set(control.job_ids()) == before
        if is_searchable(self.hook_class):
            assert hook.find_job(key, request=request, since=since) is None
        if replays(self.hook_class):
            self._resolve(hook, control, key, request, since, None)

    @where(lambda hook: not is_searchable(hook))
    def test_a_vendor_without_a_search_finds_nothing(self, hook: VideoHook, control: VendorControl, tap: Tap) -> None:
        assert hook.find_job(new_key(), request=control.request("plain"), since=now()) is None
        assert tap.requests == []

    @where(lambda hook: is_searchable(hook) and not replays(hook))
    def test_of_two_jobs_with_one_key_the_oldest_that_is_alive_is_found(
        self, hook: VideoHook, control: VendorControl
    ) -> None:
        key, request, since = new_key(), control.request("twice"), now()
        older, newer = (hook.submit_job(request, key=key).job_id for _ in range(2))
        assert id_of(hook.find_job(key, request=request, since=since)) == older
        control.fail(older)
        assert id_of(hook.find_job(key, request=request, since=since)) == newer
        control.finish(newer)
        assert id_of(hook.find_job(key, request=request, since=since)) == newer

    @where(is_exact)
    def test_only_the_whole_key_is_a_match(self, hook: VideoHook, control: VendorControl) -> None:
        key, request, since = new_key(), control.request("prefix"), now()
        job = hook.submit_job(request, key=key)
        assert job.key in (None, key)
        for other in (key[:-1], f"{key}0", key[1:], new_key()):
            assert hook.find_job(other, request=request, since=since) is None
        found = hook.find_job(key, request=request, since=since)
        assert found is not None
        assert (found.job_id, found.key) == (job.job_id, key)

    def test_a_dry_run_makes_no_job(self, hook: VideoHook, control: VendorControl) -> None:
        before = set(control.job_ids())
        preview(hook, control.request("dry"), max_cost=None)
        assert set(control.job_ids()) == before

    def test_the_model_of_a_request_takes_what_the_vendor_takes(self, hook: VideoHook, control: VendorControl) -> None:
        request = control.request("typed")
        check_request(hook, request, max_cost=None)
        model = hook.request_model(request)
        if model is not None:
            assert model.model_validate(request).to_request() == request

    @where(replays)
    def test_a_key_that_is_sent_again_is_answered_by_the_first_job(
        self, hook: VideoHook, control: VendorControl
    ) -> None:
        key, request = new_key(), control.request("again")
        first = hook.submit_job(request, key=key)
        assert hook.submit_job(request, key=key).job_id == first.job_id
        assert hook.submit_job(request, key=new_key()).job_id != first.job_id
        assert len(control.job_ids()) == 2

    @where(is_searchable)
    def test_an_unreadable_item_hides_no_job_that_is_searched(
        self, hook: VideoHook, control: VendorControl, tap: Tap
    ) -> None:
        key, request, since = new_key(), control.request("spoiled"), now()
        job = hook.submit_job(request, key=key)
        spoiled: list[str] = []
        tap.strike(spoil_lists(job.job_id, spoiled), lambda request: request.method == "GET", times=1000)
        assert id_of(hook.find_job(key, request=request, since=since)) == job.job_id
        if is_exact(self.hook_class):
            spoiled.clear()
            try:
                absent = hook.find_job(new_key(), request=request, since=since) is None
            except VideoApiUnreadableAnswerError:
                absent = False
            assert not (absent and spoiled), "an item that cannot be read may be the job: absence is not certain"

    @where(can_list)
    def test_an_unreadable_item_hides_no_job_that_is_listed(
        self, hook: VideoHook, control: VendorControl, tap: Tap
    ) -> None:
        ids = [hook.submit_job(control.request(f"many-{number}")).job_id for number in range(2)]
        spoiled: list[str] = []
        tap.strike(spoil_lists(ids[0], spoiled), lambda request: request.method == "GET", times=1000)
        assert set(hook.get_jobs(ids)) == set(ids)
        assert spoiled

    def _resolve(
        self,
        hook: VideoHook,
        control: VendorControl,
        key: str,
        request: dict[str, Any],
        since: datetime,
        made: str | None,
    ) -> None:
        """Resolve an unknown outcome as a retry does: at the end there is one job."""
        before = len(control.job_ids())
        if replays(self.hook_class):
            job = hook.submit_job(request, key=key)
            assert made in (None, job.job_id)
            assert len(control.job_ids()) == before + (made is None)
        if is_searchable(self.hook_class) and made:
            assert id_of(hook.find_job(key, request=request, since=since)) == made
            if self.hook_class.key_support is KeySupport.EXACT:
                terms = hook.search_terms(request)
                assert id_of(hook.find_job(key, request=terms, since=since)) == made, "search_terms() lacks something"
